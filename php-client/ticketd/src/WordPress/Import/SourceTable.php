<?php
/**
 * A table to import.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

use Ticketd\WordPress\Database;

defined( 'ABSPATH' ) || exit;

/**
 * Reads every row of a table of this site's database, whatever the type of its key is.
 */
final class SourceTable {

	/** Rows that are read at a time. */
	private const PAGE = 500;

	/** Types of columns after whose last value the next page can be asked for. */
	private const SORTABLE = '/^(tiny|small|medium|big)?int\b|^(var)?char\b/i';

	/** Types of integers. */
	private const INTEGER = '/^(tiny|small|medium|big)?int\b/i';

	/**
	 * The table's name.
	 *
	 * @var string
	 */
	private string $name;

	/**
	 * Types by column.
	 *
	 * @var array<string, string>
	 */
	private array $types = array();

	/**
	 * The column by whose values the rows are read; empty: all rows are read at once.
	 *
	 * @var string
	 */
	private string $order = '';

	/**
	 * Asks the database for the table's columns.
	 *
	 * @param string $name The table's name.
	 * @throws ImportException If there is no such table.
	 */
	public function __construct( string $name ) {
		$this->name = $name;
		$rows       = Database::is_table_name( $name ) ? Database::rows( "SHOW COLUMNS FROM `$name`" ) : null;
		if ( null === $rows ) {
			/* translators: %s: name of a table */
			throw new ImportException( sprintf( __( 'The database has no table %s.', 'ticketd' ), $name ) );
		}
		$primary = array_keys( array_column( $rows, 'Key' ), 'PRI', true );
		foreach ( $rows as $index => $row ) {
			$this->types[ $row['Field'] ] = $row['Type'];

			$is_primary = array( $index ) === $primary;
			$is_unique  = ( $is_primary || 'UNI' === $row['Key'] ) && 'NO' === $row['Null'];
			$is_usable  = Database::is_table_name( $row['Field'] ) && 1 === preg_match( self::SORTABLE, $row['Type'] );
			if ( $is_unique && $is_usable && ( $is_primary || '' === $this->order ) ) {
				$this->order = $row['Field'];
			}
		}
	}

	/**
	 * The names of the columns.
	 *
	 * @return string[]
	 */
	public function columns(): array {
		return array_map( 'strval', array_keys( $this->types ) );
	}

	/**
	 * How many rows there are.
	 */
	public function size(): int {
		return (int) ( Database::rows( "SELECT COUNT(*) AS `n` FROM `{$this->name}`" )[0]['n'] ?? 0 );
	}

	/**
	 * Reads the rows.
	 *
	 * @return \Generator<int, array> Texts or nulls by column.
	 * @throws ImportException If the database does not answer.
	 */
	public function rows(): \Generator {
		$after = null;
		do {
			list( $sql, $values ) = $this->query( $after );

			$rows = Database::rows( $sql, $values );
			if ( null === $rows ) {
				/* translators: %s: name of a table */
				throw new ImportException( sprintf( __( 'The table %s cannot be read.', 'ticketd' ), $this->name ) );
			}
			foreach ( $rows as $row ) {
				$after = '' === $this->order ? '' : $row[ $this->order ];
				yield $row;
			}
			$is_last = '' === $this->order || count( $rows ) < self::PAGE;
		} while ( ! $is_last );
	}

	/**
	 * The query for the next rows.
	 *
	 * @param string|null $after The last value of the rows before; null: there were none.
	 * @return array{0: string, 1: array} SQL and values.
	 */
	private function query( ?string $after ): array {
		$sql = "SELECT * FROM `{$this->name}`";
		if ( '' === $this->order ) {
			return array( $sql, array() );
		}
		$values = array( self::PAGE );
		if ( null !== $after ) {
			$is_number = 1 === preg_match( self::INTEGER, $this->types[ $this->order ] );
			$is_number = $is_number && (string) (int) $after === $after;
			$sql      .= " WHERE `{$this->order}` > " . ( $is_number ? '%d' : '%s' );
			array_unshift( $values, $after );
		}
		return array( $sql . " ORDER BY `{$this->order}` LIMIT %d", $values );
	}
}
