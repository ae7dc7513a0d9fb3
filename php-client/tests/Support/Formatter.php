<?php
/**
 * A stand-in for WP-CLI's formatter of rows, see wp-cli.php.
 *
 * @package Ticketd
 */

namespace WP_CLI;

/**
 * Prints rows in a format.
 */
final class Formatter {

	/**
	 * The format.
	 *
	 * @var string
	 */
	private string $format;

	/**
	 * The only column; empty: all of $fields.
	 *
	 * @var string
	 */
	private string $field;

	/**
	 * The columns.
	 *
	 * @var string[]
	 */
	private array $fields;

	/**
	 * Takes what it prints with out of the options.
	 *
	 * @param array           $options `format`, `field`, `fields`.
	 * @param string[]|string $columns The columns where `fields` says no others.
	 */
	public function __construct( array &$options, $columns = array() ) {
		$fields       = $options['fields'] ?? $columns;
		$this->format = $options['format'] ?? 'table';
		$this->field  = $options['field'] ?? '';
		$this->fields = array_map( 'trim', is_array( $fields ) ? $fields : explode( ',', $fields ) );
		unset( $options['format'], $options['field'], $options['fields'] );
	}

	/**
	 * Prints rows.
	 *
	 * @param iterable<array> $rows The rows.
	 */
	public function display_items( $rows ): void {
		$rows               = is_array( $rows ) ? array_values( $rows ) : iterator_to_array( $rows, false );
		\WP_CLI::$printed[] = array( $this->format, $rows, '' === $this->field ? $this->fields : array( $this->field ) );
		if ( ! \WP_CLI::$prints ) {
			return;
		}
		if ( '' !== $this->field ) {
			$this->print_field( $rows );
			return;
		}
		if ( 'count' === $this->format || 'ids' === $this->format ) {
			\WP_CLI::put( 'ids' === $this->format ? implode( ' ', $rows ) : (string) count( $rows ), STDOUT );
			return;
		}
		$picked = array_map( array( $this, 'pick' ), $rows );
		switch ( $this->format ) {
			case 'json':
				\WP_CLI::put( (string) json_encode( $picked, JSON_PARTIAL_OUTPUT_ON_ERROR ), STDOUT );
				return;
			case 'yaml':
				\WP_CLI::put( self::yaml( $picked ), STDOUT );
				return;
			case 'csv':
			case 'table':
				foreach ( array_merge( array( $this->fields ), array_map( array( $this, 'texts' ), $picked ) ) as $row ) {
					// The real WP-CLI draws lines around a table on a terminal only.
					'csv' === $this->format ? fputcsv( STDOUT, $row ) : \WP_CLI::put( implode( "\t", $row ) . "\n", STDOUT );
				}
				return;
			default:
				\WP_CLI::error( 'Invalid format: ' . $this->format );
		}
	}

	/**
	 * Prints one column.
	 *
	 * @param array[] $rows The rows.
	 */
	private function print_field( array $rows ): void {
		$values = array();
		foreach ( $rows as $row ) {
			$values[] = self::value( $row, $this->field );
		}
		if ( 'json' === $this->format ) {
			\WP_CLI::put( (string) json_encode( $values ), STDOUT );
			return;
		}
		foreach ( $values as $value ) {
			\WP_CLI::print_value( $value, array( 'format' => $this->format ) );
		}
	}

	/**
	 * The columns of a row.
	 *
	 * @param array $row The row.
	 */
	private function pick( array $row ): array {
		$picked = array();
		foreach ( $this->fields as $field ) {
			$picked[ $field ] = self::value( $row, $field );
		}
		return $picked;
	}

	/**
	 * A row of texts.
	 *
	 * @param array $row The row.
	 */
	private function texts( array $row ): array {
		return array_map(
			static function ( $value ): string {
				return is_scalar( $value ) || null === $value ? (string) $value : (string) json_encode( $value );
			},
			$row
		);
	}

	/**
	 * A value of a row.
	 *
	 * @param array  $row   The row.
	 * @param string $field Its key.
	 * @return mixed
	 */
	private static function value( array $row, string $field ) {
		if ( ! array_key_exists( $field, $row ) ) {
			\WP_CLI::error( "Invalid field: $field." );
		}
		return $row[ $field ];
	}

	/**
	 * YAML of a list or a map.
	 *
	 * @param array  $values The list or map.
	 * @param string $indent What each line begins with.
	 */
	public static function yaml( array $values, string $indent = '' ): string {
		$text = '' === $indent ? "---\n" : '';
		foreach ( $values as $key => $value ) {
			$text .= $indent . ( is_int( $key ) ? '-' : "$key:" );
			$text .= is_array( $value ) ? " \n" . self::yaml( $value, $indent . '  ' ) : ' ' . self::scalar( $value ) . "\n";
		}
		return $text;
	}

	/**
	 * A scalar in YAML.
	 *
	 * @param mixed $value The value.
	 */
	private static function scalar( $value ): string {
		return is_string( $value ) && preg_match( '/^[A-Za-z][\w ]*$/D', $value ) ? $value : (string) json_encode( $value );
	}
}
