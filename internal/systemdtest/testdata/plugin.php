<?php
/**
 * Installs and activates a plugin's zip as the screen "Upload Plugin" does. Usage: plugin.php WORDPRESS ZIP
 */

$_SERVER['HTTP_HOST'] = 'localhost';
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
require_once ABSPATH . 'wp-admin/includes/class-wp-upgrader.php';

add_filter( 'filesystem_method', fn() => 'direct' );
$ticketd_upgrader  = new Plugin_Upgrader( new Automatic_Upgrader_Skin() );
$ticketd_installed = $ticketd_upgrader->install( $argv[2] );
if ( true === $ticketd_installed ) {
	$ticketd_installed = activate_plugin( $ticketd_upgrader->plugin_info() );
}
if ( null !== $ticketd_installed ) {
	fwrite( STDERR, is_wp_error( $ticketd_installed ) ? $ticketd_installed->get_error_message() : 'not installed' );
	exit( 1 );
}
