<?php
/**
 * The WordPress site of the tests.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Clients;
use Ticketd\WordPress\Link;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;

/**
 * The site's properties that a test may set.
 */
final class Site {

	/**
	 * The rights of the current user; empty if no user is logged in.
	 *
	 * @var string[]
	 */
	public static array $capabilities = array();

	/**
	 * The current user's id; 0: no user is logged in.
	 *
	 * @var int
	 */
	public static int $user = 0;

	/**
	 * Names of users by their ids.
	 *
	 * @var array<int, string>
	 */
	public static array $users = array();

	/**
	 * The ids of each query for users.
	 *
	 * @var array[]
	 */
	public static array $loaded = array();

	/**
	 * The types of posts, by id.
	 *
	 * @var array<int, string>
	 */
	public static array $posts = array();

	/**
	 * The abilities and their category, by name.
	 *
	 * @var array<string, array>
	 */
	public static array $abilities = array();

	/**
	 * Makes the plugin talk to a socket, over a new connection, as in a new request.
	 *
	 * @param string $socket The socket's path.
	 */
	public static function connect( string $socket ): void {
		remove_all_filters( 'ticketd_socket' );
		add_filter(
			'ticketd_socket',
			static function () use ( $socket ): string {
				return $socket;
			}
		);
		Link::forget();
		$api = new \ReflectionProperty( Plugin::class, 'api' );
		$api->setAccessible( true );
		$api->setValue( Plugin::instance(), new Api( new Settings() ) );
		$GLOBALS['wp_rest_server'] = null;
	}

	/**
	 * Makes the site remember features of the daemon.
	 *
	 * @param mixed $features Their names; false: the watchdog has not asked yet.
	 */
	public static function features( $features ): void {
		remove_all_filters( 'pre_option_' . Clients::FEATURES );
		add_filter( 'pre_option_' . Clients::FEATURES, static fn() => $features );
	}

	/**
	 * Resets everything that a test has set.
	 */
	public static function reset(): void {
		self::$capabilities = array();
		self::$user         = 0;
		self::$users        = array();
		self::$loaded       = array();
		$GLOBALS['wpdb']    = new Database();
		wp_cache_flush();
		foreach ( array( 'socket', 'site', 'timeout_ms', 'spool', 'table', 'rest_permission', 'permission', 'ticket_fields', 'rest_fields', 'ticket_created', 'ticket_updated', 'ticket_deleted', 'visitor' ) as $filter ) {
			remove_all_filters( 'ticketd_' . $filter );
		}
		remove_all_filters( 'pre_option_' . Clients::FEATURES );
		// The machine may have a spool of its own.
		add_filter( 'ticketd_spool', '__return_empty_string' );
	}
}
