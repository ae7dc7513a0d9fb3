<?php
/**
 * The codec: converts messages to bytes and back.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Writes requests and reads messages in msgpack. All codecs write the same bytes for the same request.
 */
interface Codec {

	/** The parameters that are maps; every other array is a list. */
	public const MAPS = array( 'fields', 'where', 'contains', 'created_at', 'updated_at' );

	/**
	 * Encodes `[0, id, method, params]`.
	 *
	 * @param int    $id     Request id, 1 to Protocol::MAX_ID.
	 * @param string $method The method's name.
	 * @param array  $params The parameters by name. `fields`, and the second element of each pair in `tickets`, are
	 *                       maps whatever their keys are; any other array is a list.
	 * @return string The payload.
	 */
	public function encode_request( int $id, string $method, array $params ): string;

	/**
	 * Decodes a message. Maps become arrays by key; no object is ever made.
	 *
	 * @param string $payload A msgpack array and no more.
	 * @return array The message.
	 * @throws ProtocolException If the payload is not exactly that.
	 */
	public function decode( string $payload ): array;
}
