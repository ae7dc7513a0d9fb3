<?php
/**
 * Laravel's config/ticketd.php: the options of Ticketd\Client\ClientFactory.
 *
 * @package Ticketd
 */

return array(
	'socket'     => env( 'TICKETD_SOCKET', '/run/ticketd/ticketd.sock' ),
	'site'       => env( 'TICKETD_SITE', '' ),
	'table'      => env( 'TICKETD_TABLE', '' ), // As database.table; the daemon refuses what is meant for another one.
	'timeout_ms' => (int) env( 'TICKETD_TIMEOUT_MS', 1000 ),
	'spool'      => env( 'TICKETD_SPOOL', '' ),
);
