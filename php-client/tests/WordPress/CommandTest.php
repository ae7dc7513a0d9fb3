<?php
/**
 * The WP-CLI commands, against a small stand-in for WP-CLI.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\MariaDb;
use Ticketd\Tests\Support\Peer;
use Ticketd\WordPress\Cli\Command;
use Ticketd\WordPress\Cli\DeadCommand;
use Ticketd\WordPress\Cli\ImportCommand;
use Ticketd\WordPress\Cli\Operations;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;

/**
 * What commands send and print, and when they fail.
 */
final class CommandTest extends SiteTestCase {

	/**
	 * Starts with nothing printed.
	 */
	protected function setUp(): void {
		parent::setUp();
		require_once __DIR__ . '/../Support/wp-cli.php';
		require_once __DIR__ . '/../Support/WP_CLI.php';
		require_once __DIR__ . '/../Support/Formatter.php';
		\WP_CLI::$printed  = array();
		\WP_CLI::$warnings = array();
		\WP_CLI::$bar      = array();
	}

	/**
	 * The command.
	 */
	private function command(): Command {
		return new Command( Plugin::instance()->api() );
	}

	/**
	 * The commands for who runs the site.
	 */
	private function operations(): Operations {
		return new Operations( Plugin::instance()->api(), new Settings() );
	}

	/**
	 * Runs a command that must end with an error.
	 *
	 * @param callable $run Runs it.
	 * @return string The message.
	 */
	private function error_of( callable $run ): string {
		try {
			$run();
		} catch ( \RuntimeException $e ) {
			return $e->getMessage();
		}
		$this->fail( 'the command succeeded' );
	}

	/**
	 * Set takes values as typed, and NULL by name.
	 */
	public function test_set(): void {
		$this->daemon( array( null, array( 'revision' => 8 ) ) );
		$this->command()->set(
			array( '812', 'status=a=b', 'subject=' ),
			array( 'null' => 'category,priority', 'if-revision' => '7', 'format' => 'json' )
		);
		$this->assertSame( array( array( 'json', array( array( 'id' => 812, 'revision' => 8 ) ), array( 'id', 'revision' ) ) ), \WP_CLI::$printed );
		$fields = array( 'status' => 'a=b', 'subject' => '', 'category' => null, 'priority' => null );
		$this->assertSame( array( 'set', array( 'id' => 812, 'fields' => $fields, 'if_revision' => 7 ) ), $this->request() );
	}

	/**
	 * Set makes no ticket without --create.
	 */
	public function test_set_makes_none(): void {
		$this->daemon( array( null, array( 'revision' => 8 ) ), array( null, array( 'revision' => 8 ) ) );
		$params = array( 'id' => 812, 'fields' => array( 'status' => 'a' ) );
		$this->command()->set( array( '812', 'status=a' ), array() );
		$this->command()->set( array( '812', 'status=a' ), array( 'create' => true ) );
		$this->assertSame( array( 'set', $params + array( 'must_exist' => true ) ), $this->request() );
		$this->assertSame( array( 'set', $params ), $this->request() );
	}

