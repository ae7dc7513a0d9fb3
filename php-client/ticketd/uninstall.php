<?php
/**
 * Removes what the plugin keeps in the options and the roles. The tickets are the site's: their tables stay, always.
 *
 * @package Ticketd
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

require_once __DIR__ . '/src/autoload.php';

if ( is_multisite() ) {
	$ticketd_blogs = get_sites(
		array(
			'fields' => 'ids',
			'number' => 0,
		)
	);
	foreach ( $ticketd_blogs as $ticketd_blog ) {
		switch_to_blog( (int) $ticketd_blog );
		delete_option( 'ticketd_install_error' );
		Ticketd\WordPress\Capabilities::revoke();
		restore_current_blog();
	}
} else {
	delete_option( 'ticketd_install_error' );
	Ticketd\WordPress\Capabilities::revoke();
}
