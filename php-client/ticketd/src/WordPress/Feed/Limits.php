<?php
/**
 * When a process that follows the feed ends.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Feed;

defined( 'ABSPATH' ) || exit;

/**
 * Bounds the time, the events and the memory of a process. PHP and WordPress were not made for processes that live for
 * days, so that a runner ends in time and its supervisor starts it again. A signal ends the runner, too.
 */
final class Limits {

	/**
	 * When the time is over, in nanoseconds of the monotonic clock.
	 *
	 * @var int
	 */
	private int $until;

	/**
	 * Most events.
	 *
	 * @var int
	 */
	private int $events;

	/**
	 * Most memory in bytes; 0: unbounded.
	 *
	 * @var int
	 */
	private int $bytes;

	/**
	 * Whether a signal has asked for the end.
	 *
	 * @var bool
	 */
	private bool $is_stopped = false;

	/**
	 * Takes the bounds; the time begins.
	 *
	 * @param int $seconds The time in seconds.
	 * @param int $events  Most events.
	 * @param int $bytes   Most memory in bytes; 0: unbounded.
	 */
	public function __construct( int $seconds, int $events = PHP_INT_MAX, int $bytes = 0 ) {
		$this->until  = hrtime( true ) + $seconds * 1000000000;
		$this->events = $events;
		$this->bytes  = $bytes;
	}

	/**
	 * Ends at SIGTERM and SIGINT, once the present event is done. Without the extension pcntl the signals end PHP at
	 * once, and the event comes again.
	 */
	public function obey_signals(): void {
		if ( ! function_exists( 'pcntl_async_signals' ) || ! function_exists( 'pcntl_signal' ) ) {
			return;
		}
		pcntl_async_signals( true );
		foreach ( array( SIGTERM, SIGINT ) as $signal ) {
			pcntl_signal( $signal, array( $this, 'stop' ) );
		}
	}

	/**
	 * Asks for the end.
	 */
	public function stop(): void {
		$this->is_stopped = true;
	}

	/**
	 * Whether a bound is reached.
	 *
	 * @param int $events How many events are done.
	 */
	public function reached( int $events ): bool {
		return $this->is_stopped
			|| $events >= $this->events
			|| hrtime( true ) >= $this->until
			|| ( 0 !== $this->bytes && memory_get_usage( true ) >= $this->bytes );
	}
}
