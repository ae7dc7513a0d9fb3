<?php
/**
 * Who the current visitor is.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Distinguishes visitors: by user, or else by the address of the connection, because a header may hold any address.
 * For IPv6 the network counts, because a visitor may use any address in a network.
 */
final class Visitor {

	/**
	 * A text that is another one for each visitor.
	 */
	public static function current(): string {
		$user = get_current_user_id();
		// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- Only an address is taken, see below.
		$given   = isset( $_SERVER['REMOTE_ADDR'] ) ? wp_unslash( $_SERVER['REMOTE_ADDR'] ) : '';
		$packed  = filter_var( $given, FILTER_VALIDATE_IP ) ? (string) inet_pton( $given ) : '';
		$visitor = 0 !== $user
			? 'user ' . $user
			: 'address ' . bin2hex( 16 === strlen( $packed ) ? substr( $packed, 0, 8 ) : $packed );
		/**
		 * Filters who the current visitor is, for sites behind a proxy that they trust.
		 *
		 * @param string $visitor A text that is another one for each visitor.
		 */
		return (string) apply_filters( 'ticketd_visitor', $visitor );
	}
}
