<?php
/**
 * Changes of metadata.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress\Meta;

/**
 * Each change once without the adapter and once with it: the same values, actions and rows.
 */
final class WritesTest extends MetaTestCase {

	/**
	 * Sequences of changes: function, arguments.
	 */
	public static function sequences(): array {
		$object      = new \stdClass();
		$object->key = 'value';
		return array(
			'added twice'          => array( array( array( 'add_metadata', array( '_st', 'open', true ) ), array( 'add_metadata', array( '_st', 'open', true ) ) ) ),
			'NULL'                 => array( array( array( 'add_metadata', array( '_st', null, true ) ), array( 'update_metadata', array( '_st', null ) ), array( 'update_metadata', array( '_st', '' ) ) ) ),
			'types'                => array(
				array(
					array( 'update_metadata', array( '_st', true ) ),
					array( 'update_metadata', array( '_st', true ) ),
					array( 'update_metadata', array( '_st', false ) ),
					array( 'update_metadata', array( '_st', 7 ) ),
					array( 'update_metadata', array( '_st', '7' ) ),
					array( 'update_metadata', array( '_st', 0.1 ) ),
					array( 'update_metadata', array( '_st', 1e25 ) ),
				),
			),
			'arrays and objects'   => array(
				array(
					array( 'update_metadata', array( '_st', array( 'a' => 1 ) ) ),
					array( 'update_metadata', array( '_st', array( 'a' => 1 ) ) ),
					array( 'update_metadata', array( '_st', $object ) ),
					array( 'update_metadata', array( '_st', 'a:0:{}' ) ),
				),
			),
			'slashes'              => array( array( array( 'update_metadata', array( '_st', "O\\'Brien" ) ) ) ),
			'a previous value'     => array(
				array(
					array( 'update_metadata', array( '_st', 'open' ) ),
					array( 'update_metadata', array( '_st', 'closed', 'open' ) ),
					array( 'update_metadata', array( '_st', 'again', 'open' ) ),
					array( 'update_metadata', array( '_st', 'other', 'CLOSED' ) ),
					array( 'update_metadata', array( '_st', 'last', '' ) ),
					array( 'update_metadata', array( '_note', 'first', 'open' ) ),
				),
			),
			'deletions'            => array(
				array(
					array( 'update_metadata', array( '_st', 'open' ) ),
					array( 'delete_metadata', array( '_st', 'closed' ) ),
					array( 'delete_metadata', array( '_st', 'open' ) ),
					array( 'delete_metadata', array( '_st' ) ),
					array( 'update_metadata', array( '_st', 'again' ) ),
					array( 'delete_metadata', array( '_st', '', true ) ),
				),
			),
			'several rows'         => array(
				array(
					array( 'add_metadata', array( '_st', 'a' ) ),
					array( 'add_metadata', array( '_st', 'b' ) ),
					array( 'update_metadata', array( '_st', 'c' ) ),
					array( 'delete_metadata', array( '_st' ) ),
				),
			),
			'other keys and cases' => array(
				array(
					array( 'add_metadata', array( '_st', 'a' ) ),
					array( 'update_metadata', array( '_ST', 'b' ) ),
					array( 'update_metadata', array( 'other', 'c' ) ),
					array( 'delete_metadata', array( 'other' ) ),
				),
			),
			'a case of ours first' => array(
				array(
					array( 'add_metadata', array( '_ST', 'a' ) ),
					array( 'add_metadata', array( '_st', 'b', true ) ),
					array( 'add_metadata', array( '_st', 'b' ) ),
					array( 'update_metadata', array( '_st', 'c' ) ),
				),
			),
		);
	}

	/**
	 * The same as WordPress alone, for posts and for users.
	 *
	 * @dataProvider sequences
	 * @param array[] $changes The changes.
	 */
	public function test_as_wordpress_does( array $changes ): void {
		foreach ( array( 'post', 'user' ) as $type ) {
			$this->begin( false );
			$plain = $this->run_all( $type, $changes );
			$this->begin( true, array(), $type );
			$taken = $this->run_all( $type, $changes );
			$this->assertSame( $plain, $taken );
			$this->assertContains( 'waiting', $this->called() );
		}
	}

