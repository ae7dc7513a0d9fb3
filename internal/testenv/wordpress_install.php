<?php
/**
 * Installs WordPress. Arguments: its folder, the administrator's name, the password.
 */

define( 'WP_INSTALLING', true );
$_SERVER['HTTP_HOST'] = 'localhost';

/**
 * Replaces WordPress' own, which would send mail.
 */
function wp_new_blog_notification() {}

require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

// Otherwise the installer asks the site over HTTP whether pretty permalinks work.
$ticketd_structure = function () {
	return '/%postname%/';
};
add_filter( 'pre_option_permalink_structure', $ticketd_structure );
wp_install( 'Help desk', $argv[2], 'admin@example.org', false, '', wp_slash( $argv[3] ) );
remove_filter( 'pre_option_permalink_structure', $ticketd_structure );

$wp_rewrite->set_permalink_structure( '/%postname%/' );
flush_rewrite_rules( false );
