<?php
/**
 * The codec on top of the msgpack extension.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Uses ext-msgpack and works around three habits of the extension that do not suit the protocol: by default the
 * extension instantiates classes named on the wire, writes every array that looks like a list as a list, and trusts
 * an array's length before reading the elements.
 *
 * For input that no message of the protocol holds, the extension has its own rules where the codec in PHP refuses: an
 * extension type is null, nil as a key is the empty string, and nesting ends at 1,024.
 */
final class ExtCodec implements Codec {

	/** The first bytes of long arrays and maps, whose number of elements has its own bytes. */
	private const LONG = "\xdc\xdd\xde\xdf";

	/** The most elements for which the extension reserves memory before reading: 2.6 MB. */
	private const MAX_ROOM = 65536;

	/**
	 * The most elements that all long arrays and maps of a message may announce for the extension. The extension
	 * reserves memory for announced elements, and allows a thousand open arrays, so that a few kilobytes could use up
	 * all memory of a page.
	 */
	private const MAX_ANNOUNCED = 10 * self::MAX_ROOM;

	/** The first byte of an array of two elements. */
	private const PAIR = "\x92";

	/** An element that no reply has at its end, as bytes and as a value. */
	private const END       = "\xaeend of payload";
	private const END_VALUE = 'end of payload';

	/**
	 * The extension's encoder and decoder. MessagePackUnpacker would refuse bytes behind a value by itself, but clears
	 * 41 KB for each object.
	 *
	 * @var \MessagePack
	 */
	private \MessagePack $packer;

	/**
	 * Sets the extension up.
	 */
	public function __construct() {
		// False: not "php_only", which is the mode that instantiates classes.
		$this->packer = new \MessagePack( false );
	}

	/**
	 * Whether the extension is loaded.
	 */
	public static function is_available(): bool {
		return class_exists( \MessagePack::class, false );
	}

	/**
	 * Encodes a request.
	 *
	 * @param int    $id     Request id.
	 * @param string $method The method's name.
	 * @param array  $params The parameters by name.
	 */
	public function encode_request( int $id, string $method, array $params ): string {
		if ( ! self::has_only_plain_maps( $params ) ) {
			return ( new PureCodec() )->encode_request( $id, $method, $params );
		}
		return $this->packer->pack( array( 0, $id, $method, $params ) );
	}

	/**
	 * Decodes a message.
	 *
	 * @param string $payload A msgpack array and no more.
	 * @throws ProtocolException If the payload is not exactly that.
	 */
	public function decode( string $payload ): array {
		if ( self::announced( $payload ) > self::MAX_ANNOUNCED ) {
			return ( new PureCodec() )->decode( $payload );
		}
		// The extension takes no notice of bytes behind a value, so the payload becomes the first of two.
		$pair = @$this->packer->unpack( self::PAIR . $payload . self::END );
		if ( ! is_array( $pair ) || self::END_VALUE !== ( $pair[1] ?? null ) || ! is_array( $pair[0] ) ) {
			throw new ProtocolException( 'a payload that is not one msgpack array' );
		}
		return $pair[0];
	}

	/**
	 * How many elements the long arrays and maps of a payload announce at most: the same bytes may also be part of a
	 * text.
	 *
	 * @param string $payload The payload.
	 */
	private static function announced( string $payload ): int {
		$sum  = 0;
		$size = strlen( $payload );
		$at   = strcspn( $payload, self::LONG );
		while ( $at < $size && $sum <= self::MAX_ANNOUNCED ) {
			$is_wide = 1 === ( ord( $payload[ $at ] ) & 1 );
			$digits  = $is_wide ? 4 : 2;
			$number  = str_pad( substr( $payload, $at + 1, $digits ), $digits, "\xff" );
			$sum    += min( unpack( $is_wide ? 'N' : 'n', $number )[1], self::MAX_ROOM );
			++$at;
			$at += strcspn( $payload, self::LONG, $at );
		}
		return $sum;
	}

	/**
	 * Whether the extension writes all maps of the parameters as maps with string keys: it writes empty arrays as
	 * lists, and names like "12" as integers.
	 *
	 * @param array $params The parameters by name.
	 */
	private static function has_only_plain_maps( array $params ): bool {
		if ( array() === $params ) {
			return false;
		}
		foreach ( self::MAPS as $name ) {
			if ( is_array( $params[ $name ] ?? null ) && ! self::is_plain_map( $params[ $name ] ) ) {
				return false;
			}
		}
		foreach ( $params['tickets'] ?? $params['entries'] ?? array() as $pair ) {
			if ( ! self::is_plain_map( $pair[1] ) ) {
				return false;
			}
		}
		return true;
	}

	/**
	 * Whether an array has at least one key and no integer keys.
	 *
	 * @param array $map Any array.
	 */
	private static function is_plain_map( array $map ): bool {
		foreach ( $map as $name => $value ) {
			if ( is_int( $name ) ) {
				return false;
			}
		}
		return array() !== $map;
	}
}
