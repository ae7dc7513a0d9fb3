<?php
/**
 * A request that writes once, the guide's way.
 *
 * @package Ticketd
 */

$redis = new Redis();
$trust = get_cfg_var( 'bench.redis_ca' );
if ( '' === $trust ) {
	$redis->connect( get_cfg_var( 'bench.redis' ), (int) get_cfg_var( 'bench.redis_port' ) );
} else {
	$context = array( 'stream' => array( 'cafile' => $trust ) );
	$redis->connect( get_cfg_var( 'bench.redis' ), (int) get_cfg_var( 'bench.redis_port' ), 0, null, 0, 0, $context );
}
$redis->auth( get_cfg_var( 'bench.redis_password' ) );
$redis->select( 1 );
$done = $redis->hMSet( 'plain:' . mt_rand( 1, 1000 ), array( 'status' => 'open', 'assigned_to' => mt_rand() ) );
echo true === $done ? 'ok' : 'failed';
