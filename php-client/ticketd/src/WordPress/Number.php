<?php
/**
 * Decimal numbers of any length.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * A number as a text writes it, 0.digits x 10^point: a float of PHP's has too few digits for the columns' integers.
 */
final class Number {

	/** Bounds exponents far above every column's range. */
	private const MAX_EXPONENT = 9999;

	/**
	 * Whether it is below zero.
	 *
	 * @var bool
	 */
	private bool $is_negative;

	/**
	 * The digits without zeros at either end; empty for zero.
	 *
	 * @var string
	 */
	private string $digits;

	/**
	 * Where the point stands, counted from before the first digit.
	 *
	 * @var int
	 */
	private int $point;

	/**
	 * Takes a number.
	 *
	 * @param bool   $is_negative Whether it is below zero.
	 * @param string $digits      The digits without zeros at either end; empty for zero.
	 * @param int    $point       Where the point stands, counted from before the first digit.
	 */
	private function __construct( bool $is_negative, string $digits, int $point ) {
		$this->is_negative = $is_negative && '' !== $digits;
		$this->digits      = $digits;
		$this->point       = '' === $digits ? 0 : $point;
	}

	/**
	 * Reads a text.
	 *
	 * @param string $text Digits with, optionally, a sign, a point and an exponent.
	 * @return self|null Null where it is no number.
	 */
	public static function read( string $text ): ?self {
		if ( 1 !== preg_match( '/^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/Di', $text, $part ) ) {
			return null;
		}
		$all = $part[2] . ( $part[3] ?? '' );
		if ( '' === $all ) {
			return null;
		}
		$exponent    = max( -self::MAX_EXPONENT, min( self::MAX_EXPONENT, (int) ( $part[4] ?? 0 ) ) );
		$significant = ltrim( $all, '0' );
		$point       = strlen( $part[2] ) + $exponent - ( strlen( $all ) - strlen( $significant ) );
		return new self( '-' === $part[1], rtrim( $significant, '0' ), $point );
	}

	/**
	 * Whether it is below zero.
	 */
	public function is_negative(): bool {
		return $this->is_negative;
	}

	/**
	 * How many digits stand before the point where it is rounded.
	 *
	 * @param int $scale Digits behind the point.
	 */
	public function digits_before( int $scale ): int {
		if ( $this->point > 65 ) { // More than a column's; the text of thousands of digits is not made.
			return $this->point;
		}
		return strlen( ltrim( strtok( $this->rounded( $scale ), '.' ), '-0' ) );
	}

	/**
	 * The number with so many digits behind the point, rounded half away from zero as the databases do.
	 *
	 * @param int $scale Digits behind the point.
	 */
	public function rounded( int $scale ): string {
		$keep = $this->point + $scale; // Digits of the result, counted from the first significant one.
		$text = '';
		if ( $keep >= 0 && $keep < strlen( $this->digits ) ) {
			$text = substr( $this->digits, 0, $keep );
			$text = $this->digits[ $keep ] >= '5' ? self::incremented( $text ) : $text;
		} elseif ( $keep >= 0 && '' !== $this->digits ) {
			$text = str_pad( $this->digits, $keep, '0' );
		}
		$text = str_pad( $text, $scale + 1, '0', STR_PAD_LEFT );
		$sign = $this->is_negative && '' !== trim( $text, '0' ) ? '-' : '';
		return 0 === $scale ? $sign . $text : $sign . substr( $text, 0, -$scale ) . '.' . substr( $text, -$scale );
	}

	/**
	 * Whether an integer of so many bits holds the rounded number.
	 *
	 * @param int  $bits        Bits, 1 to 64.
	 * @param bool $is_unsigned Whether it holds no negative numbers.
	 */
	public function fits( int $bits, bool $is_unsigned ): bool {
		if ( $this->point > 20 ) { // 2^64 has 20 digits.
			return false;
		}
		$text        = $this->rounded( 0 );
		$is_negative = '-' === $text[0];
		if ( $is_negative && $is_unsigned ) {
			return false;
		}
		$digits = ltrim( $text, '-' );
		$bits  -= $is_unsigned ? 0 : 1;
		$most   = 64 === $bits ? '18446744073709551615' : (string) ( 63 === $bits ? PHP_INT_MAX : ( 1 << $bits ) - 1 );
		$most   = $is_negative ? self::incremented( $most ) : $most;
		return strcmp( str_pad( $digits, 20, '0', STR_PAD_LEFT ), str_pad( $most, 20, '0', STR_PAD_LEFT ) ) <= 0;
	}

	/**
	 * One more.
	 *
	 * @param string $digits A number of decimal digits; empty is 0.
	 */
	private static function incremented( string $digits ): string {
		$nines = strlen( $digits ) - strlen( rtrim( $digits, '9' ) );
		$rest  = substr( $digits, 0, strlen( $digits ) - $nines );
		$last  = '' === $rest ? 0 : (int) substr( $rest, -1 );
		return substr( $rest, 0, -1 ) . ( $last + 1 ) . str_repeat( '0', $nines );
	}

	/**
	 * A float in the shortest decimal form that reads back as the same, with an exponent only below 1e-6 and from 1e21.
	 * A cast depends on PHP's settings.
	 *
	 * @param float $value The number.
	 */
	public static function float_text( float $value ): string {
		if ( 0.0 === $value ) {
			return '0';
		}
		$places = 0;
		$text   = sprintf( '%.0e', $value );
		while ( $places < 17 && (float) $text !== $value ) {
			++$places;
			$text = sprintf( '%.' . $places . 'e', $value );
		}
		if ( abs( $value ) < 1e-6 || abs( $value ) >= 1e21 ) {
			return $text;
		}
		list( $figures, $exponent ) = explode( 'e', $text );
		if ( (int) $exponent < $places ) {
			return sprintf( '%.' . ( $places - (int) $exponent ) . 'F', $value );
		}
		$length = (int) $exponent + 1 + (int) ( $value < 0 );
		return str_pad( str_replace( '.', '', $figures ), $length, '0' );
	}
}
