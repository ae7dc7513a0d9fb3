<?php
/**
 * The checks of a request without the daemon.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Refuses what the daemon would refuse for any table: changes before they are spooled, as a change accepted here and
 * refused later is of no use, and selections that the daemon does not see. Only the daemon knows columns, types and
 * lengths.
 */
final class Door {

	/** Arguments of every selection, and further ones of a page. */
	private const SELECTION = array( 'where', 'contains', 'created_at', 'updated_at', 'deleted', 'fresh' );
	private const PAGE      = array( 'sort', 'order', 'limit', 'after' );

	/**
	 * Checks a `create`, `set` or `delete`.
	 *
	 * @param Request $request The request.
	 * @throws InputException If the change is refused; the exception names the field.
	 */
	public static function check( Request $request ): void {
		if ( null !== $request->param( 'id' ) ) {
			self::check_id( $request->param( 'id' ) );
		}
		$most       = 'set' === $request->method() ? Protocol::MAX_SET_REQUEST_ID : Protocol::MAX_REQUEST_ID;
		$request_id = $request->request_id();
		if ( ! preg_match( Protocol::REQUEST_ID, $request_id ) || strlen( $request_id ) > $most ) {
			throw new InputException(
				sprintf( 'A request id has 1 to %d printable ASCII characters, no spaces.', Protocol::MAX_REQUEST_ID ),
				'request_id'
			);
		}
		if ( 'delete' !== $request->method() ) {
			self::check_fields( $request->param( 'fields' ) );
		}
	}

	/**
	 * Checks a ticket's id.
	 *
	 * @param int    $id    The id.
	 * @param string $param The parameter that has it.
	 * @throws InputException If it is none.
	 */
	public static function check_id( int $id, string $param = 'id' ): void {
		if ( $id < 1 ) {
			throw new InputException( 'A ticket id is a whole number from 1.', $param );
		}
	}

	/**
	 * Checks the arguments of a selection, in the form that Request::query() gives them.
	 *
	 * @param array $args    The arguments of list_tickets(), or of a count.
	 * @param bool  $is_page Whether a page is asked for.
	 * @throws InputException If an argument is refused; the exception names it.
	 */
	public static function check_selection( array $args, bool $is_page ): void {
		$names = $is_page ? array_merge( self::SELECTION, self::PAGE ) : self::SELECTION;
		foreach ( array_keys( $args ) as $name ) {
			if ( ! in_array( $name, $names, true ) ) {
				throw new InputException( 'There is no such parameter.', (string) $name );
			}
		}
		foreach ( array_intersect_key( $args, array_flip( array( 'deleted', 'fresh' ) ) ) as $name => $value ) {
			if ( ! is_bool( $value ) ) {
				throw new InputException( 'Give true or false.', $name );
			}
		}
		$choices = array(
			'sort'  => Protocol::SORTS,
			'order' => array( 'asc', 'desc' ),
		);
		foreach ( array_intersect_key( $choices, $args ) as $name => $texts ) {
			if ( ! in_array( $args[ $name ], $texts, true ) ) {
				throw new InputException( sprintf( 'Give one of: %s.', implode( ', ', $texts ) ), $name );
			}
		}
		$limit = array_key_exists( 'limit', $args ) ? $args['limit'] : Protocol::DEFAULT_LIMIT;
		if ( ! is_int( $limit ) || $limit < 1 || $limit > Protocol::MAX_TICKETS ) {
			throw new InputException( sprintf( 'Give a whole number from 1 to %d.', Protocol::MAX_TICKETS ), 'limit' );
		}
		self::check_asked( 'where', $args['where'] ?? array() );
		self::check_asked( 'contains', $args['contains'] ?? array() );
	}

	/**
	 * Checks an argument that has something for each of several fields.
	 *
	 * @param string $argument The argument.
	 * @param array  $fields   What is asked for, by field name.
	 * @throws InputException If there are too many, or one is no field's name.
	 */
	private static function check_asked( string $argument, array $fields ): void {
		if ( count( $fields ) > Protocol::MAX_WHERE ) {
			throw new InputException( sprintf( 'Ask for at most %d fields.', Protocol::MAX_WHERE ), $argument );
		}
		foreach ( array_keys( $fields ) as $field ) {
			self::check_name( (string) $field, $argument );
		}
	}

	/**
	 * Checks a name that stands in an argument.
	 *
	 * @param string $name     The name.
	 * @param string $argument The argument.
	 * @throws InputException If it is no field's name.
	 */
	public static function check_name( string $name, string $argument ): void {
		if ( 1 !== preg_match( Protocol::NAME, $name ) ) {
			throw new InputException( 'Give names of fields.', $argument );
		}
	}

	/**
	 * Checks fields.
	 *
	 * @param array $fields Single values by field name.
	 * @throws InputException If a field is refused.
	 */
	private static function check_fields( array $fields ): void {
		if ( array() === $fields || count( $fields ) > Protocol::MAX_FIELDS ) {
			throw new InputException( sprintf( 'Give 1 to %d fields.', Protocol::MAX_FIELDS ), 'fields' );
		}
		foreach ( $fields as $name => $value ) {
			$name = (string) $name;
			if ( ! preg_match( Protocol::NAME, $name ) ) {
				throw new InputException(
					'The name of a field has 1 to 64 of A-Z a-z 0-9 _ - and does not begin with "_".',
					preg_match( '//u', $name ) ? $name : 'fields'
				);
			}
			if ( is_string( $value ) && ! preg_match( '//u', $value ) ) {
				throw new InputException( 'The value is not valid UTF-8.', $name );
			}
			if ( is_float( $value ) && ! is_finite( $value ) ) {
				throw new InputException( 'The value is not a finite number.', $name );
			}
		}
	}
}
