<?php
/**
 * A request that writes once, with phpredis' persistent connections.
 *
 * @package Ticketd
 */

$redis = new Redis();
$redis->pconnect( get_cfg_var( 'bench.redis' ) );
$redis->auth( get_cfg_var( 'bench.redis_password' ) );
$redis->select( 1 );
$done = $redis->hMSet( 'plain:' . mt_rand( 1, 1000 ), array( 'status' => 'open', 'assigned_to' => mt_rand() ) );
echo true === $done ? 'ok' : 'failed';
