<?php
/**
 * Reads a msgpack message in PHP.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Decodes a payload. Every length is checked against the remaining bytes before use, and nesting ends at
 * self::MAX_DEPTH. Extension types, which could name a class, are refused.
 */
final class PureDecoder {

	/** How deep arrays and maps of a message may be nested. Messages of the protocol are far less deep. */
	private const MAX_DEPTH = 32;

	/** Formats of fixed width: how many bytes follow and how unpack() reads them. */
	private const NUMBERS = array(
		0xca => array( 4, 'G' ),
		0xcb => array( 8, 'E' ),
		0xcc => array( 1, 'C' ),
		0xcd => array( 2, 'n' ),
		0xce => array( 4, 'N' ),
		0xcf => array( 8, 'J' ),
		0xd0 => array( 1, 'c' ),
		0xd1 => array( 2, 'n' ),
		0xd2 => array( 4, 'N' ),
		0xd3 => array( 8, 'J' ),
	);

	/**
	 * The payload.
	 *
	 * @var string
	 */
	private string $bytes;

	/**
	 * Its length in bytes.
	 *
	 * @var int
	 */
	private int $length;

	/**
	 * Where the next byte is read.
	 *
	 * @var int
	 */
	private int $at = 0;

	/**
	 * Takes a payload.
	 *
	 * @param string $payload The bytes.
	 */
	public function __construct( string $payload ) {
		$this->bytes  = $payload;
		$this->length = strlen( $payload );
	}

	/**
	 * Decodes the payload.
	 *
	 * @return array The message.
	 * @throws ProtocolException If the payload is not exactly one msgpack array.
	 */
	public function message(): array {
		$message = $this->value( 0 );
		if ( ! is_array( $message ) || $this->at !== $this->length ) {
			throw new ProtocolException( 'a payload that is not one msgpack array' );
		}
		return $message;
	}

	/**
	 * Decodes the value that begins here.
	 *
	 * @param int $depth How many arrays and maps it is in.
	 * @return array|string|int|float|bool|null
	 * @throws ProtocolException If the element is missing.
	 */
	private function value( int $depth ) {
		$type = ord( $this->take( 1 ) );
		if ( $type < 0x80 ) {
			return $type;
		}
		if ( $type >= 0xe0 ) {
			return $type - 0x100;
		}
		if ( $type >= 0xa0 && $type < 0xc0 ) {
			return $this->take( $type & 0x1f );
		}
		if ( $type < 0x90 ) {
			return $this->map( $type & 0x0f, $depth );
		}
		if ( $type < 0xa0 ) {
			return $this->items( $type & 0x0f, $depth );
		}
		return isset( self::NUMBERS[ $type ] ) ? $this->number( $type ) : $this->other( $type, $depth );
	}

	/**
	 * Decodes a long value that is not a number.
	 *
	 * @param int $type  The format byte.
	 * @param int $depth How many arrays and maps the value is in.
	 * @return array|string|bool|null
	 * @throws ProtocolException If the protocol does not use the format.
	 */
	private function other( int $type, int $depth ) {
		switch ( $type ) {
			case 0xc0:
				return null;
			case 0xc2:
				return false;
			case 0xc3:
				return true;
			case 0xc4:
			case 0xd9:
				return $this->take( $this->unsigned( 1, 'C' ) );
			case 0xc5:
			case 0xda:
				return $this->take( $this->unsigned( 2, 'n' ) );
			case 0xc6:
			case 0xdb:
				return $this->take( $this->unsigned( 4, 'N' ) );
			case 0xdc:
				return $this->items( $this->unsigned( 2, 'n' ), $depth );
			case 0xdd:
				return $this->items( $this->unsigned( 4, 'N' ), $depth );
			case 0xde:
				return $this->map( $this->unsigned( 2, 'n' ), $depth );
			case 0xdf:
				return $this->map( $this->unsigned( 4, 'N' ), $depth );
		}
		throw new ProtocolException( sprintf( 'the msgpack format 0x%02x', $type ) );
	}

	/**
	 * Decodes a number of fixed width.
	 *
	 * @param int $type The format byte.
	 * @return int|float|string A string for an unsigned integer that PHP's integers do not reach, as the extension
	 *         does.
	 */
	private function number( int $type ) {
		list( $width, $format ) = self::NUMBERS[ $type ];

		$number = unpack( $format, $this->take( $width ) )[1];
		switch ( $type ) {
			case 0xcf:
				return $number < 0 ? sprintf( '%u', $number ) : $number;
			case 0xd1:
				return $number < 0x8000 ? $number : $number - 0x10000;
			case 0xd2:
				return $number < 0x80000000 ? $number : $number - 0x100000000;
		}
		return $number;
	}

	/**
	 * Decodes the elements of an array.
	 *
	 * @param int $count Number of elements.
	 * @param int $depth How many arrays and maps the array is in.
	 */
	private function items( int $count, int $depth ): array {
		$this->enter( $count, $depth );
		$items = array();
		for ( ; $count > 0; --$count ) {
			$items[] = $this->value( $depth + 1 );
		}
		return $items;
	}

	/**
	 * Decodes the pairs of a map.
	 *
	 * @param int $count Number of pairs.
	 * @param int $depth How many arrays and maps the map is in.
	 * @throws ProtocolException If a key is neither a string nor, as some encoders write names like "12", an integer.
	 */
	private function map( int $count, int $depth ): array {
		$this->enter( 2 * $count, $depth );
		$map = array();
		for ( ; $count > 0; --$count ) {
			$name = $this->value( $depth + 1 );
			if ( ! is_string( $name ) && ! is_int( $name ) ) {
				throw new ProtocolException( 'a map with a key that is no name' );
			}
			$map[ $name ] = $this->value( $depth + 1 );
		}
		return $map;
	}

	/**
	 * Checks an array or a map before it is read.
	 *
	 * @param int $values Number of values that must follow; each has at least one byte.
	 * @param int $depth  How many arrays and maps it is in.
	 * @throws ProtocolException If it cannot be.
	 */
	private function enter( int $values, int $depth ): void {
		if ( $depth >= self::MAX_DEPTH ) {
			throw new ProtocolException( sprintf( 'a value nested more than %d deep', self::MAX_DEPTH ) );
		}
		if ( $values > $this->length - $this->at ) {
			throw new ProtocolException( 'an array or map that is cut short' );
		}
	}

	/**
	 * Reads a length.
	 *
	 * @param int    $width  Its bytes.
	 * @param string $format How unpack() reads them.
	 */
	private function unsigned( int $width, string $format ): int {
		return unpack( $format, $this->take( $width ) )[1];
	}

	/**
	 * Takes the next bytes.
	 *
	 * @param int $count How many.
	 * @throws ProtocolException If fewer are left.
	 */
	private function take( int $count ): string {
		if ( $count > $this->length - $this->at ) {
			throw new ProtocolException( 'a value that is cut short' );
		}
		$taken     = substr( $this->bytes, $this->at, $count );
		$this->at += $count;
		return $taken;
	}
}
