<?php
/**
 * Compares the daemon's tickets with the database's.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Reads tickets through the daemon and rows from the table, and reports the differences. A ticket that changes
 * between the two reads is flushed and compared again.
 */
final class Verifier {

	/** Tickets that are compared at a time. */
	private const PAGE = 500;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Name of the tickets table.
	 *
	 * @var string
	 */
	private string $table_name;

	/**
	 * Tickets that were compared.
	 *
	 * @var int
	 */
	private int $count = 0;

	/**
	 * Tickets that were to be compared and are in neither place.
	 *
	 * @var int[]
	 */
	private array $missing = array();

	/**
	 * Takes the parts.
	 *
	 * @param Api    $api        The daemon's API.
	 * @param string $table_name Name of the tickets table.
	 */
	public function __construct( Api $api, string $table_name ) {
		$this->api        = $api;
		$this->table_name = $table_name;
	}

	/**
	 * How many tickets were compared.
	 */
	public function count(): int {
		return $this->count;
	}

	/**
	 * The ids of tickets that were to be compared and are in neither place, not even deleted.
	 *
	 * @return int[]
	 */
	public function missing(): array {
		return $this->missing;
	}

	/**
	 * Compares tickets.
	 *
	 * @param int[] $ids Ticket ids; empty: all that are not deleted.
	 * @return array[]|\WP_Error Differences: `id`, `field`, `ticketd`, `database`.
	 */
	public function compare( array $ids ) {
		$is_all  = array() === $ids;
		$flushed = $is_all ? $this->api->flush() : true;
		if ( is_wp_error( $flushed ) ) {
			return $flushed;
		}
		$differences = array();
		$after       = 0;
		do {
			$some = $is_all ? $this->next_ids( $after ) : array_splice( $ids, 0, self::PAGE );
			if ( is_wp_error( $some ) || array() === $some ) {
				return is_wp_error( $some ) ? $some : $differences;
			}
			$after = end( $some );
			$found = $this->differences( $some );
			if ( ! is_wp_error( $found ) && array() !== $found ) {
				$again = array_values( array_unique( array_column( $found, 'id' ) ) );
				$found = $this->after_flush( $again );
			}
			if ( is_wp_error( $found ) ) {
				return $found;
			}
			$this->count += count( array_diff( $some, $this->missing ) );
			array_push( $differences, ...$found );
			$is_last = count( $some ) < self::PAGE;
		} while ( ! $is_last );
		return $differences;
	}

	/**
	 * The next ids of the table.
	 *
	 * @param int $after The last one that was compared.
	 * @return int[]|\WP_Error
	 */
	private function next_ids( int $after ) {
		if ( ! Database::is_table_name( $this->table_name ) ) {
			return self::no_database();
		}
		$rows = Database::rows(
			"SELECT `ticket_id` AS `id` FROM `{$this->table_name}` WHERE `ticket_id` > %d ORDER BY 1 LIMIT %d",
			array( $after, self::PAGE )
		);
		return null === $rows ? self::no_database() : array_map( 'intval', array_column( $rows, 'id' ) );
	}

	/**
	 * Flushes tickets and compares them then.
	 *
	 * @param int[] $ids Ticket ids.
	 * @return array[]|\WP_Error
	 */
	private function after_flush( array $ids ) {
		$flushed = $this->api->flush( $ids );
		return is_wp_error( $flushed ) ? $flushed : $this->differences( $ids );
	}

	/**
	 * Compares some tickets.
	 *
	 * @param int[] $ids At most PAGE ids.
	 * @return array[]|\WP_Error
	 */
	private function differences( array $ids ) {
		$tickets = $this->api->get_many( $ids );
		if ( is_wp_error( $tickets ) ) {
			return $tickets;
		}
		if ( in_array( true, array_column( array_filter( $tickets ), 'stale' ), true ) ) {
			return new \WP_Error(
				'ticketd_unavailable',
				__( 'ticketd is unreachable: there is nothing to compare.', 'ticketd' )
			);
		}
		$table  = Table::describe( $this->table_name );
		$places = implode( ', ', array_fill( 0, count( $ids ), '%d' ) );
		$rows   = null === $table ? null : Database::rows(
			'SELECT ' . $table->selected() . ' FROM ' . $table->source() . " WHERE `ticket_id` IN ($places)",
			$ids
		);
		if ( null === $rows ) {
			return self::no_database();
		}
		$found       = array_column( array_map( array( $table, 'ticket' ), $rows ), null, 'id' );
		$differences = array();
		foreach ( $ids as $id ) {
			$row = $found[ $id ] ?? null;
			if ( null === $row && null === $tickets[ $id ] ) {
				$this->missing[] = $id;
				continue;
			}
			$row = null === $row || $row['deleted'] ? null : $row['fields'];
			array_push( $differences, ...self::between( $id, $tickets[ $id ]['fields'] ?? null, $row ) );
		}
		return $differences;
	}

	/**
	 * Compares one ticket.
	 *
	 * @param int        $id     The ticket's id.
	 * @param array|null $ticket What the daemon says of its fields.
	 * @param array|null $row    What the database has.
	 * @return array[]
	 */
	private static function between( int $id, ?array $ticket, ?array $row ): array {
		if ( null === $ticket || null === $row ) {
			return $ticket === $row ? array() : array( self::difference( $id, '', $ticket ?? '-', $row ?? '-' ) );
		}
		$differences = array();
		foreach ( array_keys( $ticket + $row ) as $name ) {
			// A field without a column that is NULL is one that is not there.
			if ( ( $ticket[ $name ] ?? null ) !== ( $row[ $name ] ?? null ) ) {
				$differences[] = self::difference( $id, $name, $ticket[ $name ] ?? null, $row[ $name ] ?? null );
			}
		}
		return $differences;
	}

	/**
	 * A difference.
	 *
	 * @param int        $id       The ticket's id.
	 * @param string|int $field    The field's name; empty: the whole ticket.
	 * @param mixed      $ticketd  What the daemon says.
	 * @param mixed      $database What the database has.
	 */
	private static function difference( int $id, $field, $ticketd, $database ): array {
		return array(
			'id'       => $id,
			'field'    => (string) $field,
			'ticketd'  => is_array( $ticketd ) ? __( 'there', 'ticketd' ) : $ticketd,
			'database' => is_array( $database ) ? __( 'there', 'ticketd' ) : $database,
		);
	}

	/**
	 * That the database does not answer.
	 */
	private static function no_database(): \WP_Error {
		return new \WP_Error(
			'ticketd_database',
			__( 'The database does not answer, or has no such table.', 'ticketd' )
		);
	}
}
