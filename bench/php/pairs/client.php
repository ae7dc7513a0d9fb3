<?php
/**
 * A request that writes once, with the objects that the plugin makes.
 *
 * @package Ticketd
 */

require $_SERVER['BENCH_PLUGIN'] . '/src/autoload.php';

$client   = new Ticketd\Client\Client(
	new Ticketd\Client\Connection( $_SERVER['BENCH_SOCKET'] ),
	'',
	60000, // On a busy machine nothing is to be spooled.
	null,
	new Ticketd\Client\Breaker( $_SERVER['BENCH_SPOOL'] )
);
$spooling = new Ticketd\Client\SpoolingClient( $client, fn() => new Ticketd\Client\Spool( $_SERVER['BENCH_SPOOL'] ) );
$revision = $spooling->set( mt_rand( 1, 1000 ), array( 'status' => 'open', 'assigned_to' => mt_rand() ) );
echo $revision > 0 ? 'ok' : 'spooled';
