<?php
/**
 * A filter of a list that the database answers.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress;

use Ticketd\Client\InputException;
use Ticketd\Client\Protocol;

defined( 'ABSPATH' ) || exit;

/**
 * Compares a field, or the ticket's id or revision, as the daemon does. protocol/testdata/selections.json has the cases
 * of both implementations.
 */
final class Filter {

	/** What can be compared besides fields, and its type. */
	private const OWN = array(
		'ticket_id' => 'bigint unsigned',
		'revision'  => 'bigint unsigned',
	);

	/**
	 * The table.
	 *
	 * @var Table
	 */
	private Table $table;

	/**
	 * The field's name, `ticket_id` or `revision`.
	 *
	 * @var string
	 */
	private string $field;

	/**
	 * The column that says which values are possible.
	 *
	 * @var Column
	 */
	private Column $column;

	/**
	 * Takes the field.
	 *
	 * @param Table  $table The table.
	 * @param string $field The field's name, `ticket_id` or `revision`.
	 * @throws InputException If the table has no such column.
	 */
	public function __construct( Table $table, string $field ) {
		$this->table  = $table;
		$this->field  = $field;
		$this->column = ! isset( self::OWN[ $field ] ) ? $table->selectable( $field ) : new Column(
			array(
				'Field'     => $field,
				'Type'      => self::OWN[ $field ],
				'Collation' => null,
				'Default'   => null,
			)
		);
	}

	/**
	 * The condition of a comparison.
	 *
	 * @param string $operator One of Protocol::OPERATORS.
	 * @param array  $values   The values.
	 * @return array The condition, and the values of its placeholders.
	 * @throws InputException If there are too many values or none, or the column cannot hold one.
	 */
	public function condition( string $operator, array $values ): array {
		if ( array() === $values || count( $values ) > Protocol::MAX_CHOICES ) {
			throw new InputException( sprintf( 'Ask for 1 to %d values.', Protocol::MAX_CHOICES ), $this->field );
		}
		return in_array( $operator, Protocol::LIST_OPERATORS, true )
			? $this->among( $values, '!=' === $operator )
			: $this->bound( $operator, $values[0] );
	}

	/**
	 * The condition that the field has one of some values, or that it has none of them. The two are each other's
	 * complement: NOT IN alone would find no NULL.
	 *
	 * @param array $values     The values; null is NULL.
	 * @param bool  $is_negated Whether it has none of them.
	 * @return array The condition, and the values of its placeholders.
	 */
	private function among( array $values, bool $is_negated ): array {
		$left     = $this->expression();
		$has_null = in_array( null, $values, true );
		$places   = array();
		$given    = array();
		foreach ( $values as $value ) {
			if ( null !== $value ) {
				list( $places[], $given[] ) = self::operand( $this->column, $value );
			}
		}
		$parts = array();
		if ( $has_null || $is_negated ) {
			$parts[] = $left . ( $has_null && $is_negated ? ' IS NOT NULL' : ' IS NULL' );
		}
		if ( array() !== $given ) {
			$parts[] = $left . ( $is_negated ? ' NOT IN (' : ' IN (' ) . implode( ', ', $places ) . ')';
		}
		$joint = $has_null && $is_negated ? ' AND ' : ' OR ';
		return array_merge( array( '(' . implode( $joint, $parts ) . ')' ), $given );
	}

	/**
	 * The condition that the field is on one side of a value.
	 *
	 * @param string                     $operator `<`, `<=`, `>` or `>=`.
	 * @param string|int|float|bool|null $value    The value.
	 * @return array The condition, and the value of its placeholder.
	 * @throws InputException If the column has no order, or the value is NULL.
	 */
	private function bound( string $operator, $value ): array {
		if ( null === $value ) {
			throw new InputException( 'No value is above or below NULL.', $this->field );
		}
		list( $place, $given ) = self::operand( $this->column, $value );
		if ( 'enum' === $this->column->type() ) { // As tickets are sorted, by the order of the members.
			return array( "`{$this->field}`+0 $operator %d", $this->column->rank( (string) $given ) );
		}
		if ( ! $this->column->has_order() ) {
			throw new InputException( 'A column of this type has no order.', $this->field );
		}
		$left = $this->expression();
		if ( 'revision' === $this->field && $given > 1 && '>' === $operator[0] ) {
			// Above the revision of a row that ticketd has not written, the column itself is compared: it has an index.
			$left = $this->table->revision();
		}
		return array( "$left $operator $place", $given );
	}

	/**
	 * What is compared.
	 */
	private function expression(): string {
		if ( 'revision' !== $this->field ) {
			return "`{$this->field}`";
		}
		// A row that ticketd has not written is shown at revision 1.
		return "GREATEST(COALESCE({$this->table->revision()}, 0), 1)";
	}

	/**
	 * The placeholder of a value, and what to put there. A text would be compared with an integer column as a
	 * floating-point number.
	 *
	 * @param Column                $column The column.
	 * @param string|int|float|bool $value  The value.
	 * @return array{0: string, 1: string|int}
	 * @throws InputException If the column cannot hold it.
	 */
	public static function operand( Column $column, $value ): array {
		$text = $column->checked( $value );
		if ( 'float' === $column->type() ) { // As the number that the column holds, which is not that of the text: 0.1.
			return array( '%s', Number::float_text( unpack( 'g', pack( 'g', (float) $text ) )[1] ) );
		}
		if ( ! $column->is_integer() ) {
			return array( '%s', $text );
		}
		// Beyond PHP's integers there are unsigned ones.
		return (string) (int) $text === $text ? array( '%d', (int) $text ) : array( 'CAST(%s AS UNSIGNED)', $text );
	}
}
