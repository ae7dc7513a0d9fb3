<?php
/**
 * How many tickets a visitor may open.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Database;

defined( 'ABSPATH' ) || exit;

/**
 * Counts what each visitor has sent within a window of time, in one atomic step, so that parallel requests do not slip
 * through. Counters lie where WordPress keeps transients, in the object cache or the options, and go with them.
 *
 * A visitor is a user, or else the address that the connection comes from: what a header says of it anybody can make
 * up. Of an IPv6 address the network counts, as everybody has as many addresses within theirs as they like.
 */
final class RateLimit {

	/** The object cache's group. */
	private const GROUP = 'ticketd_rate';

	/**
	 * Most within a window.
	 *
	 * @var int
	 */
	private int $most;

	/**
	 * The window in seconds.
	 *
	 * @var int
	 */
	private int $seconds;

	/**
	 * Takes the limit.
	 *
	 * @param int $most    Most within a window.
	 * @param int $seconds The window in seconds.
	 */
	public function __construct( int $most, int $seconds ) {
		$this->most    = $most;
		$this->seconds = $seconds;
	}

	/**
	 * Counts one more for the current visitor.
	 *
	 * @return bool Whether it is within the limit; where nothing can be counted it is.
	 */
	public function allows(): bool {
		$window = intdiv( time(), $this->seconds );
		$key    = substr( wp_hash( self::visitor() . '|' . $window, 'nonce' ), 0, 32 );
		$count  = wp_using_ext_object_cache() ? $this->count_in_cache( $key ) : $this->count_in_options( $key );
		return $count <= $this->most;
	}

	/**
	 * Who the current visitor is.
	 */
	private static function visitor(): string {
		$user = get_current_user_id();
		// Only taken for an address where it is one.
		$given   = isset( $_SERVER['REMOTE_ADDR'] )
			? wp_unslash( $_SERVER['REMOTE_ADDR'] )
			: ''; // phpcs:ignore WordPress.Security
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

	/**
	 * Counts in the object cache.
	 *
	 * @param string $key The counter's key.
	 */
	private function count_in_cache( string $key ): int {
		return wp_cache_add( $key, 1, self::GROUP, $this->seconds ) ? 1 : (int) wp_cache_incr( $key, 1, self::GROUP );
	}

	/**
	 * Counts in the options table, as a transient, which WordPress removes once it is over.
	 *
	 * @param string $key The counter's key.
	 */
	private function count_in_options( string $key ): int {
		global $wpdb;

		$name = 'ticketd_rate_' . $key;
		Database::rows(
			"INSERT INTO `{$wpdb->options}` (option_name, option_value, autoload) VALUES (%s, '1', 'no'), (%s, %s, 'no')
			ON DUPLICATE KEY UPDATE option_value = IF(option_name LIKE %s, option_value, option_value + 1)",
			array(
				'_transient_' . $name,
				'_transient_timeout_' . $name,
				(string) ( time() + $this->seconds ),
				$wpdb->esc_like( '_transient_timeout_' ) . '%',
			)
		);
		$sql  = "SELECT option_value AS `count` FROM `{$wpdb->options}` WHERE option_name = %s";
		$rows = Database::rows( $sql, array( '_transient_' . $name ) );
		return (int) ( $rows[0]['count'] ?? 0 );
	}
}
