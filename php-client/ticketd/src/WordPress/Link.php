<?php
/**
 * A connection to the database that can be aborted.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * A separate connection to the site's database, for statements that must end in time: $wpdb waits for a locked table
 * or a hanging server without limit, and the page's own connection cannot be aborted.
 *
 * The connection is made at the first query while the daemon is unreachable, and lives as long as the PHP request. A
 * statement without an answer ends the connection; the database is then left alone for a moment. The server ends
 * statements that wait for a lock, so that aborted statements do not pile up.
 */
final class Link {

	/** How long the database is left alone after a statement without an answer, in seconds. */
	private const SILENT_SECONDS = 2;

	/**
	 * The connection; null: none.
	 *
	 * @var \mysqli|null
	 */
	private static ?\mysqli $connection = null;

	/**
	 * The $wpdb whose server it leads to.
	 *
	 * @var object|null
	 */
	private static ?object $of = null;

	/**
	 * Until when the database is left alone, in nanoseconds of the monotonic clock.
	 *
	 * @var int
	 */
	private static int $silent_until = 0;

	/**
	 * Whether such a connection can be made: drop-ins that know several servers alone know which is meant, and
	 * statements can only be aborted with PHP's own driver.
	 */
	public static function is_possible(): bool {
		global $wpdb;

		return $wpdb instanceof \wpdb && defined( 'MYSQLI_ASYNC' ) && function_exists( 'mysqli_poll' )
			&& ( $wpdb->dbh ?? null ) instanceof \mysqli && ! isset( $wpdb->dbhs );
	}

	/**
	 * Runs a statement.
	 *
	 * @param string $sql     The statement, complete.
	 * @param int    $left_us How long it may take, in microseconds.
	 * @return array{0: int, 1: array[]}|null How many rows were found or changed, and those that were found, by column;
	 *         null where that failed, or took longer.
	 */
	public static function run( string $sql, int $left_us ): ?array {
		global $wpdb;

		$until = hrtime( true ) + 1000 * $left_us;
		if ( $left_us <= 0 || hrtime( true ) < self::$silent_until ) {
			return null;
		}
		try {
			$connection = self::connection( $left_us );
			$sql        = $wpdb->remove_placeholder_escape( $sql );
			if ( null === $connection || ! $connection->query( $sql, MYSQLI_ASYNC ) ) {
				return self::give_up();
			}
			$left_us = max( 0, intdiv( $until - hrtime( true ), 1000 ) );
			$ready   = array( $connection );
			$failed  = array( $connection );
			$refused = array( $connection );
			// phpcs:ignore WordPress.DB.RestrictedFunctions, Generic.PHP.ForbiddenFunctions -- As in connection().
			if ( 1 !== mysqli_poll( $ready, $failed, $refused, intdiv( $left_us, 1000000 ), $left_us % 1000000 ) ) {
				return self::give_up();
			}
			$result = $connection->reap_async_query();
		} catch ( \mysqli_sql_exception $e ) { // Where another plugin has PHP throw them.
			return self::give_up();
		}
		if ( $result instanceof \mysqli_result ) {
			return array( $result->num_rows, $result->fetch_all( MYSQLI_ASSOC ) );
		}
		// The server's refusal is an answer, except after waiting in vain for a lock.
		return true === $result ? array( (int) $connection->affected_rows, array() ) : self::refused( $connection );
	}

	/**
	 * Forgets connection and silence, as a new PHP request does.
	 */
	public static function forget(): void {
		self::$connection   = null;
		self::$of           = null;
		self::$silent_until = 0;
	}

	/**
	 * Connects where there is no connection.
	 *
	 * @param int $left_us How long that may take, in microseconds. The driver knows whole seconds alone.
	 */
	private static function connection( int $left_us ): ?\mysqli {
		global $wpdb;

		if ( null !== self::$connection && self::$of === $wpdb ) {
			return self::$connection;
		}
		$host = $wpdb->parse_db_host( $wpdb->dbhost );
		if ( false === $host ) {
			return null;
		}
		list( $name, $port, $socket, $is_ipv6 ) = $host;

		$seconds = max( 1, intdiv( $left_us, 1000000 ) );
		// phpcs:ignore WordPress.DB.RestrictedFunctions, Generic.PHP.ForbiddenFunctions -- A connection of $wpdb's cannot be aborted.
		$connection = mysqli_init();
		$connection->options( MYSQLI_OPT_CONNECT_TIMEOUT, $seconds );
		$connection->options( MYSQLI_OPT_READ_TIMEOUT, $seconds );
		$connection->options( MYSQLI_SET_CHARSET_NAME, '' === (string) $wpdb->charset ? 'utf8mb4' : $wpdb->charset );
		$connection->options(
			MYSQLI_INIT_COMMAND,
			"SET SESSION lock_wait_timeout = $seconds, innodb_lock_wait_timeout = $seconds, "
			// As the daemon's sessions have the first, and WordPress' own the second.
			. "time_zone = '+00:00', sql_mode = REPLACE( @@sql_mode, 'ONLY_FULL_GROUP_BY', '' )"
		);
		$flags = defined( 'MYSQL_CLIENT_FLAGS' ) ? MYSQL_CLIENT_FLAGS : 0;
		$name  = $is_ipv6 ? "[$name]" : $name;
		// The port and socket are WordPress' own, and null where it says nothing.
		$done = @$connection->real_connect(
			$name,
			$wpdb->dbuser,
			$wpdb->dbpassword,
			$wpdb->dbname,
			(int) $port,
			(string) $socket,
			$flags
		);
		if ( ! $done ) {
			return null;
		}
		self::$connection = $connection;
		self::$of         = $wpdb;
		return $connection;
	}

	/**
	 * Notes what the server refused.
	 *
	 * @param \mysqli $connection The connection.
	 */
	private static function refused( \mysqli $connection ): ?array {
		return in_array( $connection->errno, array( 1205, 2006, 2013 ), true ) ? self::give_up() : null;
	}

	/**
	 * Leaves the database alone for a moment. The connection still has an answer to come, which must not meet another
	 * statement.
	 *
	 * @return null
	 */
	private static function give_up(): ?array {
		self::$connection   = null;
		self::$silent_until = hrtime( true ) + self::SILENT_SECONDS * 1000000000;
		return null;
	}
}