	/**
	 * Makes changes.
	 *
	 * @param string  $type    `post` or `user`.
	 * @param array[] $changes The changes.
	 * @return array What they returned and did, what is read, and the rows after a flush.
	 */
	private function run_all( string $type, array $changes ): array {
		$seen = array();
		foreach ( $changes as list( $function, $args ) ) {
			$this->listen();
			$returned = $function( $type, self::ID, ...$args );
			// A new row's id is not known before the flush; `update` then returns true.
			$seen[] = array(
				is_int( $returned ) ? true : $returned,
				$this->without_row_ids(),
				array_map( static fn( $value ) => maybe_serialize( $value ), (array) get_metadata( $type, self::ID, '_st' ) ),
				maybe_serialize( get_metadata( $type, self::ID, '_st', true ) ),
				metadata_exists( $type, self::ID, '_st' ),
				get_metadata( $type, self::ID ),
			);
		}
		$this->daemon->flush();
		$rows = array_values( $this->rows->rows );
		sort( $rows );
		return array( $seen, $rows );
	}

	/**
	 * The actions with the ids of rows replaced.
	 */
	private function without_row_ids(): array {
		$actions = array();
		foreach ( $this->actions as list( $hook, $args ) ) {
			if ( 1 === preg_match( '/^(added|update|updated|delete|deleted)_/', $hook ) ) {
				$args[0] = 'row';
			}
			$actions[] = array( $hook, array_map( static fn( $arg ) => is_object( $arg ) ? serialize( $arg ) : $arg, $args ) );
		}
		return $actions;
	}

	/**
	 * A life of changes sends no statement that changes the table, and one set for each change.
	 */
	public function test_the_table_is_left_alone(): void {
		add_metadata( 'post', self::ID, '_st', 'open', true );
		update_metadata( 'post', self::ID, '_st', 'closed' );
		update_metadata( 'post', self::ID, '_st', 'open', 'closed' );
		update_metadata( 'post', self::ID, '_note', 5 );
		$this->assertSame( 0, $this->rows->writes() );
		$this->assertSame( 4, $this->count_of( 'set' ) );
		$this->assertSame( array(), $this->rows->rows );
		$this->assertSame( array(), preg_grep( '/^SELECT meta_id/', $this->rows->statements ) ); // No listener needs it.
	}

	/**
	 * A value that is the same byte by byte needs no call.
	 */
	public function test_the_same_value_calls_nothing(): void {
		$this->rows->put( self::ID, '_st', '1' );
		$this->assertFalse( update_metadata( 'post', self::ID, '_st', true ) );
		$this->assertSame( array( 'update_post_meta', 'update_postmeta' ), array_column( $this->actions, 0 ) );
		$this->assertFalse( update_metadata( 'post', self::ID, '_st', '1' ) );
		$this->assertSame( array( 'waiting' ), $this->called() );
	}

