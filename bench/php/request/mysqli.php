<?php
/**
 * A request that writes once to MySQL itself, as $wpdb sends it.
 *
 * @package Ticketd
 */

mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );
$mysqli = new mysqli( 'localhost', 'root', '', get_cfg_var( 'bench.database' ), 0, get_cfg_var( 'bench.mysql' ) );
$mysqli->set_charset( 'utf8mb4' );
$mysqli->query(
	sprintf(
		"INSERT INTO plain_tickets (ticket_id, status, assigned_to) VALUES (%d, 'open', %d)
		ON DUPLICATE KEY UPDATE status = VALUES(status), assigned_to = VALUES(assigned_to)",
		mt_rand( 1, 1000 ),
		mt_rand()
	)
);
echo $mysqli->affected_rows > 0 ? 'ok' : 'failed';
