<?php
/**
 * Makes a network of an installed WordPress. Argument: its folder.
 */

define( 'WP_INSTALLING_NETWORK', true );
define( 'WP_ALLOW_MULTISITE', true );
$_SERVER['HTTP_HOST'] = 'localhost';
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/network.php';

foreach ( $wpdb->tables( 'ms_global' ) as $ticketd_table => $ticketd_name ) {
	$wpdb->$ticketd_table = $ticketd_name;
}
install_network();
$ticketd_result = populate_network( 1, 'localhost', 'admin@example.org', 'Help desks', '/', false );
if ( is_wp_error( $ticketd_result ) && 'no_wildcard_dns' !== $ticketd_result->get_error_code() ) {
	fwrite( STDERR, $ticketd_result->get_error_message() . "\n" );
	exit( 1 );
}
