<?php
/**
 * Loads the adapter for metadata, if this site has an option that says which keys ticketd takes.
 *
 * @package Ticketd
 */

namespace Ticketd;

use Ticketd\WordPress\Meta\Adapter;

defined( 'ABSPATH' ) || exit;

// get_option() asks the database for an option that is not there.
if ( ( isset( wp_load_alloptions()['ticketd_meta'] ) && is_array( get_option( 'ticketd_meta' ) ) ) || is_multisite() ) {
	require_once __DIR__ . '/autoload.php';
	// What every page uses, not looked up one by one.
	$ticketd_classes = 'Keys Transaction Daemon Queries Cache Values Writes Lifecycle Adapter';
	foreach ( explode( ' ', $ticketd_classes ) as $ticketd_class ) {
		require_once __DIR__ . '/WordPress/Meta/' . $ticketd_class . '.php';
	}
	Adapter::instance()->register();
}
