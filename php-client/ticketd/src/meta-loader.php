<?php
/**
 * Plugin Name: ticketd metadata
 * Description: Loads ticketd's adapter for metadata first. "wp ticketd meta uninstall" removes it.
 * Author:      The ticketd authors
 * License:     GPL-2.0-or-later
 *
 * @package Ticketd
 */

defined( 'ABSPATH' ) || exit;

if ( is_file( WP_PLUGIN_DIR . '/ticketd/src/meta.php' ) ) {
	require_once WP_PLUGIN_DIR . '/ticketd/src/meta.php';
}
