<?php
/**
 * The options of an import.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * What the operator has chosen.
 */
final class Options {

	/**
	 * Fields by column; an empty field: the column is left out. A column that is not here is the field of its name.
	 *
	 * @var array<string, string>
	 */
	public array $map = array();

	/**
	 * The text that means NULL; null: none does.
	 *
	 * @var string|null
	 */
	public ?string $null = null;

	/**
	 * Whether an empty value is a value; false: it is left out.
	 *
	 * @var bool
	 */
	public bool $has_empty = false;

	/**
	 * The column with the tickets' ids; empty: `id` or `ticket_id`, unless there is a key column.
	 *
	 * @var string
	 */
	public string $id_column = '';

	/**
	 * The column with the source's own keys, which are kept in a field; empty: none.
	 *
	 * @var string
	 */
	public string $key_column = '';

	/**
	 * Whether the daemon is only asked.
	 *
	 * @var bool
	 */
	public bool $is_dry = false;

	/**
	 * Whether tickets are set that exist with other values.
	 *
	 * @var bool
	 */
	public bool $overwrites = false;

	/**
	 * Whether a line makes a new ticket although an earlier import has made one of it.
	 *
	 * @var bool
	 */
	public bool $makes_again = false;

	/**
	 * Takes the options of a command.
	 *
	 * @param array $assoc_args The options.
	 * @param bool  $has_empty  Whether an empty value is a value.
	 * @throws ImportException If one cannot be used.
	 */
	public static function of( array $assoc_args, bool $has_empty ): self {
		$options            = new self();
		$options->has_empty = $has_empty;
		foreach ( array_filter( explode( ',', (string) ( $assoc_args['map'] ?? '' ) ) ) as $pair ) {
			if ( false === strpos( $pair, ':' ) ) {
				/* translators: %s: the typed text */
				$text = __( '"%s" is no pair: give column:field.', 'ticketd' );
				throw new ImportException( sprintf( $text, $pair ) );
			}
			list( $column, $field ) = array_map( 'trim', explode( ':', $pair, 2 ) );

			$options->map[ $column ] = $field;
		}
		$options->null        = isset( $assoc_args['null'] ) ? (string) $assoc_args['null'] : null;
		$options->id_column   = (string) ( $assoc_args['id-column'] ?? '' );
		$options->key_column  = (string) ( $assoc_args['key-column'] ?? '' );
		$options->is_dry      = ! empty( $assoc_args['dry-run'] );
		$options->overwrites  = ! empty( $assoc_args['overwrite'] );
		$options->makes_again = ! empty( $assoc_args['again'] );
		if ( '' !== $options->id_column && '' !== $options->key_column ) {
			throw new ImportException( __( 'Give --id-column or --key-column, not both.', 'ticketd' ) );
		}
		return $options;
	}
}
