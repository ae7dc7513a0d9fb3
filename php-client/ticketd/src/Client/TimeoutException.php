<?php
/**
 * A deadline that passed.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The call's deadline passed. The reason is `timeout`. After the whole request was sent, the call may have been done.
 */
final class TimeoutException extends TicketdException {

	/**
	 * Makes the exception.
	 *
	 * @param Deadline $deadline The deadline that passed.
	 * @param bool     $sent     Whether the whole request had been sent.
	 */
	public function __construct( Deadline $deadline, bool $sent ) {
		parent::__construct(
			'timeout',
			sprintf(
				$sent
					? 'ticketd did not answer "%s" within %d ms; it may be done. Repeat it only under its request id.'
					: 'ticketd did not take "%s" within %d ms; nothing was done. Try again.',
				$deadline->operation(),
				$deadline->limit_ms()
			),
			true,
			$sent
		);
	}
}
