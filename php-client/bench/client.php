<?php
/**
 * What a call costs: `php client.php [SOCKET]`. Without a socket it starts a peer that answers every frame at once,
 * so that the client's own cost shows; with one it sets a field of ticket 1 in the daemon that listens there.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\ExtCodec;
use Ticketd\Client\PureCodec;

require __DIR__ . '/../ticketd/src/autoload.php';

const FIELDS = array(
	'status'      => 'pending',
	'priority'    => 'high',
	'assigned_to' => 12,
	'subject'     => 'Printer on fire',
);

/**
 * Runs something many times and prints the median and the 99th percentile.
 *
 * @param string   $label What it is.
 * @param int      $times How often to run it.
 * @param callable $run   Runs it once.
 */
function measure( string $label, int $times, callable $run ): void {
	$took = array();
	for ( $i = 0; $i < $times; ++$i ) {
		$start = hrtime( true );
		$run();
		$took[] = hrtime( true ) - $start;
	}
	sort( $took );
	printf( "%-34s %8.1f us %8.1f us\n", $label, $took[ $times >> 1 ] / 1000, $took[ (int) ( $times * 0.99 ) ] / 1000 );
}

$process = null;
$socket  = $argv[1] ?? sys_get_temp_dir() . '/ticketd-bench-' . getmypid() . '.sock';
if ( ! isset( $argv[1] ) ) {
	$command = array( PHP_BINARY, __DIR__ . '/echo.php', $socket );
	$process = proc_open( $command, array( 1 => array( 'pipe', 'w' ) ), $pipes );
	fgets( $pipes[1] );
}
printf( "%-34s %11s %11s\n", '', 'median', 'p99' );
foreach ( array( 'extension' => new ExtCodec(), 'php' => new PureCodec() ) as $name => $codec ) {
	measure(
		"encode set, $name",
		20000,
		static function () use ( $codec ): void {
			$codec->encode_request( 1, 'set', array( 'id' => 1, 'fields' => FIELDS ) );
		}
	);
	measure(
		"connect + set + close, $name",
		5000,
		static function () use ( $codec, $socket ): void {
			( new Client( new Connection( $socket ), '', 5000, $codec ) )->set( 1, FIELDS );
		}
	);
	$client = new Client( new Connection( $socket ), '', 5000, $codec );
	measure(
		"set on the open connection, $name",
		5000,
		static function () use ( $client ): void {
			$client->set( 1, FIELDS );
		}
	);
}
if ( null !== $process ) {
	proc_terminate( $process, 9 );
	proc_close( $process );
	unlink( $socket );
}
