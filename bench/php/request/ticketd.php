<?php
/**
 * A request that writes once, through ticketd: with the objects that the plugin makes.
 *
 * @package Ticketd
 */

require get_cfg_var( 'bench.plugin' ) . '/src/autoload.php';

$way      = 'bench.' . ( $_GET['way'] ?? 'ticketd' );
$spool    = get_cfg_var( $way . '_spool' );
$client   = new Ticketd\Client\Client(
	new Ticketd\Client\Connection( get_cfg_var( $way ) ),
	'',
	Ticketd\Client\Client::DEFAULT_TIMEOUT_MS,
	null,
	new Ticketd\Client\Breaker( $spool )
);
$spooling = new Ticketd\Client\SpoolingClient( $client, fn() => new Ticketd\Client\Spool( $spool ) );
$id       = mt_rand( 1, (int) ( $_GET['tickets'] ?? 1000 ) );
$revision = $spooling->set( $id, array( 'status' => 'open', 'assigned_to' => mt_rand() ) );
echo $revision > 0 ? 'ok' : 'spooled';
