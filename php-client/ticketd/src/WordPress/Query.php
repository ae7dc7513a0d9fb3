<?php
/**
 * Lists without the daemon.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress;

use Ticketd\Client\Door;
use Ticketd\Client\InputException;
use Ticketd\Client\Protocol;
use Ticketd\Client\Request;

defined( 'ABSPATH' ) || exit;

/**
 * Answers `list` and `count` from the database: the same arguments, order, pages and refusals as the daemon.
 * protocol/testdata/selections.json has the cases of both implementations.
 */
final class Query {

	/** A date as the databases write it. */
	private const WRITTEN_DATE = '/^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?$/D';

	/**
	 * The table.
	 *
	 * @var Table
	 */
	private Table $table;

	/**
	 * The list's arguments.
	 *
	 * @var array
	 */
	private array $args;

	/**
	 * Conditions that must hold altogether.
	 *
	 * @var string[]
	 */
	private array $conditions = array();

	/**
	 * The values of their placeholders.
	 *
	 * @var array
	 */
	private array $values = array();

	/**
	 * Takes the arguments.
	 *
	 * @param Table $table The table.
	 * @param array $args  What the client's list_tickets() takes.
	 * @throws InputException If they are of another shape.
	 */
	public function __construct( Table $table, array $args ) {
		$this->table = $table;
		$this->args  = Request::query( $args );
	}

	/**
	 * Counts tickets.
	 *
	 * @return int|null Null where the database does not answer.
	 * @throws InputException If an argument is refused.
	 */
	public function count(): ?int {
		Door::check_selection( $this->args, false );
		$this->select();
		$rows = Database::rows( 'SELECT COUNT(*) AS `n`' . $this->from(), $this->values );
		return null === $rows ? null : (int) $rows[0]['n'];
	}

	/**
	 * Counts tickets for each value of a field.
	 *
	 * @param string $field The field's name.
	 * @return array<int, array{value: int|string|null, count: int}>|null The largest group first; null where the
	 *         database does not answer.
	 * @throws InputException If an argument is refused.
	 */
	public function count_by( string $field ): ?array {
		Door::check_selection( $this->args, false );
		Door::check_name( $field, 'by' );
		$this->sortable( $field );
		$this->select();
		$rows = Database::rows(
			"SELECT MIN(`$field`) AS `value`, COUNT(*) AS `n`" . $this->from()
			. " GROUP BY `$field` ORDER BY `n` DESC, `value` LIMIT %d",
			array_merge( $this->values, array( Protocol::MAX_GROUPS + 1 ) )
		);
		if ( null !== $rows && count( $rows ) > Protocol::MAX_GROUPS ) {
			throw new InputException( 'The field has too many values: count fewer tickets at once.', 'by' );
		}
		$groups = null === $rows ? null : array();
		foreach ( $rows ?? array() as $row ) {
			$groups[] = array(
				'value' => $this->table->value( $field, $row['value'] ),
				'count' => (int) $row['n'],
			);
		}
		return $groups;
	}

	/**
	 * Reads a page.
	 *
	 * @return array{0: array[], 1: string|null}|null Rows, and the cursor of the next page or null; null where the
	 *         database does not answer.
	 * @throws InputException If an argument is refused.
	 */
	public function page(): ?array {
		Door::check_selection( $this->args, true );
		$sort         = $this->argument( 'sort', Protocol::SORTS[0] );
		$is_ascending = 'asc' === $this->argument( 'order', 'desc' );
		$limit        = $this->argument( 'limit', Protocol::DEFAULT_LIMIT );
		$this->select();
		$expression = $this->sorted_by( $sort );
		if ( array_key_exists( 'after', $this->args ) ) {
			list( $value, $id ) = Cursor::decode( (string) $this->args['after'], $sort, $is_ascending );
			$this->add_behind( $sort, $expression, $is_ascending, $value, $id );
		}
		$direction = $is_ascending ? '' : ' DESC';
		$rows      = Database::rows(
			'SELECT ' . $this->table->selected() . ", $expression AS `_sorted`" . $this->from() . ' ORDER BY '
			. ( 'NULL' === $expression ? '' : "$expression$direction, " ) . "`ticket_id`$direction LIMIT %d",
			array_merge( $this->values, array( $limit + 1 ) )
		);
		// One row more than is asked for tells whether there is a page after this one.
		if ( null === $rows || count( $rows ) <= $limit ) {
			return null === $rows ? null : array( $rows, null );
		}
		$rows = array_slice( $rows, 0, $limit );
		$last = end( $rows );
		return array( $rows, Cursor::encode( $sort, $is_ascending, $last['_sorted'], (int) $last['ticket_id'] ) );
	}

