<?php
/**
 * How many tickets a visitor may open.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Database;
use Ticketd\WordPress\Visitor;

defined( 'ABSPATH' ) || exit;

/**
 * Counts each visitor's requests within a window of time, in an atomic step, so that parallel requests do not slip
 * through. The counters are transients of WordPress, in the object cache or the options.
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
	 * @return bool Whether the count is within the limit; true if counting is not possible.
	 */
	public function allows(): bool {
		$window = intdiv( time(), $this->seconds );
		$key    = substr( wp_hash( Visitor::current() . '|' . $window, 'nonce' ), 0, 32 );
		$count  = wp_using_ext_object_cache() ? $this->count_in_cache( $key ) : $this->count_in_options( $key );
		return $count <= $this->most;
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
