<?php
/**
 * An error that the daemon answered with.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The daemon's refusal. The reason is the protocol's error code.
 */
final class DaemonException extends TicketdException {

	/**
	 * The ticket's revision in a conflict; 0 otherwise.
	 *
	 * @var int
	 */
	private int $revision = 0;

	/**
	 * The revision that the ticket is at, of a `conflict`; 0 for other errors.
	 */
	public function revision(): int {
		return $this->revision;
	}

	/**
	 * Makes the exception from the error map of a reply.
	 *
	 * @param array $error The decoded map.
	 * @throws ProtocolException If the map does not follow the protocol.
	 */
	public static function from_wire( array $error ): self {
		$code  = $error['code'] ?? null;
		$field = $error['field'] ?? '';
		$text  = $error['message'] ?? null;
		if ( ! is_string( $code ) || '' === $code || ! is_string( $text ) || ! is_string( $field ) ) {
			throw new ProtocolException( 'an error without code or message' );
		}
		// "unavailable" is the one refusal whose outcome the daemon itself may not know.
		$is_retryable = true === ( $error['retryable'] ?? false );
		$failure      = new self( $code, $text, $is_retryable, 'unavailable' === $code, $field );

		$failure->revision = is_int( $error['revision'] ?? null ) ? $error['revision'] : 0;
		return $failure;
	}
}
