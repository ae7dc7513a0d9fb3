<?php
/**
 * A call that was refused before sending.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The arguments cannot be sent. The reason is `invalid`, or `too_large` for a request beyond the frame's limit.
 */
final class InputException extends TicketdException {

	/**
	 * Makes the exception.
	 *
	 * @param string $message The fault and the operator's action.
	 * @param string $field   The field or parameter to blame; empty: unknown.
	 * @param string $reason  `invalid` or `too_large`.
	 */
	public function __construct( string $message, string $field = '', string $reason = 'invalid' ) {
		parent::__construct( $reason, $message, false, false, $field );
	}
}
