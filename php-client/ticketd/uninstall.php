<?php
/**
 * Removes what the plugin keeps in the options. The tickets are the site's: their tables stay, always.
 *
 * @package Ticketd
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

if ( is_multisite() ) {
	$ticketd_blogs = get_sites(
		array(
			'fields' => 'ids',
			'number' => 0,
		)
	);
	foreach ( $ticketd_blogs as $ticketd_blog ) {
		delete_blog_option( (int) $ticketd_blog, 'ticketd_install_error' );
	}
} else {
	delete_option( 'ticketd_install_error' );
}
