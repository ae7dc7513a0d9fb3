<?php
/**
 * A request that writes once, the guide's way, and marks the ticket for the next scheduled batch.
 *
 * @package Ticketd
 */

$redis = new Redis();
$redis->connect( get_cfg_var( 'bench.redis' ), (int) get_cfg_var( 'bench.redis_port' ) );
$redis->auth( get_cfg_var( 'bench.redis_password' ) );
$redis->select( 1 );
$id     = mt_rand( 1, (int) ( $_GET['tickets'] ?? 1000 ) );
$fields = array( 'status' => 'open', 'assigned_to' => mt_rand() );
$done   = $redis->pipeline()->hMSet( "plain:$id", $fields )->sAdd( 'plain:pending', $id )->exec();
echo is_array( $done ) && true === $done[0] && false !== $done[1] ? 'ok' : 'failed';
