<?php
/**
 * Functions of WordPress that need its users and its database.
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

/**
 * The current user, whom the plugin knows by the id alone.
 */
function wp_get_current_user(): stdClass {
	return (object) array( 'ID' => Site::$user );
}

/**
 * The current user's id.
 */
function get_current_user_id(): int {
	return Site::$user;
}

/**
 * A keyed hash.
 *
 * @param string $data What is hashed.
 */
function wp_hash( string $data ): string {
	return hash_hmac( 'md5', $data, 'salt' );
}
