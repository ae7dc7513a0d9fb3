<?php
/**
 * One call: a request out, its reply in.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Makes calls over a connection so that no call ever gets another call's reply: any unexpected message closes the
 * connection.
 */
final class Caller {

	/** How much of the time that the daemon assumes may be over before the request names the time that is left, in milliseconds. */
	private const SLACK_MS = 100;

	/**
	 * The connection.
	 *
	 * @var Connection
	 */
	private Connection $connection;

	/**
	 * The codec.
	 *
	 * @var Codec
	 */
	private Codec $codec;

	/**
	 * The breaker.
	 *
	 * @var Breaker
	 */
	private Breaker $breaker;

	/**
	 * Gets what no exception tells the caller; null: nothing does.
	 *
	 * @var \Psr\Log\LoggerInterface|null
	 */
	private ?\Psr\Log\LoggerInterface $logger;

	/**
	 * Takes the parts of a call.
	 *
	 * @param Connection                    $connection The connection.
	 * @param Codec                         $codec      The codec.
	 * @param Breaker                       $breaker    The breaker.
	 * @param \Psr\Log\LoggerInterface|null $logger     Gets what no exception tells the caller.
	 */
	public function __construct(
		Connection $connection,
		Codec $codec,
		Breaker $breaker,
		?\Psr\Log\LoggerInterface $logger = null
	) {
		$this->connection = $connection;
		$this->codec      = $codec;
		$this->breaker    = $breaker;
		$this->logger     = $logger;
	}

	/**
	 * Makes a call.
	 *
	 * @param Request       $request  The request. A change has a request id.
	 * @param Deadline      $deadline When the call ends; its operation is the method.
	 * @param string        $read     The method of Result that makes the return value of the result's map.
	 * @param callable|null $progress Called with the numbers done and in total of a progress message.
	 * @return mixed The value of that method.
	 * @throws TicketdException If the call fails.
	 */
	public function call( Request $request, Deadline $deadline, string $read, ?callable $progress = null ) {
		try {
			$this->breaker->pass();
			$value = $this->attempts( $request, $deadline, $read, $progress );
			$this->breaker->close();
			return $value;
		} catch ( TicketdException $e ) {
			if ( $e instanceof TimeoutException && ! in_array( $request->method(), Protocol::SLOW_METHODS, true ) ) {
				$this->breaker->open();
				$this->log( 'warning', '{method}: ticketd hangs; calls fail at once for a moment.', $request, $e );
			} elseif ( $e instanceof DaemonException || self::is_refusal( $e ) ) {
				$this->breaker->close();
			}
			$e->set_request( $request );
			throw $e;
		}
	}

	/**
	 * Whether no daemon listens; a hanging daemon still listens.
	 *
	 * @param TicketdException $e The failure of a call.
	 */
	private static function is_refusal( TicketdException $e ): bool {
		return $e instanceof ConnectException && 'unavailable' === $e->reason();
	}

	/**
	 * Sends a request and waits for its reply. If the connection breaks, as in a restart of the daemon, the request
	 * is sent once more: a request id, or the nature of the call, makes two requests have the effect of one.
	 *
	 * @param Request       $request  The request.
	 * @param Deadline      $deadline When the call ends.
	 * @param string        $read     The method of Result that makes the return value of the result's map.
	 * @param callable|null $progress Called with the numbers done and in total of a progress message.
	 * @return mixed The value of that method.
	 * @throws TicketdException If the call fails.
	 */
	private function attempts( Request $request, Deadline $deadline, string $read, ?callable $progress ) {
		try {
			return $this->attempt( $request, $deadline, $read, $progress );
		} catch ( LostException $e ) {
			$this->log( 'notice', '{method}: ticketd hung up; the call is sent again.', $request, $e );
			try {
				return $this->attempt( $request, $deadline, $read, $progress );
			} catch ( TicketdException $again ) {
				// Without an answer of the daemon the first attempt may have been done, regardless of the second
				// attempt.
				$again->set_request( $request, $again->is_outage() );
				throw $again;
			}
		}
	}

	/**
	 * Logs what no exception tells the caller.
	 *
	 * @param string           $level   The level, a method of the logger.
	 * @param string           $text    The message.
	 * @param Request          $request The request.
	 * @param TicketdException $failure Why.
	 */
	private function log( string $level, string $text, Request $request, TicketdException $failure ): void {
		if ( null !== $this->logger ) {
			$this->logger->$level( $text, $failure->context( $request ) );
		}
	}

