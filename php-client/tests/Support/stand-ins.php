<?php
/**
 * Functions of WordPress that would need its users and its database.
 *
 * @package Ticketd
 */

use Ticketd\Tests\Support\Site;

/**
 * Whether the current user may do something.
 *
 * @param string $capability The capability.
 */
function current_user_can( string $capability ): bool {
	return in_array( $capability, Site::$capabilities, true );
}

/**
 * Whether somebody is logged in.
 */
function is_user_logged_in(): bool {
	return array() !== Site::$capabilities;
}
