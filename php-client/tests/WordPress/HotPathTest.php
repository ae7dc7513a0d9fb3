<?php
/**
 * The files that a page loads.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use PHPUnit\Framework\TestCase;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Peer;

/**
 * Each file costs a page 3 to 5 microseconds, with its classes in opcache: altogether about as much as the call
 * itself.
 */
final class HotPathTest extends TestCase {

	/** Files that a change by the client loads, the autoloader included. */
	private const MOST_OF_CLIENT = 11;

	/** Files that the plugin loads on a page without calls, the functions of the guide included. */
	private const MOST_OF_PLUGIN = 14;

	/** Further files that the first change loads. */
	private const MOST_OF_CALL = 13;

	/**
	 * Runs code in a separate process, which prints the names of the plugin's loaded files.
	 *
	 * @param string $code The code; $socket leads to a daemon.
	 * @return string[][] For each call of the code's $note the names.
	 */
	private static function loaded( string $code ): array {
		$peer  = new Peer( array( array( array( 'frame' ), array( 'send', Peer::reply( 1, null, array( 'revision' => 7 ) ) ), array( 'hold' ) ) ) );
		$note  = '$note = function () { $files = preg_grep( "#/ticketd/(src/|ticketd\.php)#", get_included_files() );'
			. 'echo implode( " ", preg_replace( "#^.*/ticketd/(src/)?#", "", $files ) ), "\n"; }; $socket = $argv[1];';
		$child = new Child( $note . $code, array( $peer->socket ) );
		$seen  = array();
		for ( $line = $child->line(); '' !== $line; $line = $child->line() ) {
			$seen[] = explode( ' ', $line );
		}
		return $seen;
	}

	/**
	 * The client without WordPress.
	 */
	public function test_a_change_by_the_client(): void {
		$code = '$client = new Ticketd\Client\Client( new Ticketd\Client\Connection( $socket ) );'
			. '7 === $client->set( 812, array( "status" => "open" ) ) && $note();';
		$this->assert_few( self::MOST_OF_CLIENT, self::loaded( $code )[0] );
	}

	/**
	 * The plugin, before and after a change.
	 */
	public function test_a_change_by_the_plugin(): void {
		$code                   = sprintf( 'require %s;', var_export( dirname( __DIR__ ) . '/bootstrap.php', true ) )
			. 'add_filter( "ticketd_socket", fn() => $socket ); $note();'
			. '7 === ticketd_set_ticket( 812, array( "status" => "open" ) ) && $note();';
		list( $before, $after ) = self::loaded( $code );
		$this->assert_few( self::MOST_OF_PLUGIN, $before );
		$this->assert_few( self::MOST_OF_CALL, array_diff( $after, $before ) );
	}

	/**
	 * Fails with more files.
	 *
	 * @param int      $most  How many may be.
	 * @param string[] $files Names of files.
	 */
	private function assert_few( int $most, array $files ): void {
		$this->assertNotEmpty( $files );
		$this->assertLessThanOrEqual( $most, count( $files ), implode( "\n", $files ) );
	}
}