	/**
	 * An argument. One that is null is there, and refused where it is no value.
	 *
	 * @param string $name  The argument's name.
	 * @param mixed  $usual What is meant where it is left out.
	 * @return mixed
	 */
	private function argument( string $name, $usual ) {
		return array_key_exists( $name, $this->args ) ? $this->args[ $name ] : $usual;
	}

	/**
	 * What the rows are taken from.
	 */
	private function from(): string {
		$where = array() === $this->conditions ? '' : ' WHERE ' . implode( ' AND ', $this->conditions );
		return ' FROM ' . $this->table->source() . $where;
	}

	/**
	 * Adds the conditions of the selection.
	 *
	 * @throws InputException If a field is refused.
	 */
	private function select(): void {
		// Other rows are no tickets: keys of other plugins' tables may be 0 or below, or beyond ticket ids.
		$this->add( '`ticket_id` BETWEEN 1 AND 9223372036854775807' );
		foreach ( $this->args['where'] ?? array() as $field => $given ) {
			$filter = new Filter( $this->table, (string) $field );
			foreach ( Request::is_comparison( $given ) ? $given : array( '=' => $given ) as $operator => $values ) {
				$this->add( ...$filter->condition( $operator, is_array( $values ) ? $values : array( $values ) ) );
			}
		}
		foreach ( array( 'created_at', 'updated_at' ) as $field ) {
			$this->add_period( $field, $this->args[ $field ] ?? array() );
		}
		foreach ( $this->args['contains'] ?? array() as $field => $text ) {
			$this->add_search( (string) $field, Column::text( $text ) );
		}
		if ( true !== ( $this->args['deleted'] ?? false ) ) {
			array_push( $this->conditions, ...$this->table->present() );
		}
	}

	/**
	 * Adds the condition that a time is in a period.
	 *
	 * @param string $field  The field's name.
	 * @param array  $period `from`, `before` or both; null leaves an end open.
	 * @throws InputException If the table has no such column, or it is no period.
	 */
	private function add_period( string $field, array $period ): void {
		$comparisons = array(
			'from'   => '>=',
			'before' => '<',
		);
		foreach ( $period as $end => $time ) {
			if ( ! isset( $comparisons[ $end ] ) ) {
				throw new InputException( 'Give from, before or both.', $field );
			}
			if ( null !== $time ) {
				list( $place, $value ) = Filter::operand( $this->table->selectable( $field ), $time );
				$this->add( "`$field` {$comparisons[ $end ]} $place", $value );
			}
		}
	}

	/**
	 * Adds the condition that a field contains a text, as its collation compares; LOCATE knows no wildcards.
	 *
	 * @param string $field The field's name.
	 * @param string $text  The text.
	 * @throws InputException If it is no column of text, or the text is empty or too long.
	 */
	private function add_search( string $field, string $text ): void {
		if ( ! $this->table->selectable( $field )->is_text() ) {
			throw new InputException( 'Only columns of text can be searched.', $field );
		}
		if ( '' === $text || strlen( $text ) > Protocol::MAX_CONTAINS || 1 !== preg_match( '//u', $text ) ) {
			throw new InputException(
				sprintf( 'Search for a text of 1 to %d bytes of UTF-8.', Protocol::MAX_CONTAINS ),
				$field
			);
		}
		$this->add( "LOCATE(%s, `$field`) > 0", $text );
	}

