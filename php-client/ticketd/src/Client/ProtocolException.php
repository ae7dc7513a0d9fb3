<?php
/**
 * An answer that does not follow the protocol.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The answer is not a reply to the request. The reason is `protocol`; the call may have been done.
 */
final class ProtocolException extends TicketdException {

	/**
	 * Makes the exception.
	 *
	 * @param string $what What came instead of what was expected.
	 */
	public function __construct( string $what ) {
		parent::__construct(
			'protocol',
			sprintf(
				'The answer is none of ticketd\'s: %s. Check that a daemon that speaks version %d listens there.',
				$what,
				Protocol::VERSION
			),
			false,
			true
		);
	}
}
