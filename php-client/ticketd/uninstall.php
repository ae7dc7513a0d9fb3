<?php
/**
 * Removes what the plugin keeps, as far as the setting TICKETD_KEEP says: without it the options, never the tickets.
 *
 * @package Ticketd
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

require_once __DIR__ . '/src/autoload.php';

Ticketd\WordPress\Blogs::each( array( Ticketd\WordPress\Uninstaller::class, 'run' ) );
