<?php
/**
 * What a browser sent.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Reads parameters of a request without WordPress' slashes. A caller that changes data has checked the nonce before.
 *
 * Texts are kept as typed, like texts from other sources; they are escaped on output.
 */
final class Input {

	/**
	 * A parameter of the address.
	 *
	 * @param string $name The name.
	 * @return string Empty where the parameter is missing or no text.
	 */
	public static function query( string $name ): string {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		return self::text( $_GET[ $name ] ?? '' );
	}

	/**
	 * A field of a form that was posted.
	 *
	 * @param string $name The name.
	 * @return string Empty where the parameter is missing or no text.
	 */
	public static function posted( string $name ): string {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		return self::text( $_POST[ $name ] ?? '' );
	}

	/**
	 * Fields of a form that was posted.
	 *
	 * @param string $name The name that they share.
	 * @return array<string, string> Texts by name.
	 */
	public static function posted_map( string $name ): array {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		$values = $_POST[ $name ] ?? array();
		return array_map( array( self::class, 'text' ), is_array( $values ) ? $values : array() );
	}

	/**
	 * Whether a form was posted.
	 */
	public static function is_posted(): bool {
		return isset( $_SERVER['REQUEST_METHOD'] )
			&& 'POST' === sanitize_text_field( wp_unslash( $_SERVER['REQUEST_METHOD'] ) );
	}

	/**
	 * Ticket ids of a form that was posted, or of the address.
	 *
	 * @param string $name Their parameter.
	 * @return int[] Those that are ids, each once.
	 */
	public static function ids( string $name ): array {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		$values = $_REQUEST[ $name ] ?? array();
		return array_values( array_unique( array_filter( array_map( array( self::class, 'id' ), (array) $values ) ) ) );
	}

	/**
	 * A ticket id.
	 *
	 * @param mixed $value The sent value.
	 * @return int 0 where it is none.
	 */
	public static function id( $value ): int {
		return is_scalar( $value ) && (string) (int) $value === (string) $value ? max( 0, (int) $value ) : 0;
	}

	/**
	 * One line of text.
	 *
	 * @param mixed $value The sent value.
	 */
	private static function text( $value ): string {
		$text = is_string( $value ) ? wp_check_invalid_utf8( wp_unslash( $value ) ) : '';
		return trim( str_replace( array( "\r", "\n", "\0" ), ' ', $text ) );
	}
}
