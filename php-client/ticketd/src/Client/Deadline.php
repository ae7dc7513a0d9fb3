<?php
/**
 * An absolute deadline for a call.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The moment at which a call ends. The deadline covers connect, write and every read, because with a time-out per
 * read a peer that drips bytes could hold up a page without limit.
 */
final class Deadline {

	/**
	 * The moment, in nanoseconds of the monotonic clock.
	 *
	 * @var int
	 */
	private int $at_ns;

	/**
	 * The operation's name.
	 *
	 * @var string
	 */
	private string $operation;

	/**
	 * How much time was given, in milliseconds.
	 *
	 * @var int
	 */
	private int $limit_ms;

	/**
	 * Starts the clock.
	 *
	 * @param int    $limit_ms  Time given, in milliseconds; at least 1.
	 * @param string $operation The operation's name for error messages.
	 */
	public function __construct( int $limit_ms, string $operation ) {
		$this->limit_ms  = max( 1, $limit_ms );
		$this->operation = $operation;
		$this->at_ns     = hrtime( true ) + $this->limit_ms * 1000000;
	}

	/**
	 * Microseconds that are left; 0 or less once the moment has passed.
	 */
	public function remaining_us(): int {
		return intdiv( $this->at_ns - hrtime( true ), 1000 );
	}

	/**
	 * The operation's name.
	 */
	public function operation(): string {
		return $this->operation;
	}

	/**
	 * How much time was given, in milliseconds.
	 */
	public function limit_ms(): int {
		return $this->limit_ms;
	}
}
