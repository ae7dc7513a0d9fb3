<?php
/**
 * The columns of a source.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * Makes lines of rows: which column is which field, the ticket's id, or the source's key.
 */
final class Columns {

	/** Names of columns that hold a ticket's id, where no option names another. */
	private const IDS = array( 'id', 'ticket_id' );

	/** Columns that are the daemon's own, or those of a file of refused lines. */
	private const LEFT_OUT = array( 'revision', 'extra', '_line', '_field', '_reason' );

	/** The column that marks deleted tickets. */
	private const DELETED = 'deleted_at';

	/**
	 * The options.
	 *
	 * @var Options
	 */
	private Options $options;

	/**
	 * Fields by column; an empty text: the column is left out.
	 *
	 * @var array<string, string>
	 */
	private array $fields = array();

	/**
	 * The column with the ids; may be empty.
	 *
	 * @var string
	 */
	private string $id = '';

	/**
	 * How often a row has come that has the same values, by the row's digest.
	 *
	 * @var array<string, int>
	 */
	private array $seen = array();

	/**
	 * Takes the columns.
	 *
	 * @param string[] $columns Their names; none: they are not known, and each row has its own.
	 * @param Options  $options The options.
	 * @throws ImportException If the options do not fit the columns.
	 */
	public function __construct( array $columns, Options $options ) {
		$this->options = $options;
		$this->id      = array() === $columns ? self::IDS[0] : $options->id_column;
		foreach ( $columns as $column ) {
			$field = $this->field_of( $column );
			if ( '' === $this->id && '' === $options->key_column && in_array( $field, self::IDS, true ) ) {
				$this->id = $column;
			}
			$this->fields[ $column ] = $field;
		}
		$named   = array_filter( array( $options->id_column, $options->key_column ), 'strlen' );
		$unknown = array_diff( array_merge( $named, array_keys( $options->map ) ), $columns );
		if ( array() !== $columns && array() !== $unknown ) {
			/* translators: 1: names of columns, 2: names of columns */
			$text = __( 'There is no column %1$s; there are: %2$s.', 'ticketd' );
			throw new ImportException( sprintf( $text, implode( ', ', $unknown ), implode( ', ', $columns ) ) );
		}
		if ( '' !== $options->key_column && in_array( $this->key_field(), array( '', 'id', 'ticket_id' ), true ) ) {
			/* translators: %s: name of a column */
			$text = __( 'A key is kept in a field: name the field, as in --map=%s:source_key.', 'ticketd' );
			throw new ImportException( sprintf( $text, $options->key_column ) );
		}
		$fields = array_filter( array_diff_key( $this->fields, array( $this->id => '' ) ), 'strlen' );
		$double = array_unique( array_diff_assoc( $fields, array_unique( $fields ) ) );
		$double = array_merge( $double, '' === $this->id ? array() : array_intersect( $fields, self::IDS ) );
		if ( array() !== $double ) {
			/* translators: %s: names of fields */
			$text = __( 'Two columns are the field %s: leave one out, as in --map="column:".', 'ticketd' );
			throw new ImportException( sprintf( $text, implode( ', ', $double ) ) );
		}
	}

	/**
	 * The column with the ids or the keys; may be empty.
	 */
	public function identifying(): string {
		return '' === $this->options->key_column ? $this->id : $this->options->key_column;
	}

	/**
	 * The field that keeps the source's keys.
	 */
	public function key_field(): string {
		return $this->field_of( $this->options->key_column );
	}

	/**
	 * The fields of the columns, without the id and what is left out.
	 *
	 * @return string[]
	 */
	public function fields(): array {
		$fields = array_filter( array_diff_key( $this->fields, array( $this->id => '' ) ), 'strlen' );
		return array_values( array_diff( $fields, array( self::DELETED ) ) );
	}

	/**
	 * Makes a line of a row.
	 *
	 * @param string $place Where the row stands.
	 * @param array  $row   Texts or nulls by column.
	 * @return Line|string A text says why the row cannot be used.
	 */
	public function line( string $place, array $row ) {
		$fields = array();
		foreach ( array_diff_key( $row, array( $this->id => '' ) ) as $column => $value ) {
			$field    = $this->fields[ $column ] ?? $this->field_of( (string) $column );
			$is_null  = null === $value || $value === $this->options->null;
			$is_unset = $is_null || '' === trim( $value, '0-: .' );
			if ( self::DELETED === $field && ! $is_unset ) {
				return __( 'The source marks the line as deleted (deleted_at).', 'ticketd' );
			}
			if ( '' === (string) $column && '' !== (string) $value ) {
				return __( 'The line has a value in a column without a name.', 'ticketd' );
			}
			$is_left_out = '' === $value && ! $is_null && ! $this->options->has_empty;
			if ( '' !== $field && self::DELETED !== $field && ! $is_left_out ) {
				$fields[ $field ] = $is_null ? null : $value;
			}
		}
		if ( array() === $fields ) {
			return __( 'There are no fields.', 'ticketd' );
		}
		return $this->identified( new Line( $place, $row, $fields ) );
	}

	/**
	 * Finds out which ticket a line is about.
	 *
	 * @param Line $line The line.
	 * @return Line|string The line, or why it cannot be used.
	 */
	private function identified( Line $line ) {
		if ( '' !== $this->options->key_column ) {
			$line->key = (string) ( $line->row[ $this->options->key_column ] ?? '' );
			if ( '' === $line->key ) {
				return __( 'The line has no key.', 'ticketd' );
			}
			$line->ticket     = 'key:' . $line->key;
			$line->request_id = $this->request_id( array( $this->key_field() => $line->key ) );
			return $line;
		}
		$id = trim( (string) ( $line->row[ $this->id ] ?? '' ) );
		if ( '' === $id ) {
			$digest           = md5( wp_json_encode( $line->row ), true );
			$times            = ( $this->seen[ $digest ] ?? 0 ) + 1;
			$line->ticket     = 'line:' . $line->place;
			$line->request_id = $this->request_id( $line->row + array( ' ' => (string) $times ) );

			$this->seen[ $digest ] = $times;
			return $line;
		}
		if ( (string) (int) $id !== $id || (int) $id < 1 ) {
			$is_reserved = in_array( $this->field_of( $this->id ), self::IDS, true );
			/* translators: 1: a text, 2: options of the command */
			$text = __( '"%1$s" is no ticket id; as a key in a field of a new ticket: %2$s.', 'ticketd' );
			$hint = '--key-column=' . $this->id . ( $is_reserved ? " --map={$this->id}:source_key" : '' );
			return sprintf( $text, $id, $hint );
		}
		$line->id     = (int) $id;
		$line->ticket = 'id:' . $id;
		return $line;
	}

	/**
	 * The request id under which a ticket is made: the same for the same content of a line, or the same key, whatever
	 * the file's name is and wherever in it the line stands, so that no ticket is made twice.
	 *
	 * @param array $content What the request id is made of.
	 */
	private function request_id( array $content ): string {
		if ( $this->options->makes_again ) {
			return 'import-' . bin2hex( random_bytes( 16 ) );
		}
		$content = array_diff_key( $content, array_flip( Report::COLUMNS ) );
		ksort( $content );
		return 'import-' . md5( wp_json_encode( $content ) );
	}

	/**
	 * The field that a column is.
	 *
	 * @param string $column The column's name.
	 * @return string The field's name; empty: the column is left out.
	 */
	private function field_of( string $column ): string {
		$field = $this->options->map[ $column ] ?? $column;
		return in_array( $field, self::LEFT_OUT, true ) ? '' : $field;
	}
}
