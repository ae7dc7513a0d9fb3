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

	/** The options of `list`. Every other option is a field with its values. */
	private const LIST = array(
		'null',
		'search',
		'created-from',
		'created-before',
		'updated-from',
		'updated-before',
		'deleted',
		'fresh',
		'sort',
		'order',
		'limit',
		'all',
		'field',
		'fields',
		'format',
	);

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
	 * Reads ids of letters.
	 *
	 * @param string[] $args Arguments.
	 * @return int[]
	 */
	public static function letters( array $args ): array {
		/* translators: %s: the typed text */
		$text = __( '"%s" is no letter\'s id: give a whole number from 1.', 'ticketd' );
		return array_map( static fn( $arg ): int => self::positive( (string) $arg, $text ), $args );
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
	 * Reads a number of megabytes.
	 *
	 * @param string $arg The argument.
	 */
	public static function megabytes( string $arg ): int {
		/* translators: %s: the typed text */
		return self::positive( $arg, __( '"%s" is no size: give whole megabytes from 1.', 'ticketd' ) );
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
			self::add( $fields, $name, $value );
		}
		foreach ( '' === $nulls ? array() : explode( ',', $nulls ) as $name ) {
			self::add( $fields, $name, null );
		}
		return $fields;
	}

	/**
	 * Adds a field, which must be the first of its name.
	 *
	 * @param array       $fields The fields by name.
	 * @param string      $name   The name.
	 * @param string|null $value  The value.
	 */
	private static function add( array &$fields, string $name, ?string $value ): void {
		if ( array_key_exists( $name, $fields ) ) {
			/* translators: %s: name of a field */
			\WP_CLI::error( sprintf( __( 'The field %s is given twice.', 'ticketd' ), $name ) );
		}
		$fields[ $name ] = $value;
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
	 * @param array $assoc_args Options: `limit`, where 0 means all, or `all`.
	 * @return int|null Null where neither is given.
	 */
	public static function limit( array $assoc_args ): ?int {
		$is_all = true === ( $assoc_args['all'] ?? false );
		$limit  = (string) ( $assoc_args['limit'] ?? ( $is_all ? '0' : '' ) );
		if ( '' === $limit ) {
			return null;
		}
		if ( $is_all && '0' !== $limit ) {
			\WP_CLI::error( __( 'Give --limit or --all, not both.', 'ticketd' ) );
		}
		/* translators: %s: the typed text */
		$text = __( '"%s" is no number: give a whole number from 0.', 'ticketd' );
		return '0' === $limit ? PHP_INT_MAX : self::positive( $limit, $text );
	}

	/**
	 * Takes the comparisons out of arguments.
	 *
	 * @param string[] $args Arguments like `status!=closed,spam`, `ticket_id>7` and `status=open`.
	 * @return array By field name the values by operator; what is left in $args are fields.
	 */
	private static function comparisons( array &$args ): array {
		$compared = array();
		foreach ( $args as $index => $arg ) {
			if ( 1 !== preg_match( '/^([\w-]+)(!=|<=|>=|<|>)(.*)$/Ds', $arg, $part ) ) {
				continue;
			}
			list( , $field, $operator, $value ) = $part;
			if ( isset( $compared[ $field ][ $operator ] ) ) {
				/* translators: 1: name of a field, 2: a comparison, such as >= */
				$text = __( 'The comparison %1$s%2$s is given twice.', 'ticketd' );
				\WP_CLI::error( sprintf( $text, $field, $operator ) );
			}
			$compared[ $field ][ $operator ] = '!=' === $operator ? explode( ',', $value ) : $value;
			unset( $args[ $index ] );
		}
		return $compared;
	}

	/**
	 * Reads which tickets are meant.
	 *
	 * @param string[] $args       Arguments like `status=open,pending` and `ticket_id>7`.
	 * @param array    $assoc_args Options: `null`, `created-from` and the like, `deleted`, `fresh`, and fields.
	 * @return array The arguments of Api::count_tickets().
	 */
	public static function selection( array $args, array $assoc_args ): array {
		foreach ( array_diff_key( $assoc_args, array_flip( self::LIST ) ) as $field => $value ) {
			if ( ! is_string( $value ) ) { // A flag.
				/* translators: %s: name of an option */
				$text = __( 'The option --%1$s needs a value: give --%1$s=value.', 'ticketd' );
				\WP_CLI::error( sprintf( $text, $field ) );
			}
			$args[] = "$field=$value";
		}
		$where    = array();
		$compared = self::comparisons( $args );
		foreach ( self::fields( $args, $assoc_args['null'] ?? '' ) as $field => $value ) {
			$where[ $field ] = null === $value ? null : explode( ',', $value );
		}
		foreach ( $compared as $field => $comparisons ) {
			$equal           = array_key_exists( $field, $where ) ? array( '=' => $where[ $field ] ) : array();
			$where[ $field ] = $equal + $comparisons;
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
