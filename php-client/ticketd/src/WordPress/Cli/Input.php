<?php
/**
 * What is typed on the command line.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

defined( 'ABSPATH' ) || exit;

/**
 * Makes values of arguments, and ends the command with a message on STDERR where that is not possible.
 */
final class Input {

	/**
	 * Reads ticket ids.
	 *
	 * @param string[] $args Arguments.
	 * @return int[]
	 */
	public static function ids( array $args ): array {
		/* translators: %s: the typed text */
		$text = __( '"%s" is no ticket id: give a whole number from 1.', 'ticketd' );
		return array_map(
			static function ( $arg ) use ( $text ): int {
				return self::positive( (string) $arg, $text );
			},
			$args
		);
	}

	/**
	 * Reads a revision.
	 *
	 * @param string $arg The argument.
	 */
	public static function revision( string $arg ): int {
		/* translators: %s: the typed text */
		return self::positive( $arg, __( '"%s" is no revision: give a whole number from 1.', 'ticketd' ) );
	}

	/**
	 * Reads a time in seconds.
	 *
	 * @param string $arg The argument.
	 */
	public static function seconds( string $arg ): int {
		/* translators: %s: the typed text */
		return self::positive( $arg, __( '"%s" is no time: give whole seconds from 1.', 'ticketd' ) );
	}

	/**
	 * Reads fields.
	 *
	 * @param string[] $args  Arguments like `status=open`.
	 * @param string   $nulls Names of fields to set to NULL, separated by commas.
	 * @return array<string, string|null> Values by field name.
	 */
	public static function fields( array $args, string $nulls ): array {
		$fields = array();
		foreach ( $args as $arg ) {
			if ( false === strpos( $arg, '=' ) ) {
				/* translators: %s: the typed text */
				\WP_CLI::error( sprintf( __( '"%s" is no field: give name=value.', 'ticketd' ), $arg ) );
			}
			list( $name, $value ) = explode( '=', $arg, 2 );
			$fields[ $name ]      = $value;
		}
		return $fields + ( '' === $nulls ? array() : array_fill_keys( explode( ',', $nulls ), null ) );
	}

	/**
	 * Reads a whole number from 1.
	 *
	 * @param string $arg  The argument.
	 * @param string $text What to say where it is none.
	 */
	private static function positive( string $arg, string $text ): int {
		if ( (string) (int) $arg !== $arg || (int) $arg < 1 ) {
			\WP_CLI::error( sprintf( $text, $arg ) );
		}
		return (int) $arg;
	}

	/**
	 * Reads how many tickets to print.
	 *
	 * @param string $arg The argument; 0: all.
	 */
	public static function limit( string $arg ): int {
		/* translators: %s: the typed text */
		$text = __( '"%s" is no number: give a whole number from 0.', 'ticketd' );
		return '0' === $arg ? PHP_INT_MAX : self::positive( $arg, $text );
	}

	/**
	 * Reads which tickets are meant.
	 *
	 * @param string[] $args       Arguments like `status=open,pending`.
	 * @param array    $assoc_args Options: `null`, `created-from` and the like, `deleted`, `fresh`.
	 * @return array The arguments of Api::count_tickets().
	 */
	public static function selection( array $args, array $assoc_args ): array {
		$where = array();
		foreach ( self::fields( $args, $assoc_args['null'] ?? '' ) as $field => $value ) {
			$where[ $field ] = null === $value ? null : explode( ',', $value );
		}
		$query = array() === $where ? array() : array( 'where' => $where );
		if ( isset( $assoc_args['search'] ) ) {
			$query['contains'] = array( 'subject' => $assoc_args['search'] );
		}
		foreach ( array( 'created', 'updated' ) as $name ) {
			foreach ( array( 'from', 'before' ) as $end ) {
				if ( isset( $assoc_args[ "$name-$end" ] ) ) {
					$query[ $name . '_at' ][ $end ] = $assoc_args[ "$name-$end" ];
				}
			}
		}
		if ( isset( $assoc_args['deleted'] ) ) {
			$query['deleted'] = true;
		}
		if ( false === ( $assoc_args['fresh'] ?? true ) ) {
			$query['fresh'] = false;
		}
		return $query;
	}
}
