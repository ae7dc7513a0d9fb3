<?php
/**
 * Statements that other code sends.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress\Meta;

use Ticketd\WordPress\Meta\Transaction;

/**
 * A flush before each statement that could miss or overwrite a pending change, and before no other.
 */
final class QueriesTest extends MetaTestCase {

	/**
	 * Statements, and the ids that are flushed: null for no flush, an empty list for all.
	 */
	public static function statements(): array {
		$join = 'SELECT SQL_CALC_FOUND_ROWS wp_posts.ID FROM wp_posts INNER JOIN wp_postmeta ON ( wp_posts.ID = wp_postmeta.post_id ) ';
		return array(
			'a meta query'            => array( $join . "WHERE 1=1 AND ( wp_postmeta.meta_key = '_st' AND wp_postmeta.meta_value = 'open' )", array() ),
			'of another key'          => array( $join . "WHERE 1=1 AND ( wp_postmeta.meta_key = 'other' AND wp_postmeta.meta_value = 'a _st b' )", null ),
			'without a key'           => array( $join . "WHERE 1=1 AND wp_postmeta.meta_value = 'open'", array() ),
			'one key of two'          => array( "SELECT a.post_id FROM wp_postmeta a INNER JOIN wp_postmeta b ON a.post_id = b.post_id WHERE a.meta_key = 'x' AND b.meta_value = 'y'", array() ),
			'the case of the key'     => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key = '_ST '", array() ),
			'a list of keys'          => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key IN ( 'a', '_note' )", array() ),
			'a list of others'        => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key IN ( 'a', 'b' )", null ),
			'a pattern'               => array( "SELECT post_id FROM wp_postmeta WHERE meta_key LIKE '%\\_s%'", array() ),
			'an export'               => array( 'SELECT * FROM wp_postmeta WHERE post_id = 7', array( 7 ) ),
			'some posts'              => array( 'SELECT * FROM wp_postmeta WHERE post_id IN (7, 8,9)', array( 7, 8 ) ),
			'posts of another type'   => array( 'SELECT * FROM wp_postmeta WHERE post_id IN (9)', null ),
			'a row of ours'           => array( 'SELECT * FROM wp_postmeta WHERE meta_id = 1', array( 7 ) ),
			'a row of another key'    => array( 'DELETE FROM wp_postmeta WHERE meta_id IN( 2 )', null ),
			'other tables'            => array( 'SELECT * FROM wp_posts WHERE ID = 7', null ),
			'a table with this name'  => array( 'SELECT * FROM wp_postmeta_copy', null ),
			'a text with this name'   => array( "UPDATE wp_options SET option_value = 'SELECT * FROM wp_postmeta' WHERE option_id = 1", null ),
			'an update of all'        => array( "UPDATE wp_postmeta SET meta_value = REPLACE( meta_value, 'a', 'b' )", array() ),
			'an update of a post'     => array( "UPDATE `wp_postmeta` SET `meta_value` = 'x WHERE post_id = 3' WHERE `post_id` = 7 AND `meta_key` = '_st'", array( 7 ) ),
			'of another key again'    => array( "UPDATE `wp_postmeta` SET `meta_value` = 'it\\'s' WHERE `post_id` = 7 AND `meta_key` = 'other'", null ),
			'either of two'           => array( "SELECT 1 FROM wp_postmeta WHERE post_id = 9 OR meta_key = '_st'", array() ),
			'an insert'               => array( "INSERT INTO `wp_postmeta` (`post_id`, `meta_key`, `meta_value`) VALUES (7, '_st', 'x')", array( 7 ) ),
			'two inserts'             => array( "INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (9, 'a', 'x'), (7, '_st', 'x')", array() ),
			'an insert of another'    => array( "INSERT INTO `wp_postmeta` (`post_id`, `meta_key`, `meta_value`) VALUES (7, 'other', 'x')", null ),
			'a copy'                  => array( 'INSERT INTO wp_postmeta (post_id, meta_key, meta_value) SELECT 8, meta_key, meta_value FROM wp_postmeta WHERE post_id=7', array( 7 ) ),
			'a comment before it'     => array( "/* it's a plugin */ SELECT meta_value FROM wp_postmeta WHERE meta_key = '_st'", array() ),
			'comments of all kinds'   => array( " -- a\n# b\n(/*!50000 SELECT */ meta_value FROM wp_postmeta WHERE post_id = 7 AND meta_key = '_st')", array( 7 ) ),
			'an update with a comment' => array( "/* x */ UPDATE wp_postmeta SET meta_value = 'x' WHERE post_id = 7 AND meta_key = '_st'", array( 7 ) ),
			'an apostrophe'           => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key = 'o\\'clock'", array() ),
			'two apostrophes'         => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key = 'o''clock'", array() ),
			'a key or a pattern'      => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key = 'a' OR meta_key LIKE '%t'", array() ),
			'a key or a post'         => array( "SELECT meta_value FROM wp_postmeta WHERE meta_key = 'a' OR post_id = 7", array() ),
			'not this key'            => array( "SELECT meta_value FROM wp_postmeta WHERE post_id = 7 AND NOT meta_key = 'a'", array( 7 ) ),
			'a list with a term'      => array( "SELECT meta_value FROM wp_postmeta WHERE post_id = 7 AND meta_key IN ('a', CONCAT('_', 'st'))", array( 7 ) ),
			'a case of a key'         => array( "SELECT IF(meta_key = 'a', '', meta_value) FROM wp_postmeta WHERE post_id = 7", array( 7 ) ),
			'either of two others'    => array( $join . "LEFT JOIN wp_postmeta AS mt1 ON ( wp_posts.ID = mt1.post_id AND mt1.meta_key = 'b' ) WHERE 1=1 AND ((post_title LIKE '%a%') OR (post_excerpt LIKE '%a%')) AND ( wp_postmeta.meta_key = 'a' OR mt1.post_id IS NULL OR ( mt1.meta_key = 'b' AND mt1.meta_value = '1' ) )", null ),
			'a table of it'           => array( 'CREATE TABLE backup AS SELECT * FROM wp_postmeta', array() ),
			'a table like it'         => array( 'CREATE TABLE backup LIKE wp_postmeta', null ),
			'the columns'             => array( 'SHOW FULL COLUMNS FROM `wp_postmeta`', null ),
		);
	}