	/**
	 * A conflict is left to the table, without firing the actions again.
	 */
	public function test_a_conflict(): void {
		update_metadata( 'post', self::ID, '_st', 'open' );
		add_action(
			'update_post_meta',
			$change = function () use ( &$change ): void {
				remove_action( 'update_post_meta', $change );
				$this->daemon->set( self::ID, array( 'status' => 'taken' ) );
			}
		);
		$this->listen();
		$this->assertFalse( update_metadata( 'post', self::ID, '_st', 'closed', 'open' ) );
		$this->assertSame( array( 'update_post_meta', 'update_postmeta' ), array_column( $this->actions, 0 ) );
		$this->assertSame( 'taken', get_metadata( 'post', self::ID, '_st', true ) );
		$this->assertSame( array( 'taken' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * A change that ticketd refuses is written as WordPress does, once.
	 */
	public function test_a_refusal(): void {
		update_metadata( 'post', self::ID, '_st', 'open' );
		$this->daemon->fail_next( 'invalid' );
		$this->listen();
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'closed' ) );
		$names = array( 'update_post_meta', 'update_postmeta', 'updated_post_meta', 'updated_postmeta' );
		$this->assertSame( $names, array_column( $this->actions, 0 ) );
		$this->assertSame( array( 'closed' ), $this->rows->values( self::ID, '_st' ) );
		$this->assertSame( 'closed', get_metadata( 'post', self::ID, '_st', true ) );

		$this->daemon->fail_next( 'invalid', 2 );
		$this->assertIsInt( add_metadata( 'post', self::ID, '_note', 'x' ) );
		$this->assertSame( array( 'x' ), $this->rows->values( self::ID, '_note' ) );
	}

	/**
	 * Without a daemon nothing passes it by: a pending change would overwrite it.
	 */
	public function test_nothing_passes_the_daemon_by(): void {
		update_metadata( 'post', self::ID, '_st', 'open' );
		$this->daemon->fail_next( 'unavailable', 2 );
		$this->assertFalse( update_metadata( 'post', self::ID, '_st', 'closed' ) );
		$this->daemon->fail_next( 'unavailable' );
		$this->assertFalse( delete_metadata( 'post', self::ID, '_st' ) );
		$this->assertSame( 0, $this->rows->writes() );
		$this->assertSame( 'open', get_metadata( 'post', self::ID, '_st', true ) );
	}

	/**
	 * Another type's posts, and another plugin's answer, are left alone.
	 */
	public function test_what_is_not_ours(): void {
		add_metadata( 'post', self::PAGE, '_st', 'open' );
		$this->assertSame( array( 'open' ), $this->rows->values( self::PAGE, '_st' ) );
		add_filter( 'update_post_metadata', '__return_true' );
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'closed' ) );
		remove_filter( 'update_post_metadata', '__return_true' );
		$this->assertNotContains( 'set', $this->called() );
	}

	/**
	 * Of two processes that add a unique value one is first, whatever the other has read before.
	 */
	public function test_a_unique_value(): void {
		$this->assertSame( '', get_metadata( 'post', self::ID, '_st', true ) );
		$this->daemon->set( self::ID, array( 'status' => 'theirs' ) );
		$this->assertFalse( add_metadata( 'post', self::ID, '_st', 'ours', true ) );
		$this->assertSame( 'theirs', get_metadata( 'post', self::ID, '_st', true ) );
	}

	/**
	 * What another process has added since this one has read is no first value: the second gets a row of its own.
	 */
	public function test_values_of_two_processes(): void {
		$this->assertSame( array(), get_metadata( 'post', self::ID, '_st' ) );
		$this->daemon->set( self::ID, array( 'status' => 'theirs' ) );
		add_metadata( 'post', self::ID, '_st', 'ours' );
		$this->daemon->flush();
		$this->assertSame( array( 'theirs', 'ours' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * A key that a listener deletes before the update has no row to change.
	 */
	public function test_a_key_that_a_listener_deletes(): void {
		$this->rows->put( self::ID, '_st', 'open' );
		add_action( 'update_post_meta', $delete = static fn() => delete_metadata( 'post', self::ID, '_st' ) );
		$this->assertFalse( update_metadata( 'post', self::ID, '_st', 'closed' ) );
		remove_action( 'update_post_meta', $delete );
		$this->daemon->flush();
		$this->assertSame( array(), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * With `adds = "through"` WordPress writes the first row and returns its id.
	 */
	public function test_first_rows_through(): void {
		$this->begin( true, array( 'adds' => 'through' ) );
		$this->assertSame( 1, add_metadata( 'post', self::ID, '_st', 'open' ) );
		$this->assertTrue( update_metadata( 'post', self::ID, '_st', 'closed' ) );
		$this->assertSame( array( 'open' ), $this->rows->values( self::ID, '_st' ) );
	}

	/**
	 * A listener gets the id of a row that exists.
	 */
	public function test_the_id_of_a_row(): void {
		$row      = $this->rows->put( self::ID, '_st', 'open' );
		$seen     = array();
		add_action(
			'updated_post_meta',
			$hear = function ( ...$args ) use ( &$seen ): void {
				$seen[] = array( $args, get_metadata( 'post', self::ID, '_st', true ) );
			},
			10,
			4
		);
		update_metadata( 'post', self::ID, '_st', 'closed' );
		remove_action( 'updated_post_meta', $hear );
		$this->assertSame( array( array( array( (string) $row, self::ID, '_st', 'closed' ), 'closed' ) ), $seen );
	}
}
