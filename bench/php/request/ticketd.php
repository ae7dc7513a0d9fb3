<?php
/**
 * A request that writes once, through ticketd.
 *
 * @package Ticketd
 */

require get_cfg_var( 'bench.plugin' ) . '/src/autoload.php';

$client = new Ticketd\Client\Client( new Ticketd\Client\Connection( get_cfg_var( 'bench.ticketd' ) ) );
$client->set( mt_rand( 1, 1000 ), array( 'status' => 'open', 'assigned_to' => mt_rand() ) );
echo 'ok';
