<?php
/**
 * The WP-CLI commands, against a small stand-in for WP-CLI.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Peer;
use Ticketd\WordPress\Cli\Command;
use Ticketd\WordPress\Plugin;

/**
 * What commands send and print, and that they fail where something failed.
 */
final class CommandTest extends SiteTestCase {

	/**
	 * Starts with nothing printed.
	 */
	protected function setUp(): void {
		parent::setUp();
		require_once __DIR__ . '/../Support/wp-cli.php';
		require_once __DIR__ . '/../Support/WP_CLI.php';
		\WP_CLI::$printed = array();
		\WP_CLI::$bar     = array();
	}

	/**
	 * The command.
	 */
	private function command(): Command {
		return new Command( Plugin::instance()->api() );
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
	 * Set takes values as they are typed, and NULL by name.
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
	 * Create prints the id.
	 */
	public function test_create(): void {
		$this->daemon( array( null, array( 'id' => 812, 'revision' => 7 ) ) );
		$this->command()->create( array( 'status=open' ), array() );
		$this->assertSame( array( array( 'table', array( array( 'id' => 812, 'revision' => 7 ) ), array( 'id', 'revision' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Get prints what there is, in rows of the same columns, and fails for what there is not.
	 */
	public function test_get(): void {
		$first  = array( 'id' => 1, 'revision' => 7, 'fields' => array( 'status' => 'open' ) );
		$second = array( 'id' => 2, 'revision' => 8, 'fields' => array( 'vip' => '1' ) );
		$this->daemon( array( null, array( 'tickets' => array( $first, null, $second ) ) ) );
		$message = $this->error_of(
			function (): void {
				$this->command()->get( array( '1', '3', '2' ), array( 'format' => 'csv' ) );
			}
		);
		$this->assertSame( 'No such ticket: 3', $message );
		$rows = array(
			array( 'id' => 1, 'revision' => 7, 'status' => 'open', 'vip' => null ),
			array( 'id' => 2, 'revision' => 8, 'status' => null, 'vip' => '1' ),
		);
		$this->assertSame( array( array( 'csv', $rows, array( 'id', 'revision', 'status', 'vip' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Flush shows progress, prints its result and fails where MySQL refused something.
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
				$this->command()->flush( array(), array( 'timeout' => '5' ) );
			}
		);
		$this->assertSame( 'MySQL refused 1 ticket.', $message );
		$this->assertSame( array( 20, 5, 15, 'finish' ), \WP_CLI::$bar );
		$this->assertSame( array( array( 'table', array( $result ), array( 'flushed', 'dead' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Status is a list of keys on a terminal and the whole map elsewhere.
	 */
	public function test_status(): void {
		$status = array( 'dirty' => 3, 'store' => array( 'state' => 'up' ) );
		$this->daemon( array( null, $status ), array( null, $status ) );
		$this->command()->status( array(), array( 'format' => 'json' ) );
		$this->command()->status( array(), array() );
		$rows = array( array( 'key' => 'dirty', 'value' => 3 ), array( 'key' => 'store', 'value' => '{"state":"up"}' ) );
		$this->assertSame( array( array( 'json', $status ), array( 'table', $rows, array( 'key', 'value' ) ) ), \WP_CLI::$printed );
	}

	/**
	 * Every command fails where the daemon is away, and prints nothing.
	 */
	public function test_commands_fail_without_a_daemon(): void {
		foreach ( array( 'flush' => array(), 'status' => array(), 'get' => array( '1' ), 'set' => array( '1', 'a=b' ), 'create' => array( 'a=b' ) ) as $name => $args ) {
			$message = $this->error_of(
				function () use ( $name, $args ): void {
					$this->command()->$name( $args, array() );
				}
			);
			$this->assertStringContainsString( 'cannot be reached', $message );
		}
		$this->assertSame( array(), \WP_CLI::$printed );
	}

	/**
	 * What cannot be meant is refused before it is sent.
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
	 * Every command documents its synopsis the way WP-CLI reads it, with all formats.
	 */
	public function test_commands_document_their_synopsis(): void {
		foreach ( array( 'flush', 'status', 'get', 'set', 'create' ) as $name ) {
			$comment = ( new \ReflectionMethod( Command::class, $name ) )->getDocComment();
			$this->assertStringContainsString( '## OPTIONS', $comment );
			$this->assertStringContainsString( '## EXAMPLES', $comment );
			$this->assertMatchesRegularExpression( '/\[--format=<format>\]\n\s+\* : .+\n\s+\* ---\n\s+\* default: table\n\s+\* options:\n(\s+\*   - (table|json|csv|yaml)\n){4}\s+\* ---/', $comment );
		}
	}
}