	/**
	 * Create prints the id.
	 */
	public function test_create(): void {
		$this->daemon( array( null, array( 'id' => 812, 'revision' => 7 ) ) );
		$this->command()->create( array( 'status=open' ), array() );
		$this->assertSame( array( array( 'table', array( array( 'id' => 812, 'revision' => 7 ) ), array( 'id', 'revision' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * What a customer has written steers no terminal and is no formula in a spreadsheet. Programs get it as it is, and
	 * bytes that JSON and YAML cannot hold as hex.
	 */
	public function test_values_are_harmless(): void {
		$bytes   = array( 'table' => '??', 'csv' => "\xff\x1b", 'json' => array( 'hex' => 'ff1b' ), 'yaml' => array( 'hex' => 'ff1b' ) );
		$subject = "=1+1\x1b]0;t\x07\u{9b}31m\u{202e}\nnext\tcolumn é";
		foreach (
			array(
				'table' => '=1+1 ]0;t  31m  next column é',
				'csv'   => "'" . $subject,
				'json'  => $subject,
				'yaml'  => $subject,
			) as $format => $want
		) {
			$ticket = array( 'id' => 1, 'revision' => 7, 'fields' => array( 'subject' => $subject, 'bytes' => "\xff\x1b" ) );
			$this->daemon( array( null, array( 'tickets' => array( $ticket ) ) ) );
			$this->command()->get( array( '1' ), array( 'format' => $format ) );
			$row = array_pop( \WP_CLI::$printed )[1][0];
			$this->assertSame( $want, $row['subject'], $format );
			$this->assertSame( array( 1, $bytes[ $format ] ), array( $row['id'], $row['bytes'] ) );
		}
		$ticket = array( 'id' => 1, 'revision' => 7, 'fields' => array( 'subject' => $subject ) );
		$this->daemon( array( null, array( 'tickets' => array( $ticket ) ) ) );
		$this->command()->get( array( '1' ), array( 'field' => 'subject' ) );
		$this->assertSame( "=1+1 ]0;t  31m \nnext\tcolumn é", array_pop( \WP_CLI::$printed )[1][0]['subject'] );
	}

	/**
	 * For scripts: the new ticket's id alone, the new revision alone.
	 */
	public function test_porcelain(): void {
		$this->daemon( array( null, array( 'id' => 812, 'revision' => 7 ) ), array( null, array( 'revision' => 8 ) ) );
		$this->command()->create( array( 'status=open' ), array( 'porcelain' => true, 'format' => 'table' ) );
		$this->command()->set( array( '812', 'status=closed' ), array( 'porcelain' => true, 'format' => 'table' ) );
		$this->assertSame( array( array( 'line', '812' ), array( 'line', '8' ) ), \WP_CLI::$printed );
	}

	/**
	 * A field that is given twice is refused: which value is meant is unknown.
	 */
	public function test_a_field_given_twice(): void {
		$this->assertSame( 'The field status is given twice.', $this->error_of( fn() => $this->command()->create( array( 'status=a', 'status=b' ), array() ) ) );
		$this->assertSame( 'The field status is given twice.', $this->error_of( fn() => $this->command()->set( array( '1', 'status=a' ), array( 'null' => 'status' ) ) ) );
		$this->assertSame( 'The field status is given twice.', $this->error_of( fn() => $this->command()->list_( array( 'status=a' ), array( 'status' => 'b' ) ) ) );
	}

	/**
	 * Get prints existing tickets, in rows of the same columns whatever fields the first ticket has, and fails for missing
	 * tickets.
	 */
	public function test_get(): void {
		$first  = array( 'id' => 1, 'revision' => 7, 'fields' => array( 'status' => 'open', 'room' => '9', 'zone' => "\xff" ) );
		$second = array( 'id' => 2, 'revision' => 8, 'fields' => array( 'status' => null, 'room' => null, 'vip' => '1' ) );
		$this->daemon( array( null, array( 'tickets' => array( $first, null, $second ) ) ) );
		$message = $this->error_of(
			function (): void {
				$this->command()->get( array( '1', '3', '2' ), array( 'format' => 'csv' ) );
			}
		);
		$this->assertSame( 'No such ticket: 3', $message );
		$rows = array(
			array( 'id' => 1, 'revision' => 7, 'status' => 'open', 'room' => '9', 'vip' => null, 'zone' => "\xff" ),
			array( 'id' => 2, 'revision' => 8, 'status' => null, 'room' => null, 'vip' => '1', 'zone' => null ),
		);
		$this->assertSame( array( array( 'csv', $rows, array( 'id', 'revision', 'status', 'room', 'vip', 'zone' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Flush shows progress, prints its result and fails if MySQL refused a ticket.
	 */
	public function test_flush(): void {
		$progress = static function ( int $done ): array {
			return array( 'send', Peer::frame_of( array( 2, 'flush', array( 'id' => 1, 'done' => $done, 'total' => 20 ) ) ) );
		};
		$result   = array( 'flushed' => 19, 'dead' => 1 );
		$peer     = new Peer( array( array( array( 'frame' ), $progress( 5 ), $progress( 20 ), array( 'send', Peer::reply( 1, null, $result ) ), array( 'hold' ) ) ) );
		\Ticketd\Tests\Support\Site::connect( $peer->socket );
		$message = $this->error_of(
			function (): void {
				$this->operations()->flush( array(), array( 'timeout' => '5' ) );
			}
		);
		$this->assertSame( 'The database rejected the changes of 1 ticket: a dead letter.', $message );
		$this->assertSame( array( 20, 5, 15, 'finish' ), \WP_CLI::$bar );
		$this->assertSame( array( array( 'table', array( $result ), array( 'flushed', 'dead' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Status is a list of keys on a terminal and the whole map elsewhere.
	 */
	public function test_status(): void {
		$status = array( 'dirty' => 3, 'store' => array( 'state' => 'up' ) );
		$this->daemon( array( null, $status ), array( null, $status ) );
		$this->operations()->status( array(), array( 'format' => 'json' ) );
		$this->operations()->status( array(), array() );
		$rows = array( array( 'key' => 'dirty', 'value' => 3 ), array( 'key' => 'store', 'value' => '{"state":"up"}' ) );
		$this->assertSame( array( array( 'json', $status ), array( 'table', $rows, array( 'key', 'value' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Every command fails where the daemon is away, and prints nothing.
	 */
	public function test_commands_fail_without_a_daemon(): void {
		foreach ( array( 'flush' => array(), 'status' => array(), 'verify' => array(), 'get' => array( '1' ), 'list_' => array(), 'set' => array( '1', 'a=b' ), 'create' => array( 'a=b' ) ) as $name => $args ) {
			$message = $this->error_of(
				function () use ( $name, $args ): void {
					$of = method_exists( Command::class, $name ) ? $this->command() : $this->operations();
					$of->$name( $args, array() );
				}
			);
			$this->assertStringContainsString( 'cannot be reached', $message );
		}
		$this->assertSame( 'Give fields as name=value, or --null.', $this->error_of( fn() => $this->command()->set( array( '1' ), array() ) ) );
		$this->assertSame( array(), \WP_CLI::$printed );
	}

	/**
	 * Wrong input is refused before sending.
	 */
	public function test_bad_arguments_are_refused(): void {
		$command = $this->command();
		foreach ( array( '0', '-1', '1.5', 'x', '9223372036854775808', ' 1' ) as $id ) {
			$run = static function () use ( $command, $id ): void {
				$command->get( array( $id ), array() );
			};
			$this->assertStringContainsString( 'is no ticket id', $this->error_of( $run ) );
		}
		$run = static function () use ( $command ): void {
			$command->create( array( 'status' ), array() );
		};
		$this->assertStringContainsString( 'is no field', $this->error_of( $run ) );
	}

	/**
	 * List makes a selection of its arguments and reads pages until it has enough tickets.
	 */
	public function test_list(): void {
		$ticket = static function ( int $id ): array {
			return array( 'id' => $id, 'revision' => 7, 'fields' => array( 'status' => 'open' ) );
		};
		$this->daemon(
			array( null, array( 'tickets' => array( $ticket( 9 ), $ticket( 8 ) ), 'next' => 'abc' ) ),
			array( null, array( 'tickets' => array( $ticket( 7 ) ), 'next' => 'def' ) ),
			array( null, array( 'count' => 12 ) )
		);
		$options = array( 'null' => 'category', 'search' => 'tea', 'created-from' => '2026-01-01', 'sort' => 'updated_at', 'limit' => '3', 'assigned_to' => '7' );
		$this->command()->list_( array( 'status=open,pending' ), $options + array( 'format' => 'ids' ) );
		$this->assertSame( array( 'Only 3 tickets are printed, and there are more: --all prints all.' ), \WP_CLI::$warnings );
		$this->command()->list_( array(), array( 'format' => 'count', 'deleted' => true ) );
		$this->assertSame( array( array( 'line', '9 8 7' ), array( 'line', '12' ) ), \WP_CLI::$printed );
		$where = array( 'status' => array( 'open', 'pending' ), 'assigned_to' => array( '7' ), 'category' => null );
		$query = array( 'where' => $where, 'contains' => array( 'subject' => 'tea' ), 'created_at' => array( 'from' => '2026-01-01' ), 'sort' => 'updated_at', 'order' => 'desc', 'limit' => 3 );
		$this->assertSame( array( 'list', $query ), $this->request() );
		$this->assertSame( array( 'list', array_replace( $query, array( 'limit' => 1, 'after' => 'abc' ) ) ), $this->request() );
		$this->assertSame( array( 'count', array( 'deleted' => true ) ), $this->request() );
	}

	/**
	 * What is asked for may be compared.
	 */
	public function test_list_compares(): void {
		$this->daemon( array( null, array( 'count' => 12 ) ) );
		$args = array( 'status!=closed,spam', 'ticket_id>7', 'ticket_id<=9', 'category=a>b', 'status=open' );
		$this->command()->list_( $args, array( 'format' => 'count' ) );
		$where = array(
			'category'  => array( 'a>b' ),
			'status'    => array( '=' => array( 'open' ), '!=' => array( 'closed', 'spam' ) ),
			'ticket_id' => array( '>' => '7', '<=' => '9' ),
		);
		$asked = $this->request();
		$this->assertEquals( array( 'count', array( 'where' => $where ) ), $asked );
		$this->expectExceptionMessage( 'ticket_id>' );
		$this->command()->list_( array( 'ticket_id>7', 'ticket_id>8' ), array() );
	}

	/**
	 * Only a table for people stops at a screenful; what a script reads is whole unless the script limits it.
	 */
	public function test_list_is_whole_or_says_that_it_is_not(): void {
		$page = fn( int $first, int $count, ?string $next ) => array( null, array( 'tickets' => array_map( fn( int $id ) => array( 'id' => $id, 'revision' => 7, 'fields' => array() ), range( $first, $first + $count - 1 ) ), 'next' => $next ) );
		foreach ( array( 'ids', 'csv', 'json', 'yaml' ) as $format ) {
			$this->daemon( $page( 1, 500, 'abc' ), $page( 501, 20, null ) );
			$this->command()->list_( array(), array( 'format' => $format ) );
			$this->assertCount( 520, 'ids' === $format ? explode( ' ', \WP_CLI::$printed[0][1] ) : end( \WP_CLI::$printed )[1] );
		}
		foreach ( array( array( 'all' => true ), array( 'limit' => '0' ), array( 'field' => 'id' ) ) as $all ) {
			$this->daemon( $page( 1, 500, 'abc' ), $page( 501, 20, null ) );
			$this->command()->list_( array(), $all + array( 'format' => 'table' ) );
			$this->assertCount( 520, end( \WP_CLI::$printed )[1] );
		}
		$this->assertSame( array(), \WP_CLI::$warnings );
		$this->daemon( $page( 1, 50, 'abc' ) );
		$this->command()->list_( array(), array( 'format' => 'table' ) );
		$this->assertSame( 50, $this->request()[1]['limit'] );
		$this->assertSame( array( 'Only 50 tickets are printed, and there are more: --all prints all.' ), \WP_CLI::$warnings );
		$this->assertSame( 'Give --limit or --all, not both.', $this->error_of( fn() => $this->command()->list_( array(), array( 'all' => true, 'limit' => '5' ) ) ) );
		$this->assertSame( 'The option --vip needs a value: give --vip=value.', $this->error_of( fn() => $this->command()->list_( array(), array( 'vip' => true ) ) ) );
	}

	/**
	 * A missing field is an error, not an empty column.
	 */
	public function test_an_unknown_field_is_refused(): void {
		$this->daemon( array( null, array( 'tickets' => array( array( 'id' => 1, 'revision' => 7, 'fields' => array( 'status' => 'open' ) ) ) ) ), array( null, array( 'dirty' => 3 ) ) );
		$message = $this->error_of(
			function (): void {
				$this->command()->get( array( '1' ), array( 'field' => 'state' ) );
			}
		);
		$this->assertSame( 'There is no field state; there are: id, revision, status.', $message );
		$this->operations()->status( array(), array( 'field' => 'dirty' ) );
		$this->assertSame( array( array( 'line', '3' ) ), \WP_CLI::$printed );
	}

	/**
	 * Delete asks first, prints the deleted tickets and fails for tickets that it could not delete.
	 */
	public function test_delete(): void {
		$this->daemon( array( null, array( 'revision' => 9 ) ), array( Peer::error( 'forbidden' ), null ) );
		$delete = function ( array $options ): void {
			$this->command()->delete( array( '1', '2' ), $options );
		};
		$this->assertSame( 'Delete 2 tickets?', $this->error_of( fn() => $delete( array() ) ) );
		$this->assertSame( '2: because', $this->error_of( fn() => $delete( array( 'yes' => true ) ) ) );
		$this->assertSame( array( array( 'table', array( array( 'id' => 1, 'revision' => 9 ) ), array( 'id', 'revision' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Dead letters are listed, retried and, once confirmed, given up.
	 */
	public function test_dead(): void {
		$letter = array( 'id' => 5, 'revision' => 7, 'code' => 1406, 'reason' => 'too long', 'at_ms' => 1764000000000, 'deleted' => false, 'fields' => array( 'status' => 'x' ) );
		$one    = array( null, array( 'letters' => array( $letter ) ) );
		$this->daemon( $one, $one, $one, array( null, array( 'count' => 1 ) ), array( null, array( 'count' => 2 ) ) );
		$dead = new DeadCommand( Plugin::instance()->api() );
		foreach ( array( 'json' => array( false, array( 'status' => 'x' ) ), 'csv' => array( 0, '{"status":"x"}' ) ) as $format => $change ) {
			$dead->list_( array(), compact( 'format' ) );
			$row = end( \WP_CLI::$printed )[1][0];
			$this->assertSame( '2025-11-24 16:00:00', $row['at'] );
			$this->assertSame( $change, array( $row['deleted'], is_object( $row['fields'] ) ? (array) $row['fields'] : $row['fields'] ) );
		}
		$dead->retry( array( '5' ), array() );
		$drop = fn( array $args, array $options ) => $dead->drop( $args, $options );
		$this->assertSame( 'Drop these dead letters for good?', $this->error_of( fn() => $drop( array(), array( 'all' => true ) ) ) );
		$this->assertSame( 'Give ids, or --all.', $this->error_of( fn() => $drop( array(), array( 'yes' => true ) ) ) );
		$this->assertSame( 'Give ids, or --all.', $this->error_of( fn() => $drop( array( '5' ), array( 'all' => true, 'yes' => true ) ) ) );
		$drop( array(), array( 'all' => true, 'yes' => true ) );
		$this->assertSame( array( 'success', 'The rejected changes of 2 tickets are dropped.' ), end( \WP_CLI::$printed ) );
		$this->assertSame( array( 'dead_list', array( 'limit' => 1000 ) ), $this->request() );
		$this->request();
		$this->assertSame( array( 'dead_list', array( 'limit' => 1, 'after' => 4 ) ), $this->request() );
		$this->assertSame( array( 'dead_retry', array( 'ids' => array( 5 ) ) ), $this->request() );
		$this->assertSame( array( 'dead_drop', array( 'all' => true ) ), $this->request() );
	}

	/**
	 * A ticket that has no dead letter is an error, and keeps no other ticket from what is asked.
	 */
	public function test_dead_of_no_dead_letter(): void {
		$letter = fn( int $id ) => array( null, array( 'letters' => array( array( 'id' => $id, 'revision' => 7, 'code' => 1406, 'reason' => '', 'at_ms' => 1, 'deleted' => true, 'fields' => array() ) ) ) );
		$none   = array( null, array( 'letters' => array() ) );
		foreach ( array( 'retry', 'drop' ) as $action ) {
			$this->daemon( $none, $letter( 1001 ), $letter( 5 ), $none, array( null, array( 'count' => 1 ) ) );
			$dead = new DeadCommand( Plugin::instance()->api() );
			$run  = fn( string ...$ids ) => $this->error_of( fn() => $dead->$action( $ids, array( 'yes' => true ) ) );
			$this->assertSame( 'No such dead letter: 999', $run( '999' ) );
			$this->assertSame( 'No such dead letter: 1000', $run( '1000' ) );
			$this->assertSame( 'No such dead letter: 999', $run( '5', '999' ) );
			for ( $asked = 0; $asked < 4; ++$asked ) {
				$this->request();
			}
			$this->assertSame( array( "dead_$action", array( 'ids' => array( 5 ) ) ), $this->request() );
		}
	}

	/**
	 * Verify says that a ticket is in neither place, and compares the others.
	 */
	public function test_verify_of_no_ticket(): void {
		$GLOBALS['wpdb'] = MariaDb::wpdb();
		$this->daemon( array( null, array( 'tickets' => array( null ) ) ), array( null, array( 'tickets' => array( null, null ) ) ), array( null, array( 'flushed' => 0, 'dead' => 0 ) ), array( null, array( 'tickets' => array( null ) ) ) );
		$this->assertSame( 'No such ticket: 9999', $this->error_of( fn() => $this->operations()->verify( array( '9999' ), array() ) ) );
		$now = array( 'created_at' => '2026-01-01', 'updated_at' => '2026-01-01' );
		$GLOBALS['wpdb']->insert( 'wp_support_tickets', array( 'ticket_id' => 7, 'status' => 'open' ) + $now );
		$text = $this->error_of( fn() => $this->operations()->verify( array( '7', '9999' ), array( 'format' => 'ids' ) ) );
		$this->assertSame( "1 difference; tickets compared: 1.\nNo such ticket: 9999", $text );
		$this->assertSame( array( 'line', '7' ), end( \WP_CLI::$printed ) );
	}

	/**
	 * Every command documents its synopsis the way WP-CLI reads it, with all formats.
	 */
	public function test_commands_document_their_synopsis(): void {
		foreach ( array( Command::class, Operations::class, DeadCommand::class, ImportCommand::class ) as $class ) {
			foreach ( ( new \ReflectionClass( $class ) )->getMethods( \ReflectionMethod::IS_PUBLIC ) as $method ) {
				if ( $method->isConstructor() ) {
					continue;
				}
				$comment = $method->getDocComment();
				$this->assertStringContainsString( '## OPTIONS', $comment );
				$this->assertStringContainsString( '## EXAMPLES', $comment );
				// What WP-CLI does not understand of a synopsis it refuses on the command line.
				preg_match_all( '/^\s+\* (\[?[-<]\S+)\n\s+\* : /m', $comment, $tokens );
				foreach ( $tokens[1] as $token ) {
					$this->assertMatchesRegularExpression( '/^\[?(<[\w|,-]+>(\.\.\.)?|--((\[no-\])?[a-z-]+|<field>)(=<[\w|,-]+>)?)\]?$/D', $token );
				}
				if ( ! in_array( $method->getName(), array( 'retry', 'drop' ), true ) ) {
					$this->assertMatchesRegularExpression( '/\[--format=<format>\]\n\s+\* : .+\n\s+\* ---\n\s+\* default: table\n\s+\* options:\n(\s+\*   - (table|json|csv|yaml|count|ids)\n){4,6}\s+\* ---/', $comment );
				}
			}
		}
	}
}
