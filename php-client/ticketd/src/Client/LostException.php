<?php
/**
 * A connection that ended before the reply.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The daemon hung up before it answered. The reason is `lost`; the call may have been done.
 */
final class LostException extends TicketdException {

	/**
	 * Makes the exception.
	 *
	 * @param string $operation The method that was called.
	 */
	public function __construct( string $operation ) {
		parent::__construct(
			'lost',
			sprintf(
				'ticketd hung up before it answered "%s"; it may be done. Repeat it only under its request id.',
				$operation
			),
			true,
			true
		);
	}
}
