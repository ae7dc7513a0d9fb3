<?php
/**
 * The tickets table.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Knows the columns of a tickets table, and shows its rows as the daemon does: every column but key, revision and extra
 * is a field, integers as integers, all else as text; what the extra column holds are fields too.
 *
 * The columns with a meaning have the names that the plugin's own table has: `ticket_id`, `revision`, `extra`,
 * `created_at`, `updated_at`, `deleted_at`. Others only the daemon's configuration knows.
 */
final class Table {

	/** The key's column. */
	public const KEY = 'ticket_id';

	/** Columns that are no fields. */
	private const RESERVED = array( self::KEY, 'revision', 'extra' );

	/** Types that are read as integers. */
	private const INTEGERS = array( 'tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'bit', 'year' );

	/** Types of dates with or without a time. */
	private const TIMES = array( 'date', 'datetime', 'timestamp' );

	/**
	 * The table's name.
	 *
	 * @var string
	 */
	private string $name;

	/**
	 * Rows of DESCRIBE by column.
	 *
	 * @var array<string, array>
	 */
	private array $columns;

	/**
	 * Takes what describes the table.
	 *
	 * @param string $name    Its name.
	 * @param array  $columns Rows of DESCRIBE by column.
	 */
	private function __construct( string $name, array $columns ) {
		$this->name    = $name;
		$this->columns = $columns;
	}

	/**
	 * Asks the database what the table is like.
	 *
	 * @param string $name The table's name.
	 * @return self|null Null where that is not to be found out, or the table is none of ours.
	 */
	public static function describe( string $name ): ?self {
		$rows    = Database::is_table_name( $name ) ? Database::rows( "DESCRIBE `$name`" ) : null;
		$columns = array_column( $rows ?? array(), null, 'Field' );
		return isset( $columns[ self::KEY ], $columns['revision'] ) ? new self( $name, $columns ) : null;
	}

	/**
	 * The table's name, quoted.
	 */
	public function quoted_name(): string {
		return "`{$this->name}`";
	}

	/**
	 * Whether there is a column that is a field.
	 *
	 * @param string $field Its name.
	 */
	public function has( string $field ): bool {
		return isset( $this->columns[ $field ] ) && ! in_array( $field, self::RESERVED, true ) && '_' !== $field[0];
	}

	/**
	 * Whether there is a column for fields that have none of their own.
	 */
	public function has_extra(): bool {
		return isset( $this->columns['extra'] );
	}

	/**
	 * The type of a column, in lower case and without length: `bigint`, `varchar`.
	 *
	 * @param string $field Its name.
	 */
	public function type( string $field ): string {
		return (string) strtok( strtolower( $this->columns[ $field ]['Type'] ), '( ' );
	}

	/**
	 * Whether a column's values are integers.
	 *
	 * @param string $field Its name.
	 */
	public function is_integer( string $field ): bool {
		return $this->has( $field ) && in_array( $this->type( $field ), self::INTEGERS, true );
	}

	/**
	 * The columns to select, quoted.
	 */
	public function selected(): string {
		$selected = array();
		foreach ( array_keys( $this->columns ) as $column ) {
			// A bit field would come as its bytes.
			$selected[] = 'bit' === $this->type( $column ) ? "`$column`+0 AS `$column`" : "`$column`";
		}
		return implode( ', ', $selected );
	}

	/**
	 * Makes a ticket of a row.
	 *
	 * @param array $row The row by column.
	 * @return array{id: int, revision: int, fields: array, deleted: bool}
	 */
	public function ticket( array $row ): array {
		$fields = array();
		foreach ( array_keys( $this->columns ) as $column ) {
			if ( $this->has( $column ) ) {
				$fields[ $column ] = $this->value( $column, $row[ $column ] );
			}
		}
		return array(
			'id'       => (int) $row[ self::KEY ],
			'revision' => max( 1, (int) $row['revision'] ),
			'fields'   => $fields + self::extra_fields( (string) ( $row['extra'] ?? '' ) ),
			// Tables that know no NULL mark what is not deleted by 0 or a date of zeros.
			'deleted'  => '' !== trim( (string) ( $row['deleted_at'] ?? '' ), '0-: .' ),
		);
	}

	/**
	 * A ticket that has no row yet, with the table's defaults.
	 *
	 * @param int    $id  Its id.
	 * @param string $now The time in UTC, as the database writes it.
	 * @return array{id: int, revision: int, fields: array, deleted: bool}
	 */
	public function blank( int $id, string $now ): array {
		$fields = array();
		foreach ( $this->columns as $column => $described ) {
			if ( ! $this->has( $column ) ) {
				continue;
			}
			$value   = $described['Default'];
			$is_time = in_array( $column, array( 'created_at', 'updated_at' ), true )
				|| ( null !== $value && 0 === stripos( $value, 'current_timestamp' ) );

			$fields[ $column ] = $is_time ? $now : $this->value( $column, $value );
		}
		return array(
			'id'       => $id,
			'revision' => 0,
			'fields'   => $fields,
			'deleted'  => false,
		);
	}

	/**
	 * A field's value as the daemon returns it.
	 *
	 * @param string                     $field The field's name.
	 * @param string|int|float|bool|null $value The value as it was read or sent.
	 * @return string|int|null
	 */
	public function value( string $field, $value ) {
		if ( null === $value ) {
			return null;
		}
		$text = self::text( $value );
		if ( $this->has( $field ) && in_array( $this->type( $field ), self::TIMES, true ) ) {
			return self::time_text( $text, $this->type( $field ) );
		}
		// One that does not fit PHP's integers stays the text that it is.
		return $this->is_integer( $field ) && (string) (int) $text === $text ? (int) $text : $text;
	}

	/**
	 * A value as the daemon stores it.
	 *
	 * @param string|int|float|bool $value The value.
	 */
	private static function text( $value ): string {
		if ( is_bool( $value ) ) {
			return $value ? '1' : '0';
		}
		return is_float( $value ) ? self::float_text( $value ) : (string) $value;
	}

	/**
	 * A time as the database writes it: a number of 9 to 11 digits counts seconds since 1970.
	 *
	 * @param string $text The time as it was read or sent.
	 * @param string $type The column's type.
	 */
	private static function time_text( string $text, string $type ): string {
		if ( 1 !== preg_match( '/^[1-9]\d{8,10}(\.\d+)?$/', $text ) ) {
			return $text;
		}
		return gmdate( 'date' === $type ? 'Y-m-d' : 'Y-m-d H:i:s', (int) $text );
	}

	/**
	 * A number in the shortest decimal form that reads back as the same, with an exponent only below 1e-6 and from
	 * 1e21.
	 * A cast depends on PHP's settings.
	 *
	 * @param float $value The number.
	 */
	private static function float_text( float $value ): string {
		if ( 0.0 === $value ) {
			return '0';
		}
		$places = 0;
		$text   = sprintf( '%.0e', $value );
		while ( $places < 17 && (float) $text !== $value ) {
			$text = sprintf( '%.' . ++$places . 'e', $value );
		}
		if ( abs( $value ) < 1e-6 || abs( $value ) >= 1e21 ) {
			return $text;
		}
		list( $figures, $exponent ) = explode( 'e', $text );
		if ( (int) $exponent < $places ) {
			return sprintf( '%.' . ( $places - (int) $exponent ) . 'F', $value );
		}
		$length = (int) $exponent + 1 + (int) ( $value < 0 );
		return str_pad( str_replace( '.', '', $figures ), $length, '0' );
	}

	/**
	 * The fields that have no column: strings as their text, anything else as its JSON, nulls not at all.
	 *
	 * @param string $json What the extra column holds.
	 */
	private static function extra_fields( string $json ): array {
		$format  = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION;
		$members = json_decode( $json, false, 512, JSON_BIGINT_AS_STRING );
		$fields  = array();
		foreach ( is_object( $members ) ? get_object_vars( $members ) : array() as $name => $value ) {
			if ( null !== $value && 0 !== strpos( (string) $name, '_' ) ) {
				$fields[ $name ] = is_string( $value ) ? $value : wp_json_encode( $value, $format );
			}
		}
		ksort( $fields, SORT_STRING );
		return $fields;
	}
}
