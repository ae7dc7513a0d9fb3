<?php
/**
 * The tickets table.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress;

use Ticketd\Client\InputException;
use Ticketd\Client\Protocol;

defined( 'ABSPATH' ) || exit;

/**
 * Knows the columns of a tickets table, and shows rows as the daemon does: every column except key, revision and
 * extra is a field, integers as integers, all other values as text; members of the extra column are fields, too.
 *
 * The columns with a meaning have the names of the plugin's own table: `ticket_id`, `revision`, `extra`,
 * `created_at`, `updated_at`, `deleted_at`. Only the daemon's configuration knows other names.
 *
 * A table that ticketd did not make is never altered. Its side table, `{name}_ticketd`, has the revisions, and the
 * marks of tickets that were deleted.
 */
final class Table {

	/** The key's column. */
	public const KEY = 'ticket_id';

	/** Columns that are no fields. */
	private const RESERVED = array( self::KEY, 'revision', 'extra' );

	/** What follows the table's name in that of its side table. */
	private const SIDE = '_ticketd';

	/** What the name of a table or of its side table may be. */
	private const NAME = '/^[A-Za-z0-9_$]{1,64}$/D';

	/** The fields that the plugin's own table has had from the start and that can be NULL. */
	private const OWN = array( 'customer_id', 'category', 'priority', 'assigned_to', 'deleted_at' );

	/** Types of an extra column; MariaDB describes JSON as a text. Of another type it is a field of that name. */
	private const JSON = array( 'json', 'longtext' );

	/**
	 * The table's name.
	 *
	 * @var string
	 */
	private string $name;

	/**
	 * The columns by name.
	 *
	 * @var array<string, Column>
	 */
	private array $columns;

	/**
	 * Whether the revisions are in a side table.
	 *
	 * @var bool
	 */
	private bool $has_side;

	/**
	 * Takes the description of the table.
	 *
	 * @param string $name     Its name.
	 * @param array  $columns  The columns by name.
	 * @param bool   $has_side Whether the revisions are in a side table.
	 */
	private function __construct( string $name, array $columns, bool $has_side ) {
		$this->name     = $name;
		$this->columns  = $columns;
		$this->has_side = $has_side;
	}

	/**
	 * Asks the database what the table is like.
	 *
	 * @param string $name The table's name.
	 * @return self|null Null where that is not to be found out, or the table is none of ours.
	 */
	public static function describe( string $name ): ?self {
		$columns = self::columns( $name );
		if ( ! isset( $columns[ self::KEY ] ) ) {
			return null;
		}
		$has_side = self::is_adopted( $name );
		return $has_side || isset( $columns['revision'] ) ? new self( $name, $columns, $has_side ) : null;
	}

	/**
	 * Whether a table is used although ticketd did not make it.
	 *
	 * @param string $name The table's name.
	 */
	public static function is_adopted( string $name ): bool {
		return array() !== self::columns( $name . self::SIDE );
	}

	/**
	 * Whether there is a table of that name which ticketd did not make. Such a table is neither altered nor dropped.
	 *
	 * @param string $name The table's name.
	 */
	public static function is_foreign( string $name ): bool {
		$columns = self::columns( $name );
		if ( array() === $columns ) {
			return false;
		}
		$revision = $columns['revision'] ?? null;
		return ! isset( $columns[ self::KEY ] ) || null === $revision || 'bigint' !== $revision->type()
			|| self::is_adopted( $name );
	}

	/**
	 * The tables that ticketd has made for a tickets table; among them that one itself, unless another plugin made it.
	 *
	 * @param string $name The tickets table's name.
	 * @return string[] Names of tables, which need not exist.
	 */
	public static function made_for( string $name ): array {
		$made = array();
		foreach ( array( '_seq', '_tombstones', '_identity', '_history', self::SIDE ) as $end ) {
			$made[] = $name . $end;
		}
		return self::is_foreign( $name ) ? $made : array_merge( array( $name ), $made );
	}