	/**
	 * Adds a condition.
	 *
	 * @param string     $condition The condition.
	 * @param string|int ...$values The values of its placeholders.
	 */
	private function add( string $condition, ...$values ): void {
		$this->conditions[] = $condition;
		array_push( $this->values, ...$values );
	}

	/**
	 * What is compared with the value of a page's last ticket, the placeholder of the value, and the value. Dates
	 * that columns hold and do not accept (dates of zeros, with a month or day of zero, the 31st of February) are
	 * compared as numbers: strict sessions of MySQL accept no literal of such dates, even in a comparison.
	 *
	 * @param Column $column     The column.
	 * @param string $expression The expression to sort by.
	 * @param string $value      The value.
	 * @return array{0: string, 1: string, 2: string|int}
	 * @throws InputException If the column cannot hold it.
	 */
	private static function mark( Column $column, string $expression, string $value ): array {
		try {
			return array_merge( array( $expression ), Filter::operand( $column, $value ) );
		} catch ( InputException $e ) {
			if ( ! $column->is_date() || 1 !== preg_match( self::WRITTEN_DATE, $value ) ) {
				throw $e;
			}
			$digits = str_replace( array( '-', ':', ' ' ), '', $value );
			return array( "$expression+0", 'CAST(%s AS DECIMAL(20,6))', $digits );
		}
	}

	/**
	 * The expression to sort by, besides the id.
	 *
	 * @param string $sort The sort.
	 * @throws InputException If the table has no such column.
	 */
	private function sorted_by( string $sort ): string {
		if ( 'ticket_id' === $sort ) {
			return 'NULL';
		}
		if ( ! $this->table->has( $sort ) && in_array( $sort, array( 'created_at', 'updated_at' ), true ) ) {
			throw new InputException( 'The table has no such column.', 'sort' );
		}
		// An enum is sorted by the order of its members, but compared as text.
		return 'enum' === $this->sortable( $sort )->type() ? "`$sort`+0" : "`$sort`";
	}

	/**
	 * The column of a field that tickets can be sorted by.
	 *
	 * @param string $field The field's name.
	 * @throws InputException If there is none, or its order is not to be relied on.
	 */
	private function sortable( string $field ): Column {
		$column = $this->table->selectable( $field );
		if ( ! $column->is_sortable() ) {
			throw new InputException( 'A column of this type cannot be sorted by.', $field );
		}
		return $column;
	}

	/**
	 * Adds the condition that a ticket comes after the last one of the page before. NULL is lower than every value.
	 *
	 * @param string      $sort         The sort.
	 * @param string      $expression   The expression to sort by.
	 * @param bool        $is_ascending Whether the order is ascending.
	 * @param string|null $value        The last ticket's value.
	 * @param int         $id           The last ticket's id.
	 */
	private function add_behind( string $sort, string $expression, bool $is_ascending, ?string $value, int $id ): void {
		$further = $is_ascending ? '>' : '<';
		if ( 'NULL' === $expression ) {
			$this->add( "`ticket_id` $further %d", $id );
		} elseif ( null === $value ) {
			$others = $is_ascending ? " OR $expression IS NOT NULL" : '';
			$this->add( "(($expression IS NULL AND `ticket_id` $further %d)$others)", $id );
		} else {
			$column = $this->table->selectable( $sort );
			if ( 'enum' === $column->type() ) {
				$place = '%d';
			} else {
				list( $expression, $place, $value ) = self::mark( $column, $expression, $value );
			}
			$others = $is_ascending ? '' : " OR $expression IS NULL";
			$this->add(
				"($expression $further $place OR ($expression = $place AND `ticket_id` $further %d)$others)",
				$value,
				$value,
				$id
			);
		}
	}
}
