<?php
/**
 * Frames: what travels on the socket.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * A frame is one version byte, three bytes big-endian length, and the payload.
 */
final class Frame {

	/** Bytes before the payload. */
	public const HEADER_BYTES = 4;

	/**
	 * Puts the header before a payload.
	 *
	 * @param string $payload One msgpack value.
	 * @throws InputException If the payload is longer than the protocol allows.
	 */
	public static function encode( string $payload ): string {
		$length = strlen( $payload );
		if ( $length > Protocol::MAX_PAYLOAD ) {
			throw new InputException(
				sprintf(
					'The request has %d bytes, at most %d are possible. Send fewer tickets at once or shorter values.',
					$length,
					Protocol::MAX_PAYLOAD
				),
				'',
				'too_large'
			);
		}
		// The version is the most significant of the four bytes, so one 32-bit integer is the whole header.
		return pack( 'N', Protocol::VERSION << 24 | $length ) . $payload;
	}

	/**
	 * Reads the payload's length from a header.
	 *
	 * @param string $bytes At least HEADER_BYTES bytes.
	 * @return int Length in bytes, 1 to Protocol::MAX_PAYLOAD.
	 * @throws ProtocolException If the version or the length is not possible.
	 */
	public static function payload_length( string $bytes ): int {
		$header = unpack( 'N', $bytes )[1];
		if ( Protocol::VERSION !== $header >> 24 ) {
			throw new ProtocolException( sprintf( 'a frame of version %d', $header >> 24 ) );
		}
		$length = $header & 0xffffff;
		if ( 0 === $length || $length > Protocol::MAX_PAYLOAD ) {
			throw new ProtocolException( sprintf( 'a frame of %d bytes', $length ) );
		}
		return $length;
	}
}
