<?php
/**
 * Values for people and for JSON.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Writes times, sizes, states, reasons, and fields.
 */
final class Format {

	/** Most characters of an excerpt; the whole text is elsewhere, in the ticket for example. */
	private const MOST_CHARACTERS = 200;

	/**
	 * A length of time.
	 *
	 * @param int $ms The time in milliseconds.
	 */
	public static function duration( int $ms ): string {
		if ( $ms < 60000 ) {
			/* translators: %s: number of seconds */
			return sprintf( __( '%s s', 'ticketd' ), number_format_i18n( $ms / 1000, $ms > 0 && $ms < 10000 ? 1 : 0 ) );
		}
		return human_time_diff( 0, intdiv( $ms, 1000 ) );
	}

	/**
	 * A number of bytes.
	 *
	 * @param int $bytes The number.
	 */
	public static function size( int $bytes ): string {
		return (string) size_format( $bytes, $bytes < KB_IN_BYTES ? 0 : 1 );
	}

	/**
	 * The state of a place.
	 *
	 * @param array $place `state`, `since_ms` and `reason`.
	 */
	public static function place( array $place ): string {
		$states = array(
			'up'      => __( 'up', 'ticketd' ),
			'down'    => __( 'down', 'ticketd' ),
			'paused'  => __( 'paused', 'ticketd' ),
			'unknown' => __( 'not known yet', 'ticketd' ),
		);
		/* translators: 1: "up", "down" or "paused", 2: a time, e.g. "5 mins" */
		$text   = __( '%1$s for %2$s', 'ticketd' );
		$text   = sprintf( $text, $states[ $place['state'] ] ?? $place['state'], self::duration( $place['since_ms'] ) );
		$reason = 'up' === $place['state'] ? '' : self::masked( $place['reason'] );
		return '' === $reason ? $text : "$text: $reason";
	}

	/**
	 * The state of a destination of the feed.
	 *
	 * @param array $destination The destination.
	 */
	public static function destination( array $destination ): string {
		$states = array(
			'up'        => __( 'up', 'ticketd' ),
			'idle'      => __( 'not read at the moment', 'ticketd' ),
			'retrying'  => __( 'does not answer, tried again', 'ticketd' ),
			'paused'    => __( 'takes no events', 'ticketd' ),
			'stopped'   => __( 'paused by an operator', 'ticketd' ),
			'elsewhere' => __( 'served by another host', 'ticketd' ),
			'waiting'   => __( 'waits for the store or the database', 'ticketd' ),
		);
		$parts  = array( $states[ $destination['state'] ] ?? $destination['state'] );
		if ( $destination['lag_events'] > 0 ) {
			/* translators: 1: number of events, 2: a time, e.g. "5 mins" */
			$text    = __( 'events behind: %1$s, lag %2$s', 'ticketd' );
			$lag     = number_format_i18n( $destination['lag_events'] );
			$parts[] = sprintf( $text, $lag, self::duration( $destination['lag_ms'] ) );
		}
		$counts = array(
			/* translators: %s: number of events */
			'held'    => __( 'refused and tried again: %s', 'ticketd' ),
			/* translators: %s: number of events */
			'letters' => __( 'letters: %s', 'ticketd' ),
			/* translators: %s: number of gaps */
			'gaps'    => __( 'gaps: %s', 'ticketd' ),
		);
		foreach ( $counts as $key => $text ) {
			if ( $destination[ $key ] > 0 ) {
				$parts[] = sprintf( $text, number_format_i18n( $destination[ $key ] ) );
			}
		}
		$reason = 'up' === $destination['state'] ? '' : self::masked( (string) $destination['reason'] );
		return implode( '; ', $parts ) . ( '' === $reason ? '.' : ": $reason" );
	}

	/**
	 * Hides text that looks like a password, or a user's name before it.
	 *
	 * @param string $text A text from elsewhere.
	 */
	public static function masked( string $text ): string {
		$masks = array(
			// A DSN or an URL: user:password@host.
			'~[^\s/@:"\']*:(?!//)[^\s@"\']*@~' => '***:***@',
			'~\b(pass(?:word|wd)?|secret|token|auth)(\s*[=:]\s*)("[^"]*"|\'[^\']*\'|[^\s,;]+)~i' => '$1$2***',
		);
		return (string) preg_replace( array_keys( $masks ), array_values( $masks ), $text );
	}

	/**
	 * The fields of a change, as `status: open → pending`, for programs' users and without labels.
	 *
	 * @param array $changes By field name the old and the new value, the new one alone, or none.
	 */
	public static function changes( array $changes ): string {
		$texts = array();
		foreach ( $changes as $name => $values ) {
			$shown   = array_map( static fn( $value ): string => null === $value ? 'NULL' : (string) $value, $values );
			$texts[] = array() === $shown ? (string) $name : $name . ': ' . implode( ' → ', $shown );
		}
		return implode( '; ', $texts );
	}

	/**
	 * The beginning of a text for people; bytes that are no UTF-8 as hex. The text is not escaped.
	 *
	 * @param string $text The text.
	 */
	public static function excerpt( string $text ): string {
		if ( 1 !== preg_match( '//u', $text ) ) {
			$text = '0x' . bin2hex( $text );
		}
		return mb_strlen( $text ) > self::MOST_CHARACTERS ? mb_substr( $text, 0, self::MOST_CHARACTERS ) . '…' : $text;
	}

	/**
	 * Fields as JSON can show them: bytes that are no UTF-8 stand in them as `hex => …`.
	 *
	 * @param array $fields Values by field name.
	 */
	public static function fields( array $fields ): array {
		foreach ( $fields as $name => $value ) {
			if ( is_string( $value ) && 1 !== preg_match( '//u', $value ) ) {
				$fields[ $name ] = array( 'hex' => bin2hex( $value ) );
			}
		}
		return $fields;
	}
}
