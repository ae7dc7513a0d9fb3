<?php
/**
 * What the site's owner decides.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\Spool;

defined( 'ABSPATH' ) || exit;

/**
 * The settings: each is a constant in wp-config.php, and a filter has the last word.
 */
final class Settings {

	/**
	 * Path of the daemon's socket: TICKETD_SOCKET.
	 */
	public function socket(): string {
		/**
		 * Filters the path of the daemon's socket. It is asked for once per request.
		 *
		 * @param string $path The path.
		 */
		return (string) apply_filters(
			'ticketd_socket',
			defined( 'TICKETD_SOCKET' ) ? TICKETD_SOCKET : Connection::DEFAULT_SOCKET
		);
	}

	/**
	 * Name of this site in the daemon's configuration: TICKETD_SITE. Empty where this user may use exactly one.
	 */
	public function site(): string {
		/**
		 * Filters the name of the site in the daemon's configuration. It is asked for at each call, so that each blog
		 * of a multisite may have its own, switch_to_blog() included.
		 *
		 * @param string $site    The name.
		 * @param int    $blog_id The blog that the call is for.
		 */
		return (string) apply_filters(
			'ticketd_site',
			defined( 'TICKETD_SITE' ) ? TICKETD_SITE : '',
			get_current_blog_id()
		);
	}

	/**
	 * Time that one call has, in milliseconds: TICKETD_TIMEOUT_MS.
	 */
	public function timeout_ms(): int {
		/**
		 * Filters the time that one call to the daemon has. A flush has its own.
		 *
		 * @param int $timeout_ms The time in milliseconds, at least 1.
		 */
		return (int) apply_filters(
			'ticketd_timeout_ms',
			defined( 'TICKETD_TIMEOUT_MS' ) ? TICKETD_TIMEOUT_MS : Client::DEFAULT_TIMEOUT_MS
		);
	}

	/**
	 * The folder where changes wait while the daemon is away: TICKETD_SPOOL. Empty: none, they fail then.
	 */
	public function spool(): string {
		/**
		 * Filters the path of the spool folder. It must be the one in the daemon's configuration, and is not asked for
		 * again within a request.
		 *
		 * @param string $folder The path; empty: no folder.
		 */
		$folder = apply_filters( 'ticketd_spool', defined( 'TICKETD_SPOOL' ) ? TICKETD_SPOOL : Spool::DEFAULT_FOLDER );
		return rtrim( (string) $folder, '/' );
	}

	/**
	 * Name of the current blog's tickets table.
	 */
	public function table(): string {
		global $wpdb;

		/**
		 * Filters the name of the tickets table. It must be the one in the daemon's configuration.
		 *
		 * @param string $table The name, with the blog's prefix.
		 */
		return (string) apply_filters( 'ticketd_table', $wpdb->prefix . 'support_tickets' );
	}
}
