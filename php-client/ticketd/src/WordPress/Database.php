<?php
/**
 * The site's database.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Asks $wpdb, and tells what it found from what it could not ask. Nothing here prints an error or throws.
 *
 * $wpdb itself tries a few seconds long to get back a connection that was lost; that is WordPress' decision for every
 * query of a page.
 */
final class Database {

	/** What a table's name may be; `_seq` is appended to it, and MySQL allows 64 characters. */
	private const TABLE_NAME = '/^[A-Za-z0-9_$]{1,60}$/D';

	/**
	 * The identities of tables, as this PHP request knows them.
	 *
	 * @var array<string, string>
	 */
	private static array $identities = array();

	/**
	 * Whether a name can be used for a table, unquoted values being the one thing that prepare() cannot put in.
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

		if ( null === self::change( $sql, $values ) ) {
			return null;
		}
		return array_map( 'get_object_vars', (array) $wpdb->last_result );
	}

	/**
	 * The identity of a tickets table, which changes that wait in the spool carry: so none is ever made in another
	 * table.
	 *
	 * @param string $table The table's name.
	 * @return string The identity; empty where the table has none, or the database does not answer.
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

		$suppressed = $wpdb->suppress_errors( true );
		// All names in it come from the table's definition or were checked; values are what prepare() puts in.
		$sql  = array() === $values ? $sql : $wpdb->prepare( $sql, $values ); // phpcs:ignore WordPress.DB
		$done = $wpdb->query( $sql ); // phpcs:ignore WordPress.DB
		$wpdb->suppress_errors( $suppressed );
		return is_int( $done ) ? $done : null;
	}
}
