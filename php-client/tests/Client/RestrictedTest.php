<?php
/**
 * A PHP that its host restricts.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Breaker;
use Ticketd\Client\Connection;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;

/**
 * Whichever function the host has switched off, no call ends the page and none warns.
 */
final class RestrictedTest extends TestCase {

	/** Calls with the folder and the socket as arguments: what each came to, and what the spool says of itself. */
	private const CODE = '
		set_error_handler( static function ( $level, $text ) { if ( error_reporting() & $level ) { echo "warning: $text; "; } } );
		$reader = new Ticketd\Client\Client( new Ticketd\Client\Connection( $argv[2] ), "", 200 );
		$client = new Ticketd\Client\SpoolingClient(
			$reader,
			static fn() => new Ticketd\Client\Spool( $argv[1] ),
			static fn() => 7,
			static fn() => ""
		);
		foreach ( array( "set", "get" ) as $method ) {
			try {
				"set" === $method ? $client->set( 7, array( "status" => "open" ) ) : $reader->get( 7 );
				echo "$method done; ";
			} catch ( Ticketd\Client\TicketdException $e ) {
				echo "$method: ", $e->getMessage(), "; ";
			}
		}
		$spool = new Ticketd\Client\Spool( $argv[1] );
		echo "spool: ", $spool->trouble(), $spool->strangers(), "\n";
	';

	/**
	 * Functions that hosts switch off, and what is left without them.
	 */
	public static function functions(): array {
		$all = array();
		foreach ( Connection::NEEDS as $name ) {
			$all[ $name ] = array( $name, "set done; get: .*this PHP has no $name.*; spool: 0" );
		}
		foreach ( Breaker::NEEDS as $name ) {
			$all[ $name ] = array( $name, "set: .*; get: .*; spool: There is no spool: this PHP has no $name; remove .*0" );
		}
		foreach ( array( 'getmypid', 'posix_geteuid', 'fsync', 'fopen', 'set_time_limit', 'none' ) as $name ) {
			$all[ $name ] = array( $name, 'set done; get: .*; spool: 0' );
		}
		return $all;
	}

	/**
	 * A call without one function.
	 *
	 * @dataProvider functions
	 *
	 * @param string $name The function.
	 * @param string $want A pattern of what the calls came to.
	 */
	public function test_a_missing_function_ends_no_page( string $name, string $want ): void {
		$folder = new Folder();
		$child  = new Child( self::CODE, array( $folder->path, Peer::free_path() ), array( "disable_functions=$name" ) );
		$this->assertMatchesRegularExpression( "~^$want$~", $child->line() );
	}
}
