<?php
/**
 * The plugin while the daemon is away: changes.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\MariaDb;
use Ticketd\Tests\Support\Peer;
use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Cli\Command;
use Ticketd\WordPress\Database;
use Ticketd\WordPress\Link;
use Ticketd\WordPress\Sequence;
use Ticketd\WordPress\Settings;

/**
 * Pages go on: every change is accepted, and the answer says how.
 */
final class OutageTest extends OutageTestCase {

	/** Some fields. */
	private const FIELDS = array( 'status' => 'open' );

	/**
	 * The functions return the same as with a daemon, except for the revision.
	 */
	public function test_changes_are_accepted(): void {
		$this->assertSame( 0, ticketd_set_ticket( 812, self::FIELDS ) );
		$this->assertSame( 0, ticketd_delete_ticket( 813 ) );
		$this->assertSame( array( 814 => 0, 815 => 0 ), ticketd_set_tickets( array( 814 => self::FIELDS, 815 => self::FIELDS ) ) );
		$this->assertTrue( my_support_plugin_write_ticket_metadata( 816, self::FIELDS ) );
		$methods = array_map( fn( $spooled ) => array( $spooled[0], $spooled[1]['id'] ), $this->spooled() );
		$this->assertSame( array( array( 'set', 812 ), array( 'delete', 813 ), array( 'set', 814 ), array( 'set', 815 ), array( 'set', 816 ) ), $methods );
	}

	/**
	 * A change that cannot be accepted returns a WP_Error as always.
	 */
	public function test_a_bad_change_is_an_error(): void {
		$refusal = ticketd_set_ticket( 812, array( 'subject' => "\xff" ) );
		$this->assertSame( 'ticketd_invalid', $refusal->get_error_code() );
		$this->assertSame( array( 400, 'subject' ), array( $refusal->get_error_data()['status'], $refusal->get_error_data()['field'] ) );
		$outcomes = ticketd_set_tickets( array( 1 => array( '_rev' => 1 ), 2 => self::FIELDS ) );
		$this->assertSame( 'ticketd_invalid', $outcomes[1]->get_error_code() );
		$this->assertSame( 0, $outcomes[2] );
		$this->assertSame( 'ticketd_unavailable', ticketd_set_ticket( 812, self::FIELDS, 7 )->get_error_code() );
		$this->assertCount( 1, $this->spooled() );
	}

	/**
	 * New tickets get ids from the sequence in the database, each a new id that no row has; an id that was typed in
	 * does not move the numbering.
	 */
	public function test_a_new_ticket_gets_its_id_from_the_database(): void {
		$this->assertSame( 1, ticketd_create_ticket( self::FIELDS ) );
		$this->assertSame( 2, ticketd_create_ticket( self::FIELDS, 'form-1' ) );
		$this->assertSame( 2, ticketd_create_ticket( self::FIELDS, 'form-1' ) );
		$this->row( array( 'ticket_id' => 888888 ) );
		$this->row( array( 'ticket_id' => 1 << 52 ) );
		$this->assertSame( 3, ticketd_create_ticket( self::FIELDS ) );
		$this->assertSame( '4', $GLOBALS['wpdb']->get_var( 'SELECT next FROM wp_support_tickets_seq' ) );
		$this->assertSame( array( 1, 2, 3 ), array_map( fn( $spooled ) => $spooled[1]['id'], $this->spooled() ) );
	}

	/**
	 * Ids of rows, of deleted rows and of spooled changes are skipped.
	 */
	public function test_a_new_ticket_gets_no_id_that_is_taken(): void {
		$wpdb = $GLOBALS['wpdb'];
		for ( $id = 1; $id <= 60; ++$id ) {
			$this->row( array( 'ticket_id' => $id ) );
		}
		$this->spool( 'set', 61, self::FIELDS );
		$this->row( array( 'ticket_id' => 62 ) );
		$wpdb->query( 'CREATE TABLE wp_support_tickets_ticketd (id BIGINT PRIMARY KEY)' );
		$wpdb->query( 'INSERT INTO wp_support_tickets_ticketd VALUES (63), (64), (66)' );
		try {
			$this->assertSame( 65, ticketd_create_ticket( self::FIELDS ) );
			$this->assertSame( 67, ticketd_create_ticket( self::FIELDS ) );
		} finally {
			$wpdb->query( 'DROP TABLE wp_support_tickets_ticketd' );
		}
	}

