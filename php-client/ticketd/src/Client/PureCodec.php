<?php
/**
 * The codec that needs no extension.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * As much msgpack as the protocol needs, in PHP.
 *
 * Source: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
final class PureCodec implements Codec {

	/**
	 * Encodes a request.
	 *
	 * @param int    $id     Request id.
	 * @param string $method The method's name.
	 * @param array  $params The parameters by name.
	 */
	public function encode_request( int $id, string $method, array $params ): string {
		$out = "\x94\x00" . self::integer( $id ) . self::text( $method ) . self::map_header( count( $params ) );
		foreach ( $params as $name => $value ) {
			$out .= self::text( $name );
			if ( ! is_array( $value ) ) {
				$out .= self::scalar( $value );
			} elseif ( in_array( $name, self::MAPS, true ) ) {
				$out .= self::map( $value );
			} else {
				$out .= self::items( $value );
			}
		}
		return $out;
	}

	/**
	 * Decodes a message.
	 *
	 * @param string $payload A msgpack array and no more.
	 * @throws ProtocolException If the payload is not exactly that.
	 */
	public function decode( string $payload ): array {
		return ( new PureDecoder( $payload ) )->message();
	}

	/**
	 * Encodes a list of single values, or of lists in which an array stands for fields.
	 *
	 * @param array $items The list.
	 */
	private static function items( array $items ): string {
		$out = self::array_header( count( $items ) );
		foreach ( $items as $item ) {
			if ( ! is_array( $item ) ) {
				$out .= self::scalar( $item );
				continue;
			}
			$out .= self::array_header( count( $item ) );
			foreach ( $item as $part ) {
				$out .= is_array( $part ) ? self::map( $part ) : self::scalar( $part );
			}
		}
		return $out;
	}

	/**
	 * Encodes a map of names to single values, to lists of them, or to comparisons by operator.
	 *
	 * @param array $map The map; integer keys are written as the strings that they were.
	 */
	private static function map( array $map ): string {
		$out = self::map_header( count( $map ) );
		foreach ( $map as $name => $value ) {
			$out .= self::text( (string) $name );
			if ( ! is_array( $value ) ) {
				$out .= self::scalar( $value );
			} else {
				$out .= Request::is_comparison( $value ) ? self::map( $value ) : self::items( $value );
			}
		}
		return $out;
	}

	/**
	 * Encodes one single value.
	 *
	 * @param string|int|float|bool|null $value The value.
	 */
	private static function scalar( $value ): string {
		if ( is_string( $value ) ) {
			return self::text( $value );
		}
		if ( is_int( $value ) ) {
			return self::integer( $value );
		}
		if ( is_float( $value ) ) {
			return "\xcb" . pack( 'E', $value );
		}
		if ( null === $value ) {
			return "\xc0";
		}
		return $value ? "\xc3" : "\xc2";
	}

	/**
	 * Encodes a string. The daemon checks for UTF-8 and names the field.
	 *
	 * @param string $value The string.
	 */
	private static function text( string $value ): string {
		$length = strlen( $value );
		if ( $length < 32 ) {
			return chr( 0xa0 | $length ) . $value;
		}
		if ( $length <= 0xff ) {
			return "\xd9" . chr( $length ) . $value;
		}
		if ( $length <= 0xffff ) {
			return pack( 'Cn', 0xda, $length ) . $value;
		}
		return pack( 'CN', 0xdb, $length ) . $value;
	}

	/**
	 * Encodes an integer in its shortest format.
	 *
	 * @param int $value The integer.
	 */
	private static function integer( int $value ): string {
		if ( $value < 0 ) {
			return self::negative( $value );
		}
		if ( $value < 0x80 ) {
			return chr( $value );
		}
		if ( $value <= 0xff ) {
			return "\xcc" . chr( $value );
		}
		if ( $value <= 0xffff ) {
			return pack( 'Cn', 0xcd, $value );
		}
		if ( $value <= 0xffffffff ) {
			return pack( 'CN', 0xce, $value );
		}
		return pack( 'CJ', 0xcf, $value );
	}

	/**
	 * Encodes an integer below zero in its shortest format.
	 *
	 * @param int $value The integer.
	 */
	private static function negative( int $value ): string {
		if ( $value >= -0x20 ) {
			return chr( $value & 0xff );
		}
		if ( $value >= -0x80 ) {
			return "\xd0" . chr( $value & 0xff );
		}
		// Pack keeps the low bytes, which are the two's complement that msgpack asks for.
		if ( $value >= -0x8000 ) {
			return pack( 'Cn', 0xd1, $value );
		}
		if ( $value >= -0x80000000 ) {
			return pack( 'CN', 0xd2, $value );
		}
		return pack( 'CJ', 0xd3, $value );
	}

	/**
	 * The header of a map.
	 *
	 * @param int $count Number of its pairs.
	 */
	private static function map_header( int $count ): string {
		if ( $count < 16 ) {
			return chr( 0x80 | $count );
		}
		return $count <= 0xffff ? pack( 'Cn', 0xde, $count ) : pack( 'CN', 0xdf, $count );
	}

	/**
	 * The header of an array.
	 *
	 * @param int $count Number of its elements.
	 */
	private static function array_header( int $count ): string {
		if ( $count < 16 ) {
			return chr( 0x90 | $count );
		}
		return $count <= 0xffff ? pack( 'Cn', 0xdc, $count ) : pack( 'CN', 0xdd, $count );
	}
}
