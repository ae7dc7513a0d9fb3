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
 * Texts are kept as typed, like texts from other sources, without control characters; they are escaped on output.
 * WordPress' own sanitize_text_field() deletes what looks like a tag or an escaped byte, which support tickets quote.
 */
final class Input {

	/** Control characters but tab and newline: of C0, DEL, and of C1, with which terminals may be steered. */
	private const CONTROLS = '/[\x{00}-\x{08}\x{0B}-\x{1F}\x{7F}-\x{9F}]/u';

	/**
	 * A parameter of the address.
	 *
	 * @param string $name The name.
	 * @return string Empty where the parameter is missing or no text.
	 */
	public static function query( string $name ): string {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		return self::line( $_GET[ $name ] ?? '' );
	}

	/**
	 * A field of a form that was posted.
	 *
	 * @param string $name The name.
	 * @return string Empty where the parameter is missing or no text.
	 */
	public static function posted( string $name ): string {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		return self::line( $_POST[ $name ] ?? '' );
	}

	/**
	 * A field of several lines of a form that was posted.
	 *
	 * @param string $name The name.
	 * @return string With "\n" at the lines' ends, as browsers count them; empty where the parameter is missing or no
	 *                text.
	 */
	public static function posted_lines( string $name ): string {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		return self::lines( $_POST[ $name ] ?? '' );
	}

	/**
	 * Whether a field of a form that was posted is one text in UTF-8. Only such a text is kept.
	 *
	 * @param string $name The name.
	 */
	public static function is_text( string $name ): bool {
		// phpcs:ignore WordPress.Security.NonceVerification, WordPress.Security.ValidatedSanitizedInput -- See the class.
		$value = $_POST[ $name ] ?? '';
		return is_string( $value ) && 1 === preg_match( '//u', $value );
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
		return array_map( array( self::class, 'line' ), is_array( $values ) ? $values : array() );
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
	 * A text on one line, without control characters.
	 *
	 * @param string $text The text.
	 * @return string Empty where it is not UTF-8.
	 */
	public static function one_line( string $text ): string {
		return trim( (string) preg_replace( self::CONTROLS, '', str_replace( array( "\r", "\n" ), ' ', $text ) ) );
	}

	/**
	 * One line of text.
	 *
	 * @param mixed $value The sent value, with WordPress' slashes.
	 */
	private static function line( $value ): string {
		return is_string( $value ) ? self::one_line( wp_unslash( $value ) ) : '';
	}

	/**
	 * Several lines of text.
	 *
	 * @param mixed $value The sent value, with WordPress' slashes.
	 */
	private static function lines( $value ): string {
		$text = is_string( $value ) ? str_replace( array( "\r\n", "\r" ), "\n", wp_unslash( $value ) ) : '';
		return trim( rtrim( (string) preg_replace( self::CONTROLS, '', $text ) ), "\n" );
	}
}
