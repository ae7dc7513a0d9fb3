<?php
/**
 * A daemon that cannot be reached.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * No connection could be made, so no request was sent. The reason is `unavailable`, or `overloaded` if the daemon
 * runs but its listen backlog is full.
 */
final class ConnectException extends TicketdException {

	/** EAGAIN: the error of a connect to a Unix socket with a full backlog. */
	private const EAGAIN = 11;

	/** EACCES: the socket's mode does not let this user in. */
	private const EACCES = 13;

	/**
	 * Makes the exception.
	 *
	 * @param string $path  The socket's path.
	 * @param int    $errno The system's error number.
	 * @param string $cause The system's error text.
	 */
	public function __construct( string $path, int $errno, string $cause ) {
		$advice = 'Check that the daemon runs and listens there.';
		if ( self::EAGAIN === $errno ) {
			$cause  = 'its listen backlog is full';
			$advice = 'Try again in a moment.';
		} elseif ( self::EACCES === $errno ) {
			$advice = 'Put the user that PHP runs as into the group that owns the socket.';
		}
		parent::__construct(
			self::EAGAIN === $errno ? 'overloaded' : 'unavailable',
			sprintf( 'ticketd cannot be reached at %s: %s. %s', $path, $cause, $advice ),
			true
		);
	}
}
