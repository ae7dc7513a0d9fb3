<?php
/**
 * A request that writes once to Redis, the guide's way, and once to MySQL, as $wpdb sends it. The connection to MySQL
 * is persistent: in WordPress, each request has one for other reasons.
 *
 * @package Ticketd
 */

mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );
$redis = new Redis();
$redis->connect( get_cfg_var( 'bench.redis' ), (int) get_cfg_var( 'bench.redis_port' ) );
$redis->auth( get_cfg_var( 'bench.redis_password' ) );
$redis->select( 1 );
$id       = mt_rand( 1, (int) ( $_GET['tickets'] ?? 1000 ) );
$assignee = mt_rand();
$done     = $redis->hMSet( "plain:$id", array( 'status' => 'open', 'assigned_to' => $assignee ) );
$mysqli   = new mysqli( 'p:localhost', 'root', '', get_cfg_var( 'bench.database' ), 0, get_cfg_var( 'bench.mysql' ) );
$mysqli->query(
	sprintf(
		"INSERT INTO plain_tickets (ticket_id, status, assigned_to, updated_at) VALUES (%d, 'open', %d, NOW())
		ON DUPLICATE KEY UPDATE status = VALUES(status), assigned_to = VALUES(assigned_to),
		updated_at = VALUES(updated_at)",
		$id,
		$assignee
	)
);
echo true === $done && $mysqli->affected_rows > 0 ? 'ok' : 'failed';
