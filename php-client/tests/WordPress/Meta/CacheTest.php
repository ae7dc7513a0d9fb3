<?php
/**
 * The cache entries of metadata.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress\Meta;

use Ticketd\WordPress\Meta\Adapter;

/**
 * What is read is the newest acknowledged value, and what is cached stays true after the flush.
 */
final class CacheTest extends MetaTestCase {

	/**
	 * Ends.
	 */
	protected function tearDown(): void {
		wp_using_ext_object_cache( false );
		wp_suspend_cache_addition( false );
		parent::tearDown();
	}

	/**
	 * A change of another process is laid over the rows before they are cached, as often as there are rows.
	 */
	public function test_pending_changes_are_cached(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		$this->rows->put( self::ID, '_note', 'a' );
		$this->rows->put( self::ID, '_note', 'b' );
		$this->daemon->set( self::ID, array( 'status' => 'closed', 'note' => null ) );
		$entry = array(
			'_st'   => array( 'closed' ),
			'_note' => array( null, null ),
		);
		$this->assertSame( $entry, get_metadata( 'post', self::ID ) );
		$this->assertSame( $entry, wp_cache_get( self::ID, 'post_meta' ) );
		$this->assertSame( '', get_metadata( 'post', self::ID, '_note', true ) );
		$this->daemon->flush();
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );
	}

	/**
	 * The daemon is asked before the rows are read: a change that is flushed in between is not missed.
	 */
	public function test_the_daemon_is_asked_first(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		$this->daemon->set( self::ID, array( 'status' => 'closed' ) );
		$order   = array();
		add_filter(
			'query',
			$see = function ( string $sql ) use ( &$order ): string {
				$order[] = $this->count_of( 'waiting' );
				$this->daemon->flush();
				return $sql;
			}
		);
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );
		remove_filter( 'query', $see );
		$this->assertSame( array( 1 ), $order );
	}

	/**
	 * Posts of other types cost no call; a post whose type is not known here does.
	 */
	public function test_other_posts_cost_no_call(): void {
		$this->rows->put( self::PAGE, 'other', 'x' );
		$this->assertSame( 'x', get_metadata( 'post', self::PAGE, 'other', true ) );
		$this->assertSame( array(), $this->called() );
		update_meta_cache( 'post', array( self::PAGE, 20 ) );
		$this->assertSame( array( array( 'waiting', array( array( 20 ) ) ) ), $this->daemon->calls() );
	}

	/**
	 * A write amends the entry of this request, so that nothing is read again; a persistent entry is deleted.
	 */
	public function test_a_write_and_the_entry(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		update_metadata( 'post', self::ID, '_st', 'closed' );
		$this->assertSame( array( '_st' => array( 'closed' ) ), wp_cache_get( self::ID, 'post_meta' ) );
		wp_using_ext_object_cache( true );
		update_metadata( 'post', self::ID, '_st', 'open' );
		$this->assertFalse( wp_cache_get( self::ID, 'post_meta' ) );
		$this->assertSame( 'open', get_metadata( 'post', self::ID, '_st', true ) );
	}

	/**
	 * Without an answer of the daemon nothing is cached; this request reads what it knows, in every way.
	 */
	public function test_without_the_daemon(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		wp_using_ext_object_cache( true );
		$this->assertTrue( update_metadata( 'post', self::ID, '_note', array( 1 ) ) );
		$this->daemon->fail_next( 'unavailable', 20 );
		$this->assertSame( 'open', get_metadata( 'post', self::ID, '_st', true ) );
		$this->assertSame( array( 'open' ), get_metadata( 'post', self::ID, '_st' ) );
		$this->assertSame( array( 1 ), get_metadata( 'post', self::ID, '_note', true ) );
		$this->assertSame( '', get_metadata( 'post', self::ID, 'none', true ) );
		$this->assertSame( array(), get_metadata( 'post', self::ID, 'none' ) );
		$this->assertTrue( metadata_exists( 'post', self::ID, '_st' ) );
		$this->assertFalse( metadata_exists( 'post', self::ID, 'none' ) );
		$all = array(
			'_st'   => array( 'open' ),
			'_note' => array( 'a:1:{i:0;i:1;}' ),
		);
		$this->assertSame( $all, get_metadata( 'post', self::ID ) );
		$this->assertSame( $all, get_metadata( 'post', self::ID, '', true ) );
		update_meta_cache( 'post', array( self::ID, self::PAGE ) );
		$this->assertFalse( wp_cache_get( self::ID, 'post_meta' ) );
		$this->assertSame( array(), wp_cache_get( self::PAGE, 'post_meta' ) );
	}

	/**
	 * Without an answer of the daemon a value that the row has may be an old one: it is sent, once.
	 */
	public function test_the_same_value_without_the_daemon(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		$this->rows->put( self::ID, '_note', '' );
		$this->daemon->set( self::ID, array( 'status' => 'closed' ) );
		foreach ( array( 'open', false ) as $value ) {
			$this->request();
			$this->daemon->fail_next( 'unavailable', 1 );
			$key = false === $value ? '_note' : '_st';
			$this->assertTrue( update_metadata( 'post', self::ID, $key, $value ) );
			$this->assertFalse( update_metadata( 'post', self::ID, $key, $value ) );
		}
		$this->daemon->flush();
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * Once the daemon answers again, what was read without it is forgotten.
	 */
	public function test_the_daemon_is_back(): void {
		$this->daemon->fail_next( 'unavailable', 1 );
		$this->assertSame( '', get_metadata( 'post', self::ID, '_st', true ) );
		$this->daemon->set( self::ID, array( 'status' => 'closed' ) );
		$before = wp_cache_get( 'last_changed', 'posts' );
		get_metadata( 'post', 20, 'x' );
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );
		$this->assertNotSame( $before, wp_cache_get( 'last_changed', 'posts' ) );
	}

	/**
	 * Without an answer of the daemon a key that WordPress writes itself is read as it was written, also by a listener.
	 */
	public function test_keys_of_others_without_the_daemon(): void {
		$seen     = array();
		add_action(
			'updated_post_meta',
			$hear = static function () use ( &$seen ): void {
				$seen[] = get_metadata( 'post', self::ID, 'other', true );
			}
		);
		$this->rows->put( self::ID, 'other', 'a' );
		$this->daemon->fail_next( 'unavailable', 30 );
		$this->assertSame( 'a', get_metadata( 'post', self::ID, 'other', true ) );
		$this->assertTrue( update_metadata( 'post', self::ID, 'other', 'b' ) );
		$this->assertSame( 'b', get_metadata( 'post', self::ID, 'other', true ) );
		$this->assertTrue( update_metadata( 'post', self::ID, 'other', 'a' ) );
		$this->assertSame( array( 'a' ), $this->rows->values( self::ID, 'other' ) );
		$this->assertSame( array( 'b', 'a' ), $seen );
		remove_action( 'updated_post_meta', $hear );
		$this->assertTrue( delete_metadata( 'post', 0, 'other', '', true ) );
		$this->assertSame( '', get_metadata( 'post', self::ID, 'other', true ) );
		$this->assertIsInt( add_metadata( 'post', self::ID, 'other', 'c' ) );
		$this->assertSame( 'c', get_metadata( 'post', self::ID, 'other', true ) );
	}

	/**
	 * The same in a transaction, for all keys, until its end and after it.
	 */
	public function test_a_transaction_without_the_daemon(): void {
		$row = $this->rows->put( self::ID, '_st', 'a' );
		foreach ( array( 'COMMIT' => 'b', 'ROLLBACK' => 'a' ) as $end => $last ) {
			$this->request();
			$this->rows->rows[ $row ]['meta_value'] = 'a';
			$this->daemon->fail_next( 'unavailable', 30 );
			apply_filters( 'query', 'START TRANSACTION' );
			$this->assertSame( 'a', get_metadata( 'post', self::ID, '_st', true ) );
			$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'b' ) );
			$this->assertSame( 'b', get_metadata( 'post', self::ID, '_st', true ), $end );
			$this->rows->rows[ $row ]['meta_value'] = $last;
			apply_filters( 'query', $end );
			$this->assertSame( $last, get_metadata( 'post', self::ID, '_st', true ), $end );
		}
	}

	/**
	 * While WordPress caches nothing, as at an import, the values are true nevertheless.
	 */
	public function test_nothing_is_cached(): void {
		$this->daemon->set( self::ID, array( 'status' => 'closed' ) );
		wp_suspend_cache_addition( true );
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'open' ) );
		$this->assertSame( 'open', get_metadata( 'post', self::ID, '_st', true ) );
		$this->daemon->set( self::ID, array( 'status' => 'by another process' ) );
		$this->assertSame( 'by another process', get_metadata( 'post', self::ID, '_st', true ) );
	}

	/**
	 * A field that the option does not have makes the option anew.
	 */
	public function test_new_keys_are_learnt(): void {
		$description = Adapter::descriptions()['post'];
		$this->daemon->describe_as( array( 'keys' => self::KEYS + array( 'more' => '_more' ) ) + $description );
		$this->daemon->set( self::ID, array( 'more' => 'x' ) );
		get_metadata( 'post', self::ID );
		$this->assertSame( self::KEYS + array( 'more' => '_more' ), Adapter::descriptions()['post']['keys'] );
	}
}
