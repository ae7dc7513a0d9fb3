<?php
/**
 * What commands print.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\Client\SpoolingClient;
use Ticketd\WordPress\Format;

defined( 'ABSPATH' ) || exit;

/**
 * Prints data on STDOUT in the format that was asked for, and ends a command that failed with a message on STDERR and
 * the exit code 1.
 */
final class Output {

	/**
	 * Prints rows.
	 *
	 * @param array[]  $rows       Rows.
	 * @param array    $assoc_args Options: `format`, `field` and `fields`.
	 * @param string[] $columns    The rows' keys; those that are printed where `fields` says no others.
	 */
	public static function rows( array $rows, array $assoc_args, array $columns ): void {
		if ( 'ids' === ( $assoc_args['format'] ?? '' ) ) {
			\WP_CLI::line( implode( ' ', array_column( $rows, 'id' ) ) );
			return;
		}
		if ( isset( $assoc_args['field'] ) || isset( $assoc_args['fields'] ) ) {
			$wanted  = explode( ',', (string) ( $assoc_args['field'] ?? $assoc_args['fields'] ) );
			$unknown = array_diff( array_map( 'trim', $wanted ), $columns );
			if ( array() !== $rows && array() !== $unknown ) {
				/* translators: 1: names of fields, 2: names of fields */
				$text = __( 'There is no field %1$s; there are: %2$s.', 'ticketd' );
				\WP_CLI::error( sprintf( $text, implode( ', ', $unknown ), implode( ', ', $columns ) ) );
			}
		}
		$assoc_args = array_intersect_key( $assoc_args, array_flip( array( 'format', 'field', 'fields' ) ) );
		$assoc_args = array_merge( array( 'format' => 'table' ), $assoc_args );
		$format     = $assoc_args['format'];
		$is_column  = isset( $assoc_args['field'] );
		$safe       = static fn( array $row ): array => array_map(
			static fn( $value ) => is_string( $value ) ? self::safe( $value, $format, $is_column ) : $value,
			$row
		);
		( new \WP_CLI\Formatter( $assoc_args, $columns ) )->display_items( array_map( $safe, $rows ) );
	}

	/**
	 * A value that harms neither a terminal nor a spreadsheet: customers write values. JSON and YAML are for programs,
	 * and have values as they are.
	 *
	 * @param string $value     The value.
	 * @param string $format    The format that it is printed in.
	 * @param bool   $is_column Whether it is printed without other columns, one value after the other.
	 */
	private static function safe( string $value, string $format, bool $is_column ): string {
		if ( 'csv' === $format && ! $is_column ) {
			// A spreadsheet takes such a text for a formula. Newer versions of WP-CLI do the same, once.
			return 1 === preg_match( '/^[=+\-@\t\r]/', $value ) ? "'" . $value : $value;
		}
		if ( 'table' !== $format && 'csv' !== $format ) {
			return $value;
		}
		// What is not printed steers the terminal, or moves what is: as with "ticketd list", it becomes a space.
		$hidden = $is_column ? '/[^\PC\t\n]|[^\PZ ]/u' : '/\pC|[^\PZ ]/u';
		return preg_replace( $hidden, ' ', $value ) ?? (string) preg_replace( '/[^ -~]/', '?', $value );
	}

	/**
	 * Prints tickets, one a row, with every field that one of them has. JSON and YAML cannot hold bytes that are no
	 * UTF-8.
	 *
	 * @param array[] $tickets    The tickets.
	 * @param array   $assoc_args Options.
	 * @param bool    $stale      Whether there may be others.
	 */
	public static function tickets( array $tickets, array $assoc_args, bool $stale = false ): void {
		$columns = array_fill_keys( array_merge( array( 'id', 'revision' ), self::columns( $tickets ) ), null );
		$is_text = ! in_array( $assoc_args['format'] ?? '', array( 'json', 'yaml' ), true );
		$rows    = array();
		foreach ( $tickets as $ticket ) {
			$fields = $is_text ? $ticket['fields'] : Format::fields( $ticket['fields'] );
			$known  = array(
				'id'       => $ticket['id'],
				'revision' => $ticket['revision'],
			);
			$rows[] = array_replace( $columns, $fields, $known );
		}
		if ( $stale || in_array( true, array_column( $tickets, 'stale' ), true ) ) {
			\WP_CLI::warning(
				__( 'ticketd or its store is unreachable: pending changes may be missing.', 'ticketd' )
			);
		}
		self::rows( $rows, $assoc_args, array_keys( $columns ) );
	}

	/**
	 * The names of the fields that tickets have, in the order that each of them has: with which all begin, those of the
	 * table's columns, and then the others by name.
	 *
	 * @param array[] $tickets The tickets.
	 * @return string[]
	 */
	private static function columns( array $tickets ): array {
		$common = null;
		$all    = array();
		foreach ( $tickets as $ticket ) {
			$names  = array_map( 'strval', array_keys( $ticket['fields'] ) );
			$common = $common ?? $names;
			$length = 0;
			while ( isset( $common[ $length ], $names[ $length ] ) && $common[ $length ] === $names[ $length ] ) {
				++$length;
			}
			$common = array_slice( $common, 0, $length );
			$all   += array_flip( $names );
		}
		$others = array_diff( array_map( 'strval', array_keys( $all ) ), $common ?? array() );
		sort( $others, SORT_STRING );
		return array_merge( $common ?? array(), $others );
	}

	/**
	 * Prints the outcome of changes, and on STDERR a warning where they are pending in the spool.
	 *
	 * @param array[] $changes    Each ticket's id and revision; at least one.
	 * @param array   $assoc_args Options.
	 * @param string  $porcelain  What --porcelain prints of them.
	 */
	public static function changes( array $changes, array $assoc_args, string $porcelain = '' ): void {
		if ( in_array( SpoolingClient::UNKNOWN_REVISION, array_column( $changes, 'revision' ), true ) ) {
			\WP_CLI::warning( __( 'ticketd is unreachable: the change is pending in the spool.', 'ticketd' ) );
		}
		if ( isset( $assoc_args['porcelain'] ) ) {
			\WP_CLI::line( implode( "\n", array_column( $changes, $porcelain ) ) );
			return;
		}
		self::rows( $changes, $assoc_args, array_keys( $changes[0] ) );
	}

	/**
	 * Ends the command where a call failed.
	 *
	 * @param mixed $result What the call returned.
	 */
	public static function fail_on_error( $result ): void {
		if ( is_wp_error( $result ) ) {
			\WP_CLI::error( self::reason( $result ) );
		}
	}

	/**
	 * Prints a message on STDERR, apart from the data. With --quiet it prints nothing.
	 *
	 * @param string $message The message.
	 */
	public static function note( string $message ): void {
		if ( ! \WP_CLI::get_config( 'quiet' ) ) {
			// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- It is a stream and no file.
			file_put_contents( 'php://stderr', $message . "\n" );
		}
	}

	/**
	 * Why something failed, with the field that is to blame.
	 *
	 * @param \WP_Error $error The failure.
	 */
	public static function reason( \WP_Error $error ): string {
		$data  = $error->get_error_data();
		$field = is_array( $data ) ? (string) ( $data['field'] ?? '' ) : '';
		return ( '' === $field ? '' : $field . ': ' ) . $error->get_error_message();
	}
}