	/**
	 * Flushes what the statement concerns.
	 *
	 * @dataProvider statements
	 * @param string     $sql The statement.
	 * @param array|null $ids What is flushed.
	 */
	public function test_what_is_flushed( string $sql, ?array $ids ): void {
		$this->rows->put( self::ID, '_st', 'open' );
		$this->rows->put( self::ID, 'other', 'x' );
		$this->assertSame( $sql, apply_filters( 'query', $sql ) );
		$flushed = array_column( array_column( $this->daemon->calls(), 1 ), 0 );
		$this->assertSame( null === $ids ? array() : array( $ids ), $flushed );
	}

	/**
	 * Within a transaction WordPress writes, and a rollback forgets what was read in it.
	 */
	public function test_a_transaction(): void {
		update_metadata( 'post', self::ID, '_st', 'open' );
		apply_filters( 'query', 'START TRANSACTION' );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
		$calls = count( $this->called() );
		update_metadata( 'post', self::ID, '_st', 'closed' );
		$this->assertSame( array( 'closed' ), $this->rows->values( self::ID, '_st' ) );
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );
		$this->assertNotContains( 'flush', array_slice( $this->called(), $calls ) );
		apply_filters( 'query', 'ROLLBACK TO here' );
		$this->sink_back( 'open' );
		apply_filters( 'query', 'ROLLBACK' );
		$this->assertSame( 'open', get_metadata( 'post', self::ID, '_st', true ) );
		update_metadata( 'post', self::ID, '_st', 'last' );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * An older change of another process never comes after what WordPress writes within a transaction.
	 */
	public function test_a_change_of_another_process_in_a_transaction(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		apply_filters( 'query', '/* x */ BEGIN' );
		$this->daemon->set( self::ID, array( 'status' => 'theirs' ) );
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'ours' ) );
		$this->assertSame( array( 'ours' ), $this->rows->values( self::ID, '_st' ) );
		apply_filters( 'query', '-- x' . "\n" . 'COMMIT' );
		$this->daemon->flush();
		$this->assertSame( array( 'ours' ), $this->rows->values( self::ID, '_st' ) );
		update_metadata( 'post', self::ID, '_st', 'later' );
		$this->assertSame( array( 'ours' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * Where the change of another process cannot be flushed within the transaction, the new value is sent at its end, and
	 * a deletion is refused.
	 */
	public function test_a_flush_that_fails_in_a_transaction(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		apply_filters( 'query', 'SET autocommit = 0' );
		$this->daemon->set( self::ID, array( 'status' => 'theirs' ) );
		get_metadata( 'post', self::ID );
		$this->daemon->fail_next( 'unavailable', 3 );
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'first' ) );
		$this->assertFalse( delete_metadata( 'post', self::ID, '_st' ) );
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'ours' ) );
		$sets = $this->count_of( 'set' );
		apply_filters( 'query', 'COMMIT' );
		$this->assertSame( $sets + 1, $this->count_of( 'set' ) );
		$this->daemon->flush();
		$this->assertSame( array( 'ours' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * What is pending and could not be flushed is older than the row that WordPress writes within the transaction: it is
	 * read neither within the transaction nor after its end. A rollback brings it back.
	 */
	public function test_an_older_change_in_a_transaction(): void {
		foreach ( array( 'COMMIT' => 'ours', 'ROLLBACK' => 'theirs' ) as $end => $last ) {
			$this->begin();
			$this->rows->put( self::ID, '_st', 'open' );
			apply_filters( 'query', 'START TRANSACTION' );
			$this->daemon->set( self::ID, array( 'status' => 'theirs' ) );
			$this->daemon->fail_next( 'unavailable', 2, 'flush' );
			$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'ours' ) );
			$this->assertSame( 'ours', get_metadata( 'post', self::ID, '_st', true ), $end );
			$this->assertNotFalse( wp_cache_get( self::ID, 'post_meta' ) );
			$this->sink_back( 'COMMIT' === $end ? 'ours' : 'open' );
			apply_filters( 'query', $end );
			$this->assertSame( $last, get_metadata( 'post', self::ID, '_st', true ), $end );
			$this->daemon->flush();
			$this->assertSame( array( $last ), $this->rows->values( self::ID, '_st' ) );
		}
	}

	/**
	 * Changes that WordPress refuses within a transaction send nothing, and leave what is owed.
	 */
	public function test_refused_changes_in_a_transaction(): void {
		$this->begin( true, array( 'posts' => array( 'status' => 'post_status' ) ) );
		$this->rows->put( self::ID, '_st', 'open' );
		$refused = array(
			array( 'update_metadata', 'other', 'not this' ),
			array( 'add_metadata', 'other', true ),
			array( 'delete_metadata', 'not this', false ),
			array( 'delete_metadata', 'not this', true ),
		);
		foreach ( array( array(), array( 'ours' ) ) as $owed ) {
			foreach ( $refused as list( $function, $value, $more ) ) {
				apply_filters( 'query', 'START TRANSACTION' );
				$sets = $this->count_of( 'set' );
				foreach ( $owed as $ours ) {
					update_metadata( 'post', self::ID, '_st', $ours );
				}
				$this->assertFalse( $function( 'post', self::ID, '_st', $value, $more ), $function );
				apply_filters( 'query', 'COMMIT' );
				$this->assertSame( count( $owed ), $this->count_of( 'set' ) - $sets, $function );
			}
		}
		$this->assertSame( 'ours', $this->daemon->get( self::ID )['fields']['status'] );
	}

	/**
	 * Of nested changes the one is sent that WordPress has written last.
	 */
	public function test_nested_changes_in_a_transaction(): void {
		$this->begin( true, array( 'posts' => array( 'status' => 'post_status' ) ) );
		$this->rows->put( self::ID, '_st', 'open' );
		apply_filters( 'query', 'START TRANSACTION' );
		add_action(
			'update_post_meta',
			$nested = static function () use ( &$nested ): void {
				remove_action( 'update_post_meta', $nested );
				update_metadata( 'post', self::ID, '_st', 'inner' );
			}
		);
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'outer' ) );
		apply_filters( 'query', 'COMMIT' );
		$this->assertSame( 'outer', $this->daemon->get( self::ID )['fields']['status'] );
		$this->assertSame( array( 'outer' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * A return to a savepoint keeps what was owed before it, and drops what came after it; the entry is read anew.
	 */
	public function test_a_savepoint(): void {
		$this->begin( true, array( 'posts' => array( 'status' => 'post_status', 'note' => 'post_title' ) ) );
		$this->rows->put( self::ID, '_st', 'open' );
		apply_filters( 'query', 'START TRANSACTION' );
		update_metadata( 'post', self::ID, '_st', 'before' );
		apply_filters( 'query', 'SAVEPOINT `One`' );
		$saved = $this->rows->rows;
		update_metadata( 'post', self::ID, '_st', 'after' );
		update_metadata( 'post', self::ID, '_note', 'after' );
		apply_filters( 'query', 'SAVEPOINT two' );
		$this->assertSame( 'after', get_metadata( 'post', self::ID, '_st', true ) );
		apply_filters( 'query', 'ROLLBACK TO SAVEPOINT one' );
		$this->rows->rows = $saved;
		$this->assertSame( 'before', get_metadata( 'post', self::ID, '_st', true ) );
		apply_filters( 'query', 'ROLLBACK WORK TO two' ); // An error: it is gone.
		$flushes = $this->count_of( 'flush' );
		apply_filters( 'query', "UPDATE wp_postmeta SET meta_value = 'x' WHERE post_id = 7 AND meta_key = '_st'" );
		$this->assertSame( $flushes, $this->count_of( 'flush' ) );
		apply_filters( 'query', 'COMMIT' );
		$fields = $this->daemon->get( self::ID )['fields'];
		$this->assertSame( 'before', $fields['status'] );
		$this->assertArrayNotHasKey( 'note', $fields );
	}

	/**
	 * A transaction begins with a flush like a query's: it is short, and the action says that it failed.
	 */
	public function test_the_begin_of_a_transaction(): void {
		$seen = array();
		add_action(
			'ticketd_stale_query',
			static function ( string $sql ) use ( &$seen ): void {
				$seen[] = $sql;
			}
		);
		$this->daemon->fail_next( 'timeout' );
		apply_filters( 'query', 'START TRANSACTION' );
		$this->assertSame( array( 'START TRANSACTION' ), $seen );
		$this->assertSame( 1, $this->count_of( 'flush' ) );
	}

	/**
	 * What a column of the post shows is sent when the transaction is committed, unless the key is deleted or the
	 * transaction undone.
	 */
	public function test_a_column_in_a_transaction(): void {
		$this->begin( true, array( 'posts' => array( 'status' => 'post_status' ) ) );
		foreach ( array( 'COMMIT', 'ROLLBACK', '' ) as $end ) {
			apply_filters( 'query', 'START TRANSACTION' );
			update_metadata( 'post', self::ID, '_st', 'first' );
			update_metadata( 'post', self::ID, '_st', 'last' );
			'' === $end && delete_metadata( 'post', self::ID, '_st' );
			$sets = $this->count_of( 'set' );
			apply_filters( 'query', '' === $end ? 'COMMIT' : $end );
			$this->assertSame( 'COMMIT' === $end ? 1 : 0, $this->count_of( 'set' ) - $sets );
		}
		$this->assertSame( 'last', $this->daemon->get( self::ID )['fields']['status'] );
	}

	/**
	 * What opens a transaction, and what ends it.
	 */
	public function test_what_a_transaction_is(): void {
		foreach ( array( 'START TRANSACTION READ WRITE', 'begin', 'SET sql_mode = "", @@autocommit=OFF', 'LOCK TABLES wp_postmeta WRITE' ) as $begin ) {
			foreach ( array( 'COMMIT', 'ROLLBACK WORK', 'SET autocommit=1', 'UNLOCK TABLES', 'CREATE TABLE x (id INT)' ) as $end ) {
				$transaction = new Transaction();
				$this->assertSame( Transaction::BEGINS, $transaction->follow( $begin ), $begin );
				$transaction->follow( 'CREATE TEMPORARY TABLE x (id INT)' );
				$transaction->follow( 'ROLLBACK TO SAVEPOINT a' );
				$transaction->follow( "SET NAMES 'utf8mb4'" );
				$this->assertTrue( $transaction->is_open(), $begin );
				$this->assertNotSame( Transaction::NOTHING, $transaction->follow( $end ), $end );
				$ends = false !== strpos( 'LOCK', $begin[0] ) ? 'UNLOCK TABLES' === $end : ( 'S' !== $begin[0] || 'T' === $begin[1] || 'SET autocommit=1' === $end );
				$this->assertSame( ! $ends, $transaction->is_open(), "$begin, $end" );
			}
		}
		$transaction->follow( 'UNLOCK TABLES' );
		$this->assertSame( Transaction::NOTHING, $transaction->follow( 'SET GLOBAL autocommit=0' ) );
		$this->assertSame( Transaction::NOTHING, $transaction->follow( 'START SLAVE' ) );
		$transaction->follow( 'BEGIN' );
		$transaction->follow( 'COMMIT AND CHAIN' );
		$this->assertTrue( $transaction->is_open() );
	}

	/**
	 * What the database does at a rollback.
	 *
	 * @param string $value The value before.
	 */
	private function sink_back( string $value ): void {
		foreach ( array_keys( $this->rows->rows ) as $row ) {
			$this->rows->rows[ $row ]['meta_value'] = $value;
		}
	}

	/**
	 * A flush that fails is not waited for again on this page, the action fires once, and no answer is kept.
	 */
	public function test_a_stale_query(): void {
		$seen = array();
		add_action(
			'ticketd_stale_query',
			static function ( string $sql, int $age_ms ) use ( &$seen ): void {
				$seen[] = array( $sql, $age_ms );
			},
			10,
			2
		);
		wp_cache_set( 'last_changed', 'before', 'posts' );
		$sql = "SELECT post_id FROM wp_postmeta WHERE meta_key = '_st'";
		$this->daemon->fail_next( 'timeout' );
		apply_filters( 'query', $sql );
		apply_filters( 'query', $sql );
		$this->assertSame( array( array( $sql, 0 ) ), $seen );
		$this->assertSame( 1, $this->count_of( 'flush' ) );
		$this->assertNotSame( 'before', wp_cache_get( 'last_changed', 'posts' ) );
	}

	/**
	 * A read whose flush took too long lets no change pass: a pending value would overwrite it.
	 */
	public function test_a_change_after_a_stale_query(): void {
		$update = "UPDATE wp_postmeta SET meta_value = 'x' WHERE meta_key = '_st'";
		$this->daemon->fail_next( 'timeout', 2 );
		apply_filters( 'query', "SELECT post_id FROM wp_postmeta WHERE meta_key = '_st'" );
		apply_filters( 'query', $update );
		$this->assertSame( 2, $this->count_of( 'flush' ) );
		apply_filters( 'query', $update );
		$this->assertSame( 2, $this->count_of( 'flush' ) );
	}

	/**
	 * A site may let its queries be stale, each or all; the answers are not kept either.
	 */
	public function test_queries_that_may_be_stale(): void {
		add_filter( 'ticketd_query_may_be_stale', static fn( bool $stale, string $sql ): bool => false !== strpos( $sql, 'agent' ), 10, 2 );
		wp_cache_set( 'last_changed', 'before', 'posts' );
		apply_filters( 'query', "SELECT /* agent */ post_id FROM wp_postmeta WHERE meta_key = '_st'" );
		$this->assertSame( 0, $this->count_of( 'flush' ) );
		$this->assertNotSame( 'before', wp_cache_get( 'last_changed', 'posts' ) );
		apply_filters( 'query', "SELECT post_id FROM wp_postmeta WHERE meta_key = '_st'" );
		$this->assertSame( 1, $this->count_of( 'flush' ) );

		remove_all_filters( 'ticketd_query_may_be_stale' );
		$this->begin( true, array( 'queries' => 'stale' ) );
		apply_filters( 'query', "SELECT post_id FROM wp_postmeta WHERE meta_key = '_st'" );
		$this->assertSame( 0, $this->count_of( 'flush' ) );
		apply_filters( 'query', "UPDATE wp_postmeta SET meta_value = 'x' WHERE meta_key = '_st'" );
		$this->assertSame( 1, $this->count_of( 'flush' ) );
	}
}
