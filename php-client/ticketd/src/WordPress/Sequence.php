<?php
/**
 * Ids of new tickets without the daemon.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress;

use Ticketd\Client\LocalException;

defined( 'ABSPATH' ) || exit;

/**
 * The sequence in the database from which the daemon leases its ids, too. No id is given twice, and no id of a row or
 * a spooled change is given; the sequence itself stays below ids that were typed in.
 */
final class Sequence {

	/**
	 * Ids from here on do not raise the sequence: they were typed in or come from elsewhere, and the ids above them
	 * would soon run out. The daemon has the same bound.
	 */
	private const REACH = 1 << 52;

	/** How many ids are tried for one ticket. Each that a row has leads to the next gap between the rows. */
	private const MAX_TRIES = 20;

	/** The tables beside a tickets table that know ids of deleted tickets. */
	private const BESIDE = array( '_tombstones', '_ticketd' );

	/**
	 * Takes the id of a new ticket, as the daemon leases its ids: in a single statement, so that no id is given
	 * twice. In a transaction that is rolled back the id would be given again.
	 *
	 * @param string   $table      Name of the tickets table.
	 * @param callable $is_waiting Tells whether a spooled change has an id.
	 * @return int The id; 0 where the database gives none.
	 * @throws LocalException If the table gives ids itself, which only the daemon keeps apart from its own; the
	 *                        reason is `unavailable`.
	 */
	public static function next( string $table, callable $is_waiting ): int {
		$places = Database::is_table_name( $table ) ? self::places( $table ) : array();
		$floor  = 1;
		for ( $try = 0; array() !== $places && $try < self::MAX_TRIES; ++$try ) {
			$id  = self::take( $table, $floor );
			$gap = 0 === $id ? null : self::gap( $places, $id );
			if ( null === $gap ) {
				return 0;
			}
			if ( $gap === $id && ! $is_waiting( $id ) ) {
				return $id;
			}
			$floor = max( $gap, $id + 1 );
		}
		return 0;
	}

	/**
	 * Raises the sequence of a tickets table above an id, so that the id is not given again. Ids from REACH on do not
	 * count.
	 *
	 * @param string $table The table's name.
	 * @param int    $id    The id.
	 * @return bool Whether the sequence is above it now.
	 */
	public static function raise( string $table, int $id ): bool {
		if ( ! Database::is_table_name( $table ) || $id >= self::REACH ) {
			return false;
		}
		$sql = "UPDATE `{$table}_seq` SET `next` = GREATEST(`next`, %d) WHERE `id` = 1";
		return null !== Database::change( $sql, array( $id + 1 ) );
	}

	/**
	 * The tables that know ids, with the column that holds them.
	 *
	 * @param string $table Name of the tickets table.
	 * @return array<string, string> Columns by table; empty where the database does not answer or has no such table.
	 * @throws LocalException If the table gives ids itself.
	 */
	private static function places( string $table ): array {
		$names = array( $table, 'ticket_id', $table . self::BESIDE[0], $table . self::BESIDE[1] );
		$rows  = Database::rows(
			'SELECT TABLE_NAME AS `name`, COLUMN_NAME AS `id`, EXTRA AS `extra` FROM information_schema.COLUMNS
			WHERE TABLE_SCHEMA = DATABASE() AND ( ( TABLE_NAME = %s AND COLUMN_NAME = %s )
			OR ( TABLE_NAME IN ( %s, %s ) AND COLUMN_KEY = \'PRI\' ) )',
			$names
		);
		foreach ( $rows ?? array() as $row ) {
			if ( $row['name'] === $table && false !== stripos( (string) $row['extra'], 'auto_increment' ) ) {
				$text = 'ticketd does not answer, and new tickets of this site get their ids through it alone: ' .
					'the key of %s is AUTO_INCREMENT. Start ticketd.';
				throw new LocalException( 'unavailable', sprintf( $text, $table ), true );
			}
		}
		$places = array_column( $rows ?? array(), 'id', 'name' );
		return isset( $places[ $table ] ) ? $places : array();
	}

	/**
	 * Takes the next id out of the sequence, and none below a floor.
	 *
	 * @param string $table Name of the tickets table.
	 * @param int    $floor The lowest id to take.
	 * @return int The id; 0 where the database gives none.
	 */
	private static function take( string $table, int $floor ): int {
		$sql = "UPDATE `{$table}_seq` SET `next` = LAST_INSERT_ID(GREATEST(`next`, %d)) + 1 WHERE `id` = 1";
		if ( 1 !== Database::change( $sql, array( $floor ) ) ) {
			return 0;
		}
		// The table is named so that drop-ins which know several servers ask the one that has just been written to.
		$rows = Database::rows( "SELECT LAST_INSERT_ID() AS `id` FROM `{$table}_seq` WHERE `id` = 1" );
		return (int) ( $rows[0]['id'] ?? 0 );
	}

	/**
	 * The lowest id from a given one on that no row has.
	 *
	 * @param array<string, string> $places The tables that know ids, with the column that holds them.
	 * @param int                   $id     The id to begin with.
	 * @return int|null Null where the database does not answer.
	 */
	private static function gap( array $places, int $id ): ?int {
		$gap = $id;
		do {
			$begin = $gap;
			foreach ( $places as $table => $column ) {
				$rows = Database::rows( "SELECT 1 FROM `$table` WHERE `$column` = %d", array( $gap ) );
				if ( array() !== $rows && null !== $rows ) {
					$rows = Database::rows(
						"SELECT t.`$column` + 1 AS `id` FROM `$table` AS t
						LEFT JOIN `$table` AS n ON n.`$column` = t.`$column` + 1
						WHERE t.`$column` >= %d AND n.`$column` IS NULL ORDER BY t.`$column` LIMIT 1",
						array( $gap )
					);
					$gap  = (int) ( $rows[0]['id'] ?? 0 );
				}
				if ( null === $rows || 0 === $gap ) {
					return null;
				}
			}
			$is_shared = count( $places ) > 1;
		} while ( $gap !== $begin && $is_shared );
		return $gap;
	}
}