	/**
	 * The tables that ticketd has made for the metadata of a blog's posts.
	 *
	 * @param string $prefix The blog's prefix.
	 * @return string[] Names of tables, which need not exist.
	 */
	public static function made_for_posts( string $prefix ): array {
		return array( $prefix . 'ticketd_revisions', $prefix . 'postmeta_identity' );
	}

	/**
	 * The tables that ticketd has made for the metadata of users, whose table has the main blog's prefix.
	 *
	 * @param string $prefix The main blog's prefix; with another blog's, no table exists.
	 * @return string[] Names of tables, which need not exist.
	 */
	public static function made_for_users( string $prefix ): array {
		return array( $prefix . 'ticketd_user_revisions', $prefix . 'usermeta_identity' );
	}

	/**
	 * The columns of a table.
	 *
	 * @param string $name The table's name.
	 * @return array<string, Column> By name; none where there is no such table.
	 */
	private static function columns( string $name ): array {
		$rows    = 1 === preg_match( self::NAME, $name ) ? Database::rows( "SHOW FULL COLUMNS FROM `$name`" ) : null;
		$columns = array();
		foreach ( $rows ?? array() as $row ) {
			$columns[ $row['Field'] ] = new Column( $row );
		}
		return $columns;
	}

	/**
	 * What to read the tickets from, quoted: the table, with its side table where there is one.
	 */
	public function source(): string {
		if ( ! $this->has_side ) {
			return "`{$this->name}`";
		}
		$side = '`' . $this->name . self::SIDE . '`';
		return "`{$this->name}` LEFT JOIN ( SELECT `ticket_id` AS `_ticketd_id`, `revision` AS `_ticketd_revision`, "
			. "`deleted` AS `_ticketd_deleted` FROM $side ) AS `_ticketd` ON `_ticketd_id` = `ticket_id`";
	}

	/**
	 * The condition that a ticket carries no mark of deletion: of the table, NULL, 0, or a date of zeros; or of the
	 * side table.
	 *
	 * @return string[] Conditions that must hold altogether.
	 */
	public function present(): array {
		$conditions = array();
		if ( $this->has( 'deleted_at' ) ) {
			$conditions[] = "(`deleted_at` IS NULL OR CAST(`deleted_at` AS CHAR) NOT REGEXP '[^0:. -]')";
		}
		if ( $this->has_side ) {
			$conditions[] = 'COALESCE(`_ticketd_deleted`, 0) = 0';
		}
		return $conditions;
	}

	/**
	 * Whether there is a column that is a field.
	 *
	 * @param string $field The field's name.
	 */
	public function has( string $field ): bool {
		if ( ! isset( $this->columns[ $field ] ) || '_' === $field[0] ) {
			return false;
		}
		return 'extra' === $field ? ! $this->has_extra() : ! in_array( $field, self::RESERVED, true );
	}

	/**
	 * Whether there is a column for fields that have none of their own.
	 */
	public function has_extra(): bool {
		return isset( $this->columns['extra'] )
			&& ( ! $this->has_side || in_array( $this->type( 'extra' ), self::JSON, true ) );
	}

	/**
	 * The type of a column, in lower case and without length: `bigint`, `varchar`.
	 *
	 * @param string $field The field's name.
	 */
	public function type( string $field ): string {
		return $this->columns[ $field ]->type();
	}

	/**
	 * Whether a column's values are integers.
	 *
	 * @param string $field The field's name.
	 */
	public function is_integer( string $field ): bool {
		return $this->has( $field ) && $this->columns[ $field ]->is_integer();
	}

	/**
	 * The column of a field that tickets can be selected by.
	 *
	 * @param string $field The field's name.
	 * @throws InputException If the table has no such column.
	 */
	public function selectable( string $field ): Column {
		if ( ! $this->has( $field ) || $this->columns[ $field ]->is_json() ) {
			throw new InputException( 'The table has no such column; only columns can be asked for.', $field );
		}
		return $this->columns[ $field ];
	}

	/**
	 * A ticket's revision, to compare with; NULL or 0 where ticketd has not written the row.
	 */
	public function revision(): string {
		return $this->has_side ? '`_ticketd_revision`' : '`revision`';
	}

