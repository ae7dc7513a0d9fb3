<?php
/**
 * The files that a page loads.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Client;
use Ticketd\Client\ExtCodec;
use Ticketd\Client\PureCodec;
use Ticketd\Client\PureDecoder;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Peer;
use Ticketd\WordPress\Database;
use Ticketd\WordPress\Hooks;

/**
 * With its classes in opcache a file costs a page about as much time as a system call, and five times as much where the
 * autoloader looks for it: together as much as the call itself.
 */
final class HotPathTest extends TestCase {

	/** Files that a change by the client loads, the autoloader included. */
	private const MOST_OF_CLIENT = 12;

	/** Files that the plugin loads on a page without calls, the functions of the guide included. */
	private const MOST_OF_PLUGIN = 14;

	/** Further files that the first change loads. */
	private const MOST_OF_CALL = 14;

	/**
	 * Runs code in a separate process, which prints the names of the plugin's loaded files, then those of the classes
	 * that the autoloader looked for.
	 *
	 * @param string $code The code; $socket leads to a daemon.
	 * @return string[][] For each call of the code's $note the files, then the classes.
	 */
	private static function loaded( string $code ): array {
		$peer  = new Peer( array( array( array( 'frame' ), array( 'send', Peer::reply( 1, null, array( 'revision' => 7 ) ) ), array( 'hold' ) ) ) );
		$note  = '$asked = array(); spl_autoload_register( function ( $name ) use ( &$asked ) {'
			. 'if ( 0 === strpos( $name, "Ticketd\\\\" ) && 0 !== strpos( $name, "Ticketd\\\\Tests" ) ) { $asked[] = $name; } }, true, true );'
			. '$note = function () use ( &$asked ) {'
			. '$files = preg_grep( "#/ticketd/(src/|ticketd\.php)#", get_included_files() );'
			. 'echo implode( " ", preg_replace( "#^.*/ticketd/(src/)?#", "", $files ) ), "\n",'
			. 'array() === $asked ? "none" : implode( " ", $asked ), "\n"; }; $socket = $argv[1];';
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

		list( $files, $classes ) = self::loaded( $code );
		$this->assert_few( self::MOST_OF_CLIENT + count( self::codec_in_php() ), $files );
		$this->assertSame( array_merge( array( Client::class ), self::codec_in_php() ), $classes );
	}

	/**
	 * The plugin, before and after a change.
	 */
	public function test_a_change_by_the_plugin(): void {
		$code = sprintf( 'require %s;', var_export( dirname( __DIR__ ) . '/bootstrap.php', true ) )
			. 'add_filter( "ticketd_socket", fn() => $socket ); $note();'
			. '7 === ticketd_set_ticket( 812, array( "status" => "open" ) ) && $note();';

		list( $before, $none, $after, $classes ) = self::loaded( $code );
		$this->assert_few( self::MOST_OF_PLUGIN, $before );
		$this->assertSame( array( 'none' ), $none );
		$this->assert_few( self::MOST_OF_CALL + count( self::codec_in_php() ), array_diff( $after, $before ) );
		$this->assertSame( array_merge( array( Hooks::class, Database::class, Client::class ), self::codec_in_php() ), $classes );
	}

	/**
	 * The classes that a call loads in place of ext-msgpack.
	 *
	 * @return string[]
	 */
	private static function codec_in_php(): array {
		return ExtCodec::is_available() ? array() : array( PureCodec::class, PureDecoder::class );
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
