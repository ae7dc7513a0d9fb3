<?php
/**
 * Posts by the names of the daemon's fields.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress\Meta;

use Ticketd\WordPress\Meta\Adapter;
use Ticketd\WordPress\Meta\Posts;

/**
 * A change is made as a whole, or the caller gets an error.
 */
final class PostsTest extends MetaTestCase {

	/** Columns of the post, by field. */
	private const COLUMNS = array(
		'status' => 'post_title',
		'utc'    => 'post_modified_gmt',
		'local'  => 'post_modified',
	);

	/**
	 * Makes a site with columns.
	 *
	 * @param string $adds Who writes first rows.
	 */
	private function posts( string $adds = 'through' ): Posts {
		$this->begin(
			true,
			array(
				'posts' => self::COLUMNS,
				'adds'  => $adds,
			)
		);
		return Adapter::instance()->posts();
	}

	/**
	 * What WordPress does not write is an error, and no column shows it.
	 */
	public function test_what_wordpress_does_not_write(): void {
		$posts = $this->posts();
		$this->daemon->fail_next( 'unavailable', 9, 'flush' );
		$error = $posts->put( self::ID, array( 'status' => 'open' ) );
		$this->assertInstanceOf( \WP_Error::class, $error );
		$this->assertSame( 'ticketd_unavailable', $error->get_error_code() );
		$this->assertSame( array(), $this->rows->columns );
		$this->assertSame( array(), $this->rows->rows );
	}

	/**
	 * A value that the row has is no error.
	 */
	public function test_the_same_value(): void {
		$posts = $this->posts();
		$this->rows->put( self::ID, '_st', 'open' );
		$this->rows->put( self::ID, '_st', 'open' );
		$this->assertTrue( $posts->put( self::ID, array( 'status' => 'open' ) ) );
		$this->assertSame( array( self::ID => array( 'post_title' => 'open' ) ), $this->rows->columns );
		apply_filters( 'query', 'START TRANSACTION' );
		$this->assertTrue( $posts->put( self::ID, array( 'status' => 'closed' ) ) );
		$this->assertTrue( $posts->put( self::ID, array( 'status' => 'closed' ) ) );
		apply_filters( 'query', 'ROLLBACK' );
	}

	/**
	 * A time is of the Gregorian calendar, whatever calendar the blog shows.
	 */
	public function test_a_time(): void {
		$posts = $this->posts( 'behind' );
		$zone  = static fn(): string => 'Asia/Tehran';
		$date  = static fn(): string => '1405-09-09 10:00:00';
		add_filter( 'pre_option_timezone_string', $zone );
		add_filter( 'wp_date', $date );
		$this->assertTrue( $posts->put( self::ID, array( 'utc' => 1798761600 ) ) );
		remove_filter( 'wp_date', $date );
		remove_filter( 'pre_option_timezone_string', $zone );
		$fields = $this->daemon->get( self::ID )['fields'];
		$this->assertSame( '2027-01-01 00:00:00', $fields['utc'] );
		$this->assertSame( '2027-01-01 03:30:00', $fields['local'] );
	}

	/**
	 * A key that the site's code leaves to WordPress is written at once; the other fields are sent.
	 */
	public function test_a_key_that_is_left_to_wordpress(): void {
		$posts   = $this->posts( 'behind' );
		$managed = static fn( bool $is_managed, int $id, string $key ): bool => $is_managed && '_st' !== $key;
		add_filter( 'ticketd_meta_managed', $managed, 10, 3 );
		$this->rows->put( self::ID, '_st', 'open' );
		$this->assertTrue( $posts->put( self::ID, array( 'status' => 'closed', 'note' => 'a' ) ) );
		remove_filter( 'ticketd_meta_managed', $managed );
		$this->assertSame( array( 'closed' ), $this->rows->values( self::ID, '_st' ) );
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );
		$fields = $this->daemon->get( self::ID )['fields'];
		$this->assertSame( 'a', $fields['note'] );
		$this->assertArrayNotHasKey( 'status', $fields );
	}
}
