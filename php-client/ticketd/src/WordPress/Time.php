<?php
/**
 * Times as requests write them.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Reads the forms of times that protocol/SPEC.md allows.
 */
final class Time {

	/** A date, then, optionally, a time, then, optionally, an offset. */
	private const FORM = '/^(?<year>\d{4})-(?<month>\d{1,2})-(?<day>\d{1,2})'
		. '(?:[ T]\s*(?<hour>\d{1,2})(?::(?<minute>[0-5]?\d)(?::(?<second>[0-5]?\d))?)?(?:\.(?<fraction>\d*))?'
		. '(?:[Zz]|(?<sign>[+-])(?<hours>\d\d):?(?<minutes>[0-5]\d))?)?$/D';

	/** Seconds since 1970. Eight digits are a date to MySQL, twelve and more a date with a time. */
	private const UNIX = '/^(?<seconds>[1-9]\d{8,10})(?:\.(?<fraction>\d*))?$/D';

	/** The furthest offset from UTC, in minutes. */
	private const FURTHEST = 14 * 60 + 59;

	/**
	 * Reads a time.
	 *
	 * @param string $text The text.
	 * @return \DateTimeImmutable|null The time in UTC; null where the text is none, or the day or hour does not exist.
	 */
	public static function read( string $text ): ?\DateTimeImmutable {
		$utc  = new \DateTimeZone( 'UTC' );
		$zero = new \DateTimeImmutable( '@0', $utc );
		if ( 1 === preg_match( self::UNIX, $text, $part ) ) {
			$time = $zero->setTimestamp( (int) $part['seconds'] );
			return self::with( $time->setTimezone( $utc ), $part['fraction'] ?? '' );
		}
		if ( 1 !== preg_match( self::FORM, $text, $part ) ) {
			return null;
		}
		$year  = (int) $part['year'];
		$hour  = (int) ( $part['hour'] ?? 0 );
		$shift = 60 * (int) ( $part['hours'] ?? 0 ) + (int) ( $part['minutes'] ?? 0 );
		// PHP knows no year 0; its days are those of 2000.
		$is_day = checkdate( (int) $part['month'], (int) $part['day'], 0 === $year ? 2000 : $year );
		if ( ! $is_day || $hour > 23 || $shift > self::FURTHEST ) {
			return null;
		}
		$shift = '-' === ( $part['sign'] ?? '' ) ? $shift : -$shift;
		$time  = $zero->setTimezone( $utc )
			->setDate( $year, (int) $part['month'], (int) $part['day'] )
			->setTime( $hour, (int) ( $part['minute'] ?? 0 ), (int) ( $part['second'] ?? 0 ) )
			->modify( "$shift minutes" );
		$time  = self::with( $time, $part['fraction'] ?? '' );
		return 4 === strlen( $time->format( 'Y' ) ) ? $time : null;
	}

	/**
	 * A time with a fraction of a second.
	 *
	 * @param \DateTimeImmutable $time     The time.
	 * @param string             $fraction The digits behind the point; those beyond the microsecond are passed over.
	 */
	private static function with( \DateTimeImmutable $time, string $fraction ): \DateTimeImmutable {
		$micros                         = (int) substr( str_pad( $fraction, 6, '0' ), 0, 6 );
		list( $hour, $minute, $second ) = array_map( 'intval', explode( ' ', $time->format( 'G i s' ) ) );
		return $time->setTime( $hour, $minute, $second, $micros );
	}
}
