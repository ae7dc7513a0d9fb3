<?php
/**
 * Request ids that users give.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Makes separate request ids for users and visitors: the daemon shares a site's request ids among all users, so that
 * the `order-812` of a user would block that of another user or of the shop. The id sent is therefore made of the
 * user and the user's id.
 *
 * An id that the client made up for a call without an id is returned to the user if the call failed, so that the user
 * can repeat the call. The id has a signature, so that only the same user can use it.
 */
final class RequestIds {

	/** The form of an id that was sent to a caller. */
	private const TOLD = '/^ticketd-([0-9a-f]{32})-[0-9a-f]{16}$/';

	/**
	 * What to send for an id that the current visitor gave.
	 *
	 * @param string $given The id; empty: none.
	 * @return string At most 64 bytes; empty for none.
	 */
	public static function of_visitor( string $given ): string {
		if ( '' === $given ) {
			return '';
		}
		if ( 1 === preg_match( self::TOLD, $given, $told ) && hash_equals( self::told( $told[1] ), $given ) ) {
			return $told[1];
		}
		return 'rest-' . substr( hash( 'sha256', Visitor::current() . "\0" . $given ), 0, 40 );
	}

	/**
	 * What to tell the current visitor of the id under which a call may be repeated.
	 *
	 * @param string $sent  The id that was sent; empty: none.
	 * @param string $given The id that the visitor gave; empty: none.
	 */
	public static function for_visitor( string $sent, string $given ): string {
		return '' === $sent || '' !== $given ? $given : self::told( $sent );
	}

	/**
	 * An id that was made up, as the current visitor receives it.
	 *
	 * @param string $made_up The id.
	 */
	private static function told( string $made_up ): string {
		$signature = wp_hash( 'request ' . Visitor::current() . ' ' . $made_up );
		return 'ticketd-' . $made_up . '-' . substr( $signature, 0, 16 );
	}
}
