<?php
/**
 * The checks of a change without the daemon.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Refuses before spooling what the daemon would refuse for any table: a change accepted here and refused later is of
 * no use. Only the daemon knows columns, types and lengths.
 */
final class Door {

	/**
	 * Checks a `create`, `set` or `delete`.
	 *
	 * @param Request $request The request.
	 * @throws InputException If the change is refused; the exception names the field.
	 */
	public static function check( Request $request ): void {
		$id = $request->param( 'id' );
		if ( null !== $id && $id < 1 ) {
			throw new InputException( 'A ticket id is a whole number from 1.', 'id' );
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