	/**
	 * What makes the database hang, and how that ends.
	 */
	public static function hangs(): array {
		$hang    = static function ( string ...$statements ): callable {
			return static fn( \mysqli $other ) => array_map( array( $other, 'query' ), $statements );
		};
		$unlock  = $hang( 'UNLOCK TABLES', 'ROLLBACK' );
		$resume  = static fn() => MariaDb::stop( false );
		$tickets = 'LOCK TABLES wp_support_tickets WRITE';
		return array(
			'the tickets are locked' => array( $hang( $tickets ), $unlock ),
			'the sequence is locked' => array( $hang( 'LOCK TABLES wp_support_tickets_seq WRITE' ), $unlock ),
			'its row is locked'      => array( $hang( 'BEGIN', 'UPDATE wp_support_tickets_seq SET next = next' ), $unlock ),
			'the server hangs'       => array( static fn() => MariaDb::stop( true ), $resume ),
		);
	}

	/**
	 * While the daemon is away and the database hangs, a new ticket fails within the deadline of its call, with the
	 * reason; other changes are spooled. The page's own connection goes on.
	 *
	 * @dataProvider hangs
	 * @param callable $hang    Makes the database hang.
	 * @param callable $release Ends that.
	 */
	public function test_a_database_that_hangs_has_the_deadline_of_the_call( callable $hang, callable $release ): void {
		$this->assertSame( 1, ticketd_create_ticket( self::FIELDS ) );
		Link::forget(); // The next page is another PHP request.
		add_filter( 'ticketd_timeout_ms', static fn() => 1000 );
		$other = MariaDb::other();
		$hang( $other );
		try {
			$begin   = hrtime( true );
			$created = ticketd_create_ticket( self::FIELDS );
			$took_ms = intdiv( hrtime( true ) - $begin, 1000000 );
			$this->assertSame( 0, ticketd_set_ticket( 812, self::FIELDS ) );
			$this->assertSame( 'ticketd_unavailable', ticketd_create_ticket( self::FIELDS )->get_error_code() );
			$all_ms = intdiv( hrtime( true ) - $begin, 1000000 );
		} finally {
			$release( $other );
		}
		$this->assertSame( 'ticketd_unavailable', $created->get_error_code() );
		$this->assertStringContainsString( 'Neither ticketd nor the database', $created->get_error_message() );
		$this->assertLessThan( 1500, $took_ms ); // The driver's own time-outs are whole seconds.
		$this->assertLessThan( 1900, $all_ms, 'each call waits anew' );
		$this->assertCount( 2, $this->spooled() );
		$this->assertSame( '1', $GLOBALS['wpdb']->get_var( 'SELECT 1' ) );
		Link::forget();
		$this->assertGreaterThan( 1, ticketd_create_ticket( self::FIELDS ) );
	}

	/**
	 * A hanging daemon takes the whole time of the call, and the ticket still gets its id.
	 */
	public function test_a_daemon_that_hangs_leaves_the_database_some_time(): void {
		add_filter( 'ticketd_timeout_ms', static fn() => 200 );
		$peer = new Peer( array( array( array( 'frame' ), array( 'hold' ) ) ) );
		Site::connect( $peer->socket );
		$this->assertSame( 1, ticketd_create_ticket( self::FIELDS ) );
	}

