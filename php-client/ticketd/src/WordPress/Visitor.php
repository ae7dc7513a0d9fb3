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
 * For IPv6 the network counts, because a visitor may use any address in a network; an IPv4 address that is written as
 * IPv6, by a server or a translator, counts as IPv4: their network is all visitors'.
 */
final class Visitor {

	/** Networks whose addresses have an IPv4 address behind them: IPv4-mapped, and NAT64 (RFC 6052, RFC 8215). */
	private const WITH_IPV4 = array(
		"\0\0\0\0\0\0\0\0\0\0\xff\xff",
		"\0\x64\xff\x9b\0\0\0\0\0\0\0\0",
		"\0\x64\xff\x9b\0\x01",
	);

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
			: 'address ' . bin2hex( self::place( $packed ) );
		/**
		 * Filters who the current visitor is, for sites behind a proxy that they trust.
		 *
		 * @param string $visitor A text that is another one for each visitor.
		 */
		return (string) apply_filters( 'ticketd_visitor', $visitor );
	}

	/**
	 * The part of an address that is another one for each place.
	 *
	 * @param string $packed The address, packed; empty: none.
	 */
	private static function place( string $packed ): string {
		if ( 16 !== strlen( $packed ) ) {
			return $packed;
		}
		foreach ( self::WITH_IPV4 as $network ) {
			if ( 0 === strncmp( $packed, $network, strlen( $network ) ) ) {
				return substr( $packed, strlen( $network ) );
			}
		}
		return substr( $packed, 0, 8 );
	}
}
