<?php
/**
 * The end of posts, of outages and of the adapter.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress\Meta;

use Ticketd\Client\TicketdException;
use Ticketd\WordPress\Cli\MetaCommand;
use Ticketd\WordPress\Meta\Adapter;
use Ticketd\WordPress\Meta\Loader;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Watchdog;
use WP_CLI\ExitException;

/**
 * Nothing is pending for what is gone.
 */
final class LifecycleTest extends MetaTestCase {

	/**
	 * A post's changes are flushed before it is deleted, and late ones are dropped.
	 */
	public function test_a_deleted_post(): void {
		update_metadata( 'post', self::ID, '_st', 'open' );
		do_action( 'before_delete_post', self::ID );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
		do_action( 'deleted_post', self::ID );
		$this->expectException( TicketdException::class );
		$this->daemon->set( self::ID, array( 'status' => 'late' ) );
	}

	/**
	 * A post that gets another type is flushed first: WordPress writes its metadata from then on.
	 */
	public function test_another_type(): void {
		$statements = array(
			'page'   => "UPDATE `wp_posts` SET `post_type` = 'page' WHERE `ID` = 7",
			'ticket' => "UPDATE `wp_posts` SET `post_type` = 'ticket' WHERE `ID` = 7",
		);
		foreach ( array( 'pre_post_update', 'query' ) as $hook ) {
			foreach ( array( 'ticket', 'page' ) as $type ) {
				$this->begin();
				update_metadata( 'post', self::ID, '_st', $type );
				'query' === $hook ? apply_filters( 'query', $statements[ $type ] ) : do_action( $hook, self::ID, array( 'post_type' => $type ) );
				$this->assertSame( 'page' === $type ? array( 'page' ) : array(), $this->rows->values( self::ID, '_st' ), "$hook $type" );
			}
		}
		do_action( 'pre_post_update', self::PAGE, array( 'post_type' => 'post' ) );
		$this->assertSame( 0, $this->count_of( 'flush' ) - 1 );
	}

	/**
	 * Other posts are none of the daemon's business.
	 */
	public function test_another_post(): void {
		do_action( 'before_delete_post', self::PAGE );
		do_action( 'deleted_post', self::PAGE );
		$this->assertSame( array(), $this->called() );

		// A post that is not cached.
		require_once ABSPATH . WPINC . '/class-wp-post.php';
		wp_cache_delete( self::PAGE, 'posts' );
		do_action( 'before_delete_post', self::PAGE, new \WP_Post( (object) array( 'post_type' => 'page' ) ) );
		do_action( 'deleted_post', self::PAGE );
		$this->assertSame( array(), $this->called() );
		do_action( 'before_delete_post', 20, new \WP_Post( (object) array( 'post_type' => 'ticket' ) ) );
		do_action( 'deleted_post', 20 );
		$this->assertSame( array( 'flush', 'delete' ), $this->called() );
	}

	/**
	 * The adapter ends with a flush, or goes on.
	 */
	public function test_the_end(): void {
		update_metadata( 'post', self::ID, '_st', 'open' );
		$this->daemon->fail_next( 'unavailable' );
		$this->assertNotSame( '', Adapter::instance()->end() );
		$this->assertNotSame( array(), Adapter::descriptions() );
		$this->assertSame( '', Adapter::instance()->end() );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
		$this->assertSame( array(), Adapter::descriptions() );
		update_metadata( 'post', self::ID, '_st', 'closed' );
		$this->assertSame( array( 'closed' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * In a copy of the database under another name WordPress writes all metadata, and the option can be removed.
	 */
	public function test_a_copy_of_the_database(): void {
		$this->begin( true, array( 'table' => 'original.wp_postmeta' ) );
		update_metadata( 'post', self::ID, '_st', 'open' );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
		$this->assertSame( '', Adapter::instance()->end() );
		$this->assertFalse( get_option( Adapter::OPTION ) );
		$this->assertSame( array(), $this->called() );
		Adapter::instance()->learn( 'post' );
		update_metadata( 'post', self::ID, '_st', 'closed' );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * A page does not ask the database for an option that is not there.
	 */
	public function test_without_the_option(): void {
		wp_cache_set( 'alloptions', array( 'another' => 'x' ), 'options' );
		wp_cache_delete( 'notoptions', 'options' );
		$this->assertSame( array(), Adapter::descriptions() );
		require dirname( __DIR__, 3 ) . '/ticketd/src/meta.php';
		$this->assertFalse( wp_cache_get( 'notoptions', 'options' ) );
	}

	/**
	 * The watchdog makes the option autoloaded again where a tool has changed that.
	 */
	public function test_an_option_that_is_not_autoloaded(): void {
		$descriptions = Adapter::descriptions();
		wp_cache_set( 'alloptions', array( 'another' => 'x' ), 'options' );
		wp_cache_set( Adapter::OPTION, $descriptions, 'options' );
		$this->rows->autoload = 'no';
		$this->assertSame( array(), Adapter::descriptions() );
		( new Watchdog( Plugin::instance()->api(), new Settings() ) )->look();
		$this->assertSame( $descriptions['post']['keys'], Adapter::descriptions()['post']['keys'] );
		$this->assertArrayHasKey( Adapter::OPTION, wp_load_alloptions() );
		$this->assertContains( 'describe', $this->called() );
	}

	/**
	 * `wp ticketd meta install` keeps the loader while the daemon does not answer: changes may be pending.
	 */
	public function test_install_without_the_daemon(): void {
		require_once __DIR__ . '/../../Support/wp-cli.php';
		foreach ( array( true, false ) as $is_known ) {
			$this->begin( $is_known );
			$this->daemon->fail_next( 'unavailable', 2 );
			try {
				( new MetaCommand() )->install( array(), array() );
				$this->fail( 'The command ends without an error.' );
			} catch ( ExitException $end ) {
				$this->assertSame( $is_known, Loader::is_installed() );
			} finally {
				Loader::remove();
			}
		}
	}

	/**
	 * The keys come from the daemon, if it has such a site.
	 */
	public function test_keys_are_learnt(): void {
		Adapter::instance()->end();
		$this->assertIsArray( Adapter::instance()->learn( 'post' ) );
		$this->assertSame( self::KEYS, Adapter::descriptions()['post']['keys'] );
		$this->assertSame( 'ticketd_kind', Adapter::instance()->learn( 'user' )->get_error_code() );
		$this->daemon->fail_next( 'unavailable' );
		$this->assertSame( 'ticketd_unavailable', Adapter::instance()->learn( 'post' )->get_error_code() );
	}
}
