<?php
/**
 * Failures in an agent's words.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Capabilities;

defined( 'ABSPATH' ) || exit;

/**
 * Says what an agent can do about a failure. The daemon's own message, which names paths and servers, is only for
 * managers.
 */
final class Explain {

	/**
	 * A failure of a call.
	 *
	 * @param \WP_Error $error The failure.
	 */
	public static function failure( \WP_Error $error ): string {
		$status = (int) ( $error->get_error_data()['status'] ?? 0 );
		if ( $status < 500 || current_user_can( Capabilities::MANAGE ) ) {
			return $error->get_error_message();
		}
		return __(
			'Tickets are not available at the moment. Try again later, or contact the site\'s administrator.',
			'ticketd'
		);
	}

	/**
	 * The warning of stale data.
	 */
	public static function staleness(): string {
		return __(
			'ticketd or its store is unreachable. The screen shows the database: pending changes may be missing.',
			'ticketd'
		);
	}
}
