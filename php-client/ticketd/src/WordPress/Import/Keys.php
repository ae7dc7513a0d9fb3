<?php
/**
 * The source's keys of tickets.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

use Ticketd\WordPress\Database;
use Ticketd\WordPress\Table;

defined( 'ABSPATH' ) || exit;

/**
 * Knows which ticket has which key in a field, as the database tells it: a key like `T-100` cannot be a ticket's id.
 * So an import of the same source finds its tickets again, however long ago the last import was.
 */
final class Keys {

	/** Tickets that are read at a time. */
	private const PAGE = 5000;

	/**
	 * Ids by key.
	 *
	 * @var array<string, int>
	 */
	private array $ids = array();

	/**
	 * Ids of deleted tickets by key.
	 *
	 * @var array<string, int>
	 */
	private array $deleted = array();

	/**
	 * Two ids of each key that several tickets have.
	 *
	 * @var array<string, int[]>
	 */
	private array $double = array();

	/**
	 * Reads the keys of all tickets. Their changes must be flushed.
	 *
	 * @param string $name  The tickets table.
	 * @param string $field The field with the keys.
	 * @throws ImportException If the database does not answer, or the table cannot have the field.
	 */
	public function __construct( string $name, string $field ) {
		$table = Table::describe( $name );
		$value = null === $table ? null : $table->text_of( $field );
		if ( null === $value ) {
			/* translators: 1: name of a table, 2: name of a field */
			$text = __( 'The tickets table %1$s cannot be read, or has no place for the field %2$s.', 'ticketd' );
			throw new ImportException( sprintf( $text, $name, $field ) );
		}
		$alive = implode( ' AND ', array_merge( array( '1' ), $table->present() ) );
		$sql   = "SELECT `ticket_id` AS `id`, $value AS `key`, ($alive) AS `alive` FROM {$table->source()}"
			. " WHERE $value IS NOT NULL AND `ticket_id` > %d ORDER BY `ticket_id` LIMIT %d";
		$after = 0;
		do {
			$rows = Database::rows( $sql, array( $after, self::PAGE ) );
			if ( null === $rows ) {
				throw new ImportException( __( 'The keys of the tickets cannot be read.', 'ticketd' ) );
			}
			foreach ( $rows as $row ) {
				$after = (int) $row['id'];
				$this->add( (string) $row['key'], $after, '1' === (string) $row['alive'] );
			}
			$is_last = count( $rows ) < self::PAGE;
		} while ( ! $is_last );
	}

	/**
	 * Takes a ticket that has a key.
	 *
	 * @param string $key      The key.
	 * @param int    $id       The ticket's id.
	 * @param bool   $is_alive Whether the ticket is not deleted.
	 */
	public function add( string $key, int $id, bool $is_alive = true ): void {
		if ( ! $is_alive ) {
			$this->deleted[ $key ] = $id;
		} elseif ( isset( $this->ids[ $key ] ) ) {
			$this->double[ $key ] = array( $this->ids[ $key ], $id );
		} else {
			$this->ids[ $key ] = $id;
		}
	}

	/**
	 * The ticket that has a key; 0: none.
	 *
	 * @param string $key The key.
	 */
	public function find( string $key ): int {
		return $this->ids[ $key ] ?? 0;
	}

	/**
	 * The deleted ticket that had a key which no other has; 0: none.
	 *
	 * @param string $key The key.
	 */
	public function find_deleted( string $key ): int {
		return isset( $this->ids[ $key ] ) ? 0 : $this->deleted[ $key ] ?? 0;
	}

	/**
	 * Two tickets that have the same key.
	 *
	 * @param string $key The key.
	 * @return int[] Their ids; none: there are no two.
	 */
	public function find_double( string $key ): array {
		return $this->double[ $key ] ?? array();
	}
}
