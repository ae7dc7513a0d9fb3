<?php
/**
 * The codec on top of the msgpack extension.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Uses ext-msgpack, with the two habits of the extension worked around that do not suit the protocol: by default it
 * instantiates classes that the wire names, and it takes every array that looks like a list for one.
 */
final class ExtCodec implements Codec {

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
	 * @param string $payload Exactly one msgpack array.
	 * @throws ProtocolException If the payload is anything else.
	 */
	public function decode( string $payload ): array {
		$end = 0;
		$this->unpacker->reset();
		// The extension warns about some bad input besides returning false; the exception says it already.
		$is_whole = @$this->unpacker->execute( $payload, $end ) && strlen( $payload ) === $end;
		$message  = $is_whole ? $this->unpacker->data() : null;
		if ( ! is_array( $message ) ) {
			throw new ProtocolException( 'a payload that is not one msgpack array' );
		}
		return $message;
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
