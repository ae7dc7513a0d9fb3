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
 * Loads users in one query.
 *
 * @param int[] $ids Their ids.
 */
function cache_users( array $ids ): void {
	Site::$loaded[] = array_values( $ids );
}

/**
 * A user.
 *
 * @param int $id The user's id.
 * @return object|false
 */
function get_userdata( int $id ) {
	return isset( Site::$users[ $id ] ) ? (object) array( 'display_name' => Site::$users[ $id ] ) : false;
}

/**
 * The user with an address: the site has none.
 *
 * @param string $field What is searched.
 * @param string $value Its value.
 */
function get_user_by( string $field, string $value ): bool {
	return '' === $field . $value;
}

/**
 * The mark of the chosen option.
 *
 * @param string $option  The option.
 * @param string $current The chosen one.
 */
function selected( string $option, string $current ): string {
	return $option === $current ? " selected='selected'" : '';
}

/**
 * A keyed hash.
 *
 * @param string $data What is hashed.
 */
function wp_hash( string $data ): string {
	return hash_hmac( 'md5', $data, 'salt' );
}

/**
 * Changes metadata of a post.
 *
 * @param int    $id    The post's id.
 * @param string $key   The key.
 * @param mixed  $value The value, with slashes.
 * @return int|bool
 */
function update_post_meta( int $id, string $key, $value ) {
	return update_metadata( 'post', $id, $key, $value );
}

/**
 * Forgets a post: no test reads one.
 *
 * @param int $id The post's id.
 */
function clean_post_cache( int $id ): void {
	do_action( 'clean_post_cache', $id );
}

/**
 * A post's type.
 *
 * @param int $id The post's id.
 * @return string|false
 */
function get_post_type( int $id ) {
	return Site::$posts[ $id ] ?? false;
}
