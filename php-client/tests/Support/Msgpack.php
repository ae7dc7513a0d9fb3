<?php
/**
 * Writes any message, for tests that play the daemon.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * The smallest complete msgpack: long formats throughout. It shares no code with the codecs under test.
 */
final class Msgpack {

	/**
	 * Encodes a value; a list is an array, any other array a map.
	 *
	 * @param mixed $value The value.
	 */
	public static function encode( $value ): string {
		if ( is_array( $value ) ) {
			$is_list = array_values( $value ) === $value;
			$out     = pack( 'CN', $is_list ? 0xdd : 0xdf, count( $value ) );
			foreach ( $value as $key => $item ) {
				$out .= ( $is_list ? '' : self::encode( (string) $key ) ) . self::encode( $item );
			}
			return $out;
		}
		if ( is_int( $value ) ) {
			return pack( 'CJ', 0xd3, $value );
		}
		if ( is_string( $value ) ) {
			return pack( 'CN', 0xdb, strlen( $value ) ) . $value;
		}
		if ( null === $value ) {
			return "\xc0";
		}
		return $value ? "\xc3" : "\xc2";
	}
}
