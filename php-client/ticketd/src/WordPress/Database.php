<?php
/**
 * The site's database.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Asks $wpdb, and distinguishes an empty answer from a failed query. No method prints an error or throws.
 *
 * $wpdb itself tries for a few seconds to restore a lost connection; that is WordPress' decision for every query of a
 * page. Queries within a call for a ticket have the call's own deadline, see begin(): they may meet a locked table
 * that no other part of the page needs.
 */
final class Database {

	/** What a table's name may be; `_seq` is appended to it, and MySQL allows 64 characters. */
	private const TABLE_NAME = '/^[A-Za-z0-9_$]{1,60}$/D';

	/** The least time for the database in a call, however long the daemon took, in milliseconds. */
	private const LEAST_MS = 250;

	/**
	 * The identities of tables, as this PHP request knows them.
	 *
	 * @var array<string, string>
	 */
	private static array $identities = array();

	/**
	 * When the present call for a ticket ends, in nanoseconds of the monotonic clock; 0 outside of one.
	 *
	 * @var int
	 */
	private static int $until = 0;

	/**
	 * The end of the least time for the database, in nanoseconds, from its first statement in the present call.
	 *
	 * @var int
	 */
	private static int $least = 0;

	/**
	 * Begins a call, whose statements end with it. A hanging daemon may take all of the call's time: the database has
	 * at least LEAST_MS, so that the change still gets into the spool.
	 *
	 * @param int $timeout_ms The call's time, in milliseconds.
	 * @return int[] For end(): what holds around the call.
	 */
	public static function begin( int $timeout_ms ): array {
		$outer       = array( self::$until, self::$least );
		self::$least = self::LEAST_MS * 1000000;
		self::$until = hrtime( true ) + $timeout_ms * 1000000;
		return $outer;
	}

	/**
	 * Ends a call.
	 *
	 * @param int[] $outer What begin() returned.
	 */
	public static function end( array $outer ): void {
		list( self::$until, self::$least ) = $outer;
	}

	/**
	 * Whether a name can be used for a table, unquoted: prepare() cannot insert names.
	 *
	 * @param string $name The name.
	 */
	public static function is_table_name( string $name ): bool {
		return 1 === preg_match( self::TABLE_NAME, $name );
	}

	/**
	 * Reads rows.
	 *
	 * @param string $sql    A query, with placeholders for values.
	 * @param array  $values The values.
	 * @return array[]|null Rows by column, each value a string or null; null where the database does not answer.
	 */
	public static function rows( string $sql, array $values = array() ): ?array {
		global $wpdb;

		if ( self::is_bounded() ) {
			return self::run( $sql, $values )[1] ?? null;
		}
		if ( null === self::change( $sql, $values ) ) {
			return null;
		}
		return array_map( 'get_object_vars', (array) $wpdb->last_result );
	}

	/**
	 * The identity of a tickets table, which spooled changes carry, so that no change is made in another table.
	 *
	 * @param string $table The table's name.
	 * @return string The identity; empty if the table has none, or the database does not answer.
	 */
	public static function identity( string $table ): string {
		if ( ! self::is_table_name( $table ) ) {
			return '';
		}
		if ( ! isset( self::$identities[ $table ] ) ) {
			$rows = self::rows( "SELECT `identity` FROM `{$table}_identity` WHERE `id` = 1" );

			self::$identities[ $table ] = (string) ( $rows[0]['identity'] ?? '' );
		}
		return self::$identities[ $table ];
	}

	/**
	 * Runs a statement.
	 *
	 * @param string $sql    The statement, with placeholders for values.
	 * @param array  $values The values.
	 * @return int|null Rows found or changed; null where that failed.
	 */
	public static function change( string $sql, array $values ): ?int {
		global $wpdb;

		if ( self::is_bounded() ) {
			return self::run( $sql, $values )[0] ?? null;
		}
		$suppressed = $wpdb->suppress_errors( true );
		// phpcs:ignore WordPress.DB.PreparedSQL, WordPress.DB.DirectDatabaseQuery -- complete() prepared it; no cache fits.
		$done = $wpdb->query( self::complete( $sql, $values ) );
		$wpdb->suppress_errors( $suppressed );
		return is_int( $done ) ? $done : null;
	}

	/**
	 * Whether statements have a deadline now, and can be aborted.
	 */
	private static function is_bounded(): bool {
		return 0 !== self::$until && Link::is_possible();
	}

	/**
	 * Runs a statement that has a deadline.
	 *
	 * @param string $sql    The statement, with placeholders for values.
	 * @param array  $values The values.
	 * @return array{0: int, 1: array[]}|null See Link::run().
	 */
	private static function run( string $sql, array $values ): ?array {
		self::$until = max( self::$until, hrtime( true ) + self::$least );
		self::$least = 0;
		return Link::run( self::complete( $sql, $values ), intdiv( self::$until - hrtime( true ), 1000 ) );
	}

	/**
	 * Puts the values into a statement. All names in it come from the table's definition or were checked.
	 *
	 * @param string $sql    The statement, with placeholders for values.
	 * @param array  $values The values.
	 */
	private static function complete( string $sql, array $values ): string {
		global $wpdb;

		// phpcs:ignore WordPress.DB.PreparedSQL -- This prepares it.
		return array() === $values ? $sql : $wpdb->prepare( $sql, $values );
	}
}