	/**
	 * The expression of a field's text: the column, or the member of the extra column.
	 *
	 * @param string $field The field's name.
	 * @return string|null Null: the table has no place for the field.
	 */
	public function text_of( string $field ): ?string {
		if ( $this->has( $field ) ) {
			return "`$field`";
		}
		$is_member = $this->has_extra() && 1 === preg_match( Protocol::NAME, $field );
		return $is_member ? "JSON_UNQUOTE(JSON_EXTRACT(`extra`, '$.\"$field\"'))" : null;
	}

	/**
	 * The columns to select, quoted.
	 */
	public function selected(): string {
		$selected = array();
		if ( $this->has_side ) {
			$selected = array( 'COALESCE(`_ticketd_revision`, 0) AS `_ticketd_revision`', '`_ticketd_deleted`' );
		}
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
		$extra = $this->has_extra() ? self::extra_fields( (string) $row['extra'] ) : array();
		return array(
			'id'       => (int) $row[ self::KEY ],
			'revision' => max( 1, (int) ( $this->has_side ? $row['_ticketd_revision'] : $row['revision'] ) ),
			'fields'   => $this->with_extra( $fields, $extra ),
			// Tables without NULL mark an undeleted ticket by 0 or a date of zeros.
			'deleted'  => '' !== trim( (string) ( $row['deleted_at'] ?? '' ), '0-: .' )
				|| '1' === (string) ( $row['_ticketd_deleted'] ?? '' ),
		);
	}

	/**
	 * The fields of the columns with those of the extra column. A NULL column shows the extra column's value under
	 * the same name, if the column accepts it: the table may have got the column for this field, unless it is one of
	 * the plugin's own columns.
	 *
	 * @param array $fields The fields of the columns.
	 * @param array $extra  The fields of the extra column.
	 */
	private function with_extra( array $fields, array $extra ): array {
		foreach ( array_intersect_key( $extra, $fields ) as $field => $value ) {
			if ( null === $fields[ $field ] && ( $this->has_side || ! in_array( $field, self::OWN, true ) ) ) {
				try {
					$fields[ $field ] = $this->value( $field, $this->columns[ $field ]->checked( $value ) );
				} catch ( InputException $refused ) {
					continue;
				}
			}
		}
		return $this->arranged( $fields + $extra );
	}

	/**
	 * Fields in the order of the daemon's answers: those with a column in the table's order, then the others by name.
	 *
	 * @param array $fields The fields.
	 */
	public function arranged( array $fields ): array {
		$columns = array_intersect_key( $this->columns, $fields );
		$others  = array_diff_key( $fields, $columns );
		ksort( $others, SORT_STRING );
		return array_replace( $columns, array_intersect_key( $fields, $columns ) ) + $others;
	}

	/**
	 * A ticket that has no row yet, with the table's defaults.
	 *
	 * @param int    $id  The ticket's id.
	 * @param string $now The time in UTC, as the database writes it.
	 * @return array{id: int, revision: int, fields: array, deleted: bool}
	 */
	public function blank( int $id, string $now ): array {
		$fields = array();
		foreach ( $this->columns as $column => $described ) {
			if ( ! $this->has( $column ) ) {
				continue;
			}
			$value   = $described->default_value();
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
		$text = Column::text( $value );
		if ( $this->has( $field ) && $this->columns[ $field ]->is_date() ) {
			return self::time_text( $text, $this->type( $field ) );
		}
		// One that does not fit PHP's integers stays the text that it is.
		return $this->is_integer( $field ) && (string) (int) $text === $text ? (int) $text : $text;
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
	 * The fields that have no column: strings as their text, anything else as its JSON, nulls not at all.
	 *
	 * @param string $json What the extra column holds.
	 */
	public static function extra_fields( string $json ): array {
		$format  = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION;
		$members = json_decode( $json, false, 512, JSON_BIGINT_AS_STRING );
		$fields  = array();
		foreach ( is_object( $members ) ? get_object_vars( $members ) : array() as $name => $value ) {
			if ( null !== $value && 0 !== strpos( (string) $name, '_' ) ) {
				$fields[ $name ] = is_string( $value ) ? $value : wp_json_encode( $value, $format );
			}
		}
		return $fields;
	}
}