	/**
	 * Sends a request and waits for its reply.
	 *
	 * @param Request       $request  The request.
	 * @param Deadline      $deadline When the call ends.
	 * @param string        $read     The method of Result that makes the return value of the result's map.
	 * @param callable|null $progress Called with the numbers done and in total of a progress message.
	 * @return mixed The value of that method.
	 * @throws DaemonException If the daemon answers with an error.
	 */
	private function attempt( Request $request, Deadline $deadline, string $read, ?callable $progress ) {
		$id     = $this->connection->next_id();
		$params = self::params( $request, $deadline );
		$frame  = Connection::frame( $this->codec->encode_request( $id, $request->method(), $params ) );
		$value  = null;
		$error  = null;
		$clean  = false;
		try {
			$this->connection->send( $frame, $deadline );
			$reply = $this->reply( $id, $deadline, $progress );
			if ( null === $reply[2] ) {
				$value = Result::$read( $reply[3], $request->count() );
				$clean = true;
			} else {
				$error = DaemonException::from_wire( $reply[2] );
				$clean = 0 !== $reply[1] && true !== ( $reply[2]['closing'] ?? false );
			}
		} finally {
			// After any exception, from here or from a callback: an unread reply must not meet the next call.
			if ( ! $clean || $this->connection->has_unread() ) {
				$this->connection->close();
			}
		}
		if ( null !== $error ) {
			throw $error;
		}
		return $value;
	}

	/**
	 * The parameters of a request, with the remaining time: the daemon answers before its end. The daemon's default
	 * is not sent, so that this client also works with a daemon that does not know the parameter.
	 *
	 * @param Request  $request  The request.
	 * @param Deadline $deadline When the call ends.
	 */
	private static function params( Request $request, Deadline $deadline ): array {
		$left_ms    = min( max( 1, intdiv( $deadline->remaining_us(), 1000 ) ), Protocol::MAX_TIMEOUT_MS );
		$assumed_ms = Protocol::TIMEOUT_MS;
		$is_assumed = $assumed_ms === $deadline->limit_ms() && $left_ms >= $assumed_ms - self::SLACK_MS;
		if ( $is_assumed || 'flush' === $request->method() ) {
			return $request->params();
		}
		return $request->params() + array( 'timeout_ms' => $left_ms );
	}

	/**
	 * Reads messages until the reply comes.
	 *
	 * @param int           $id       The request's id.
	 * @param Deadline      $deadline When the call ends.
	 * @param callable|null $progress Called with the numbers done and in total of a progress message.
	 * @return array The reply. Exactly one of the elements 2 (error) and 3 (result) is a map, the other is null.
	 * @throws ProtocolException If another message comes.
	 */
	private function reply( int $id, Deadline $deadline, ?callable $progress ): array {
		while ( true ) {
			$message = $this->codec->decode( $this->connection->receive( $deadline ) );
			if ( 2 === ( $message[0] ?? null ) && 'flush' === $deadline->operation() ) {
				self::report( $message, $id, $progress );
				continue;
			}
			// A map can have the right number of elements, too.
			if ( 1 !== ( $message[0] ?? null ) || array( 0, 1, 2, 3 ) !== array_keys( $message ) ) {
				throw new ProtocolException( 'a message that is not a reply' );
			}
			$error  = $message[2];
			$result = $message[3];
			if ( ! ( null === $error && is_array( $result ) ) && ! ( is_array( $error ) && null === $result ) ) {
				throw new ProtocolException( 'a reply without exactly one of error and result' );
			}
			// An error about the connection itself has no request to name: its id is 0.
			if ( $id !== $message[1] && ! ( 0 === $message[1] && null !== $error ) ) {
				throw new ProtocolException( 'the reply to another request' );
			}
			return $message;
		}
	}

	/**
	 * Reports a progress message.
	 *
	 * @param array         $message  The message.
	 * @param int           $id       The request's id.
	 * @param callable|null $progress Called with the numbers done and in total.
	 * @throws ProtocolException If the message is not progress of this request.
	 */
	private static function report( array $message, int $id, ?callable $progress ): void {
		$params = $message[2] ?? null;
		if ( 'flush' !== ( $message[1] ?? null ) || ! is_array( $params ) || ( $params['id'] ?? null ) !== $id ) {
			throw new ProtocolException( 'progress of another request' );
		}
		$done  = Result::integer( $params, 'done' );
		$total = Result::integer( $params, 'total' );
		if ( null !== $progress ) {
			$progress( $done, $total );
		}
	}
}