	/**
	 * If the table gives ids itself, only the daemon keeps its ids apart from the table's.
	 */
	public function test_no_id_beside_auto_increment(): void {
		$GLOBALS['wpdb']->query( 'ALTER TABLE wp_support_tickets MODIFY ticket_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT' );
		$failure = ticketd_create_ticket( self::FIELDS, 'form-1' );
		$this->assertSame( 'ticketd_unavailable', $failure->get_error_code() );
		$this->assertStringContainsString( 'AUTO_INCREMENT', $failure->get_error_message() );
		$this->assertSame( 'form-1', $failure->get_error_data()['request_id'] );
		$this->assertSame( array(), $this->folder->all() );
		$this->assertSame( 0, ticketd_set_ticket( 812, self::FIELDS ) );
	}

	/**
	 * The identity of a table is read once in a PHP request; a table without an identity has the empty identity.
	 */
	public function test_the_identity_of_a_table(): void {
		$GLOBALS['wpdb']->query( 'CREATE TABLE wp_known_identity (id BIGINT, identity VARCHAR(64), server VARCHAR(512))' );
		$GLOBALS['wpdb']->query( "INSERT INTO wp_known_identity VALUES (7, 'a mark', ''), (1, 'ABC', '')" );
		$this->assertSame( 'ABC', Database::identity( 'wp_known' ) );
		$GLOBALS['wpdb']->query( 'DROP TABLE wp_known_identity' );
		$this->assertSame( array( 'ABC', '', '' ), array_map( array( Database::class, 'identity' ), array( 'wp_known', 'wp_none', 'no`table' ) ) );
	}

	/**
	 * Two connections that take ids at the same time never get the same id.
	 */
	public function test_no_id_is_given_twice(): void {
		$first = $GLOBALS['wpdb'];
		$other = new \wpdb( 'root', '', 'wordpress', $first->dbhost );
		$ids   = array();
		for ( $i = 0; $i < 10; ++$i ) {
			$GLOBALS['wpdb'] = 0 === $i % 2 ? $first : $other;
			$ids[]           = $this->next_id();
		}
		$this->assertSame( range( 1, 10 ), $ids );
	}

	/**
	 * A missing sequence, or a sequence without its row, gives no id; nor does an invalid table name.
	 */
	public function test_a_broken_sequence_gives_no_id(): void {
		$wpdb = $GLOBALS['wpdb'];
		$this->assertSame( 0, $this->next_id( 'wp_support_tickets` SET next = 1; -- ' ) );
		$this->assertSame( 0, $this->next_id( 'wp_absent' ) );
		$wpdb->query( 'DELETE FROM wp_support_tickets_seq' );
		$this->assertSame( 0, $this->next_id() );
		$wpdb->query( 'DROP TABLE wp_support_tickets_seq' );
		$this->assertSame( 0, $this->next_id() );
		$this->assertSame( 'ticketd_unavailable', ticketd_create_ticket( self::FIELDS )->get_error_code() );
		$this->assertSame( array(), $this->folder->all() );
	}

	/**
	 * Takes an id; nothing is spooled.
	 *
	 * @param string $table The tickets table.
	 */
	private function next_id( string $table = 'wp_support_tickets' ): int {
		return Sequence::next( $table, fn() => false );
	}

	/**
	 * Without daemon and database there are no new tickets, but changes go on.
	 */
	public function test_without_a_database_too(): void {
		$this->no_database();
		$failure = ticketd_create_ticket( self::FIELDS, 'form-1' );
		$this->assertSame( 'ticketd_unavailable', $failure->get_error_code() );
		$this->assertSame( 'form-1', $failure->get_error_data()['request_id'] );
		$this->assertSame( 0, ticketd_set_ticket( 812, self::FIELDS ) );
		$this->assertSame( 'ticketd_unavailable', ticketd_get_ticket( 812 )->get_error_code() );
	}

