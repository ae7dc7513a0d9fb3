<?php
/**
 * Values as WordPress stores them.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Turns values into the strings that WordPress would store, before they are sent: get_post_meta() returns
 * the same types as without ticketd.
 */
final class Values {

	/**
	 * The string that WordPress would store; null is NULL.
	 *
	 * @param mixed $value The value, without slashes.
	 * @return mixed A string or null; another type for what cannot be stored.
	 */
	public static function raw( $value ) {
		$stored = maybe_serialize( $value );
		return is_scalar( $stored ) ? (string) $stored : $stored;
	}

	/**
	 * Whether the database stores a value unchanged. WordPress rejects or shortens other values, in its own way.
	 *
	 * @param mixed $raw  What raw() returned.
	 * @param Keys  $keys The keys, which know table and bound.
	 */
	public static function is_sendable( $raw, Keys $keys ): bool {
		global $wpdb;

		if ( null === $raw ) {
			return true;
		}
		if ( ! is_string( $raw ) || strlen( $raw ) > $keys->max_value() ) {
			return false;
		}
		if ( 1 !== preg_match( '/[\x80-\xFF]/', $raw ) ) {
			return true;
		}
		return 1 === preg_match( '//u', $raw )
			&& $wpdb->strip_invalid_text_for_column( $keys->table(), 'meta_value', $raw ) === $raw;
	}
}
