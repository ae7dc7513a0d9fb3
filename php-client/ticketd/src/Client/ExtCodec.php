<?php
/**
 * The codec on top of the msgpack extension.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Uses ext-msgpack, with the three habits of the extension worked around that do not suit the protocol: by default it
 * instantiates classes that the wire names, it takes every array that looks like a list for one, and it believes an
 * array's length before it has seen the elements.
 *
 * What no message of the protocol holds, it reads in its own way, where the codec in PHP refuses it: an extension type
 * is null, nil as a key the empty string, and nesting ends at 1,024.
 */
final class ExtCodec implements Codec {

	/** The bytes with which a long array or map begins, one whose number of elements has bytes of its own. */
	private const LONG = "\xdc\xdd\xde\xdf";

	/** The most elements for which the extension makes room before it has read them: 2.6 MB. */
	private const MAX_ROOM = 65536;

	/**
	 * The most elements that all long arrays and maps of a message may announce where the extension is given it. It
	 * makes room for what is announced, and lets a thousand be open, so that a few kilobytes could cost a page all of
	 * its memory.
	 */
	private const MAX_ANNOUNCED = 10 * self::MAX_ROOM;

	/**
	 * The extension's encoder.
	 *
	 * @var \MessagePack
	 */
	private \MessagePack $packer;

	/**
	 * The extension's decoder. The simpler MessagePack::unpack() takes no notice of bytes behind the value.
	 *
	 * @var \MessagePackUnpacker
	 */
	private \MessagePackUnpacker $unpacker;

	/**
	 * Sets the extension up.
	 */
	public function __construct() {
		// False: not "php_only", which is the mode that instantiates classes.
		$this->packer   = new \MessagePack( false );
		$this->unpacker = new \MessagePackUnpacker( false );
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
		$end = 0;
		$this->unpacker->reset();
		// The extension warns about some bad input besides returning false; the exception says it already.
		$is_whole = @$this->unpacker->execute( $payload, $end ) && strlen( $payload ) === $end;
		$message  = $is_whole ? $this->unpacker->data() : null;
		if ( ! is_array( $message ) ) {
			// What was read of a message that is refused is not freed by reset(), but only with the decoder itself.
			$this->unpacker = new \MessagePackUnpacker( false );
			throw new ProtocolException( 'a payload that is not one msgpack array' );
		}
		return $message;
	}

	/**
	 * How many elements the long arrays and maps of a payload announce at most: their bytes may also stand in a text.
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
	 * Whether the extension writes all maps of the parameters as maps with string keys: it makes lists of empty
	 * arrays, and integers of names like "12".
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
		foreach ( $params['tickets'] ?? array() as $pair ) {
			if ( ! self::is_plain_map( $pair[1] ) ) {
				return false;
			}
		}
		return true;
	}

	/**
	 * Whether an array has at least one key and none that is an integer.
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