	/**
	 * A hanging daemon costs a request a single deadline, and later requests no deadline.
	 */
	public function test_a_hanging_daemon_costs_one_deadline(): void {
		$path   = Peer::free_path();
		$server = stream_socket_server( 'unix://' . $path );
		add_filter( 'ticketd_timeout_ms', fn() => 500 );
		Site::connect( $path );
		$this->row( array( 'ticket_id' => 812 ) );
		$this->assertSame( 0, ticketd_set_ticket( 812, self::FIELDS ) );
		$start = hrtime( true );
		for ( $i = 0; $i < 5; ++$i ) {
			Site::connect( $path );
			$this->assertSame( 0, ticketd_set_ticket( 812, self::FIELDS ) );
			$this->assertSame( 'open', ticketd_get_ticket( 812 )['fields']['status'] );
		}
		$this->assertLessThan( 2500, ( hrtime( true ) - $start ) / 1e6, 'the calls waited' );
		$this->assertCount( 6, $this->spooled() );
		$this->assertIsResource( $server );
		unlink( $path );
	}

	/**
	 * REST answers 202: accepted, not done yet.
	 */
	public function test_rest_answers_accepted(): void {
		Site::$capabilities = array( 'ticketd_edit_tickets' );
		$dispatch           = static function ( string $method, string $path, array $body ): \WP_REST_Response {
			$request = new \WP_REST_Request( $method, '/ticketd/v1/tickets' . $path );
			$request->set_header( 'Content-Type', 'application/json' );
			$request->set_body( json_encode( (object) $body ) );
			return rest_get_server()->dispatch( $request );
		};

		$response = $dispatch( 'POST', '', array( 'fields' => self::FIELDS ) );
		$this->assertSame( 202, $response->get_status() );
		$this->assertSame( array( 'id' => 1, 'revision' => 0, 'spooled' => true ), $response->get_data() );
		$this->assertStringEndsWith( 'ticketd/v1/tickets/1', $response->get_headers()['Location'] );
		foreach ( array( array( 'PATCH', array( 'fields' => self::FIELDS ) ), array( 'DELETE', array() ) ) as list( $method, $body ) ) {
			$response = $dispatch( $method, '/812', $body );
			$this->assertSame( 202, $response->get_status() );
			$this->assertSame( array( 'id' => 812, 'revision' => 0, 'spooled' => true ), $response->get_data() );
		}
		$response = $dispatch( 'GET', '/1', array() );
		$this->assertSame( array( 200, true ), array( $response->get_status(), $response->get_data()['stale'] ) );
		$this->assertSame( 404, $dispatch( 'GET', '/812', array() )->get_status() );
		$this->assertSame( 503, $dispatch( 'GET', '/999', array() )->get_status() );
	}

	/**
	 * The command line prints the outcome and warns.
	 */
	public function test_the_command_line_warns(): void {
		require_once __DIR__ . '/../Support/wp-cli.php';
		require_once __DIR__ . '/../Support/WP_CLI.php';
		\WP_CLI::$printed  = array();
		\WP_CLI::$warnings = array();
		$command           = new Command( new Api( new Settings() ) );
		$command->set( array( '812', 'status=open' ), array( 'format' => 'json' ) );
		$command->create( array( 'status=open' ), array( 'format' => 'json' ) );
		$this->assertSame( array( array( 'id' => 812, 'revision' => 0 ) ), \WP_CLI::$printed[0][1] );
		$this->assertSame( array( array( 'id' => 1, 'revision' => 0 ) ), \WP_CLI::$printed[1][1] );
		$this->assertCount( 2, \WP_CLI::$warnings );
	}

	/**
	 * The spool is where the constant or the filter says.
	 */
	public function test_the_folder_is_a_setting(): void {
		remove_all_filters( 'ticketd_spool' );
		$settings = new Settings();
		$this->assertSame( '/var/spool/ticketd', $settings->spool() );
		add_filter( 'ticketd_spool', fn() => '/elsewhere/' );
		$this->assertSame( '/elsewhere', $settings->spool() );
	}
}
