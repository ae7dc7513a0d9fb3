<?php
/**
 * Activates a plugin. Arguments: WordPress' folder, the plugin's main file below the plugins' folder, `network` or `blog`.
 */

$_SERVER['HTTP_HOST'] = 'localhost';
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';

$ticketd_result = activate_plugin( $argv[2], '', 'network' === $argv[3] );
if ( is_wp_error( $ticketd_result ) ) {
	fwrite( STDERR, $ticketd_result->get_error_message() . "\n" );
	exit( 1 );
}
