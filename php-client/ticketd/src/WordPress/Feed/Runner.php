<?php
/**
 * Brings the feed's events to the listeners.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Feed;

use Ticketd\WordPress\Api;

defined( 'ABSPATH' ) || exit;

/**
 * Reads events from the daemon and calls the listeners, one event after the other, each acknowledged before the next.
 * The daemon keeps the position, and gives it to one runner at a time: a lease, which each acknowledgement renews.
 *
 * What goes wrong:
 *
 * - A listener throws: three tries, then the event becomes a letter with the message, and the next event's turn comes.
 * - A listener ends the process: the daemon has no acknowledgement and delivers the event again, to the next runner;
 *   the sixth time it becomes a letter instead.
 * - The process is killed: the same, after the lease has ended.
 */
final class Runner {

	/** The name under which the daemon keeps WordPress' position. */
	public const CONSUMER = 'wordpress';

	/** Events that are read at a time. */
	private const BATCH = 50;

	/** How long the daemon waits for an event, in milliseconds. */
	private const WAIT_MS = 1500;

	/** How long the daemon keeps the position for a runner that it does not hear of, in milliseconds. */
	private const LEASE_MS = 60000;

	/** Pauses before the second and the third try, in seconds. */
	private const PAUSES = array( 1, 3 );

	/** Pause where another process has the lease, or the daemon is unreachable, in seconds. */
	private const RETRY = 2;

	/** Failures that pass by themselves: the daemon is away, or another process follows the feed. */
	private const PASSING = array(
		'ticketd_feed_busy',
		'ticketd_conflict',
		'ticketd_lost',
		'ticketd_overloaded',
		'ticketd_shutting_down',
		'ticketd_timeout',
		'ticketd_unavailable',
	);

	/** Most bytes of a letter's reason. */
	private const MOST_REASON = 4096;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * When and why to end.
	 *
	 * @var Limits
	 */
	private Limits $limits;

	/**
	 * Names this process to the daemon.
	 *
	 * @var string
	 */
	private string $token;

	/**
	 * Waits so many seconds.
	 *
	 * @var callable
	 */
	private $pause;

	/**
	 * Whether the daemon may hold the lease for this process.
	 *
	 * @var bool
	 */
	private bool $is_leased = false;

	/**
	 * Events that were acknowledged, and those of them that became letters.
	 *
	 * @var array{events: int, letters: int}
	 */
	private array $done = array(
		'events'  => 0,
		'letters' => 0,
	);

	/**
	 * Takes the parts.
	 *
	 * @param Api           $api    The daemon's API.
	 * @param Limits        $limits When to end.
	 * @param callable|null $pause  Waits so many seconds; null: sleeps.
	 */
	public function __construct( Api $api, Limits $limits, ?callable $pause = null ) {
		$this->api    = $api;
		$this->limits = $limits;
		$this->token  = bin2hex( random_bytes( 16 ) );
		$this->pause  = $pause ?? 'sleep';
	}

	/**
	 * Follows the feed until a limit is reached.
	 *
	 * @param bool          $is_patient Whether to wait: for events, for another process that has the lease, for an
	 *                                  unreachable daemon. False: it ends where there is nothing to do.
	 * @param callable|null $note       Gets a text where the runner waits for another process or for the daemon.
	 * @return array{events: int, letters: int}|\WP_Error Events that were acknowledged, and those of them that became
	 *         letters; or why the feed cannot be read.
	 */
	public function run( bool $is_patient, ?callable $note = null ) {
		register_shutdown_function( array( $this, 'release' ) );
		$said = '';
		while ( ! $this->limits->reached( $this->done['events'] ) ) {
			$events = $this->next( $is_patient );
			$failed = is_wp_error( $events ) ? $events : $this->deliver_all( $events );
			if ( null === $failed ) {
				if ( array() === $events && ! $is_patient ) {
					break;
				}
				$said = '';
				continue;
			}
			if ( ! $is_patient || ! in_array( $failed->get_error_code(), self::PASSING, true ) ) {
				$this->release();
				return $failed;
			}
			if ( null !== $note && $failed->get_error_message() !== $said ) {
				$said = $failed->get_error_message();
				$note( $said );
			}
			( $this->pause )( self::RETRY );
		}
		$this->release();
		return $this->done;
	}

	/**
	 * Gives the lease back, also where a listener ends the process: the next runner need not wait for its end.
	 */
	public function release(): void {
		if ( $this->is_leased ) {
			$this->is_leased = false;
			$this->api->feed_ack( self::CONSUMER, $this->token, array( 'release' => true ) );
		}
	}

	/**
	 * Reads the next events. What this process remembers of options and users may be old by then, and grows.
	 *
	 * @param bool $is_patient Whether the daemon waits for an event.
	 * @return array[]|\WP_Error
	 */
	private function next( bool $is_patient ) {
		if ( $is_patient && wp_cache_supports( 'flush_runtime' ) ) {
			wp_cache_flush_runtime();
		}
		$args = array(
			'limit'    => self::BATCH,
			'lease_ms' => self::LEASE_MS,
		) + ( $is_patient ? array( 'wait_ms' => self::WAIT_MS ) : array() );
		$page = $this->api->feed_read( self::CONSUMER, $this->token, $args );
		if ( is_wp_error( $page ) ) {
			return $page;
		}
		if ( $page['busy'] ) {
			return new \WP_Error( 'ticketd_feed_busy', __( 'Another process follows the feed.', 'ticketd' ) );
		}
		$this->is_leased = true;
		return $page['events'];
	}

	/**
	 * Brings events to the listeners, and acknowledges each.
	 *
	 * @param array[] $events The events.
	 * @return \WP_Error|null Why an event was not acknowledged; it comes again.
	 */
	private function deliver_all( array $events ): ?\WP_Error {
		foreach ( $events as $event ) {
			if ( $this->limits->reached( $this->done['events'] ) ) {
				return null;
			}
			$reason = $this->deliver( $event );
			$args   = array( 'cursor' => $event['cursor'] );
			if ( '' !== $reason ) {
				$args['refused'] = $reason;
			}
			$failed = $this->api->feed_ack( self::CONSUMER, $this->token, $args );
			if ( is_wp_error( $failed ) ) {
				return $failed;
			}
			++$this->done['events'];
			$this->done['letters'] += '' === $reason ? 0 : 1;
		}
		return null;
	}

	/**
	 * Brings an event to the listeners.
	 *
	 * @param array $event The event.
	 * @return string Empty if they have taken it; otherwise why they have not, at the last try.
	 */
	private function deliver( array $event ): string {
		unset( $event['cursor'] );
		$pauses = self::PAUSES;
		while ( true ) {
			try {
				Listeners::tell( $event );
				return '';
			} catch ( \Throwable $failure ) {
				$reason = sprintf(
					'%s: %s (%s:%d)',
					get_class( $failure ),
					$failure->getMessage(),
					$failure->getFile(),
					$failure->getLine()
				);
				$reason = substr( $reason, 0, self::MOST_REASON );
				$reason = 1 === preg_match( '//u', $reason ) ? $reason : preg_replace( '/[^ -~\n]/', '?', $reason );
				// phpcs:ignore WordPress.PHP.DevelopmentFunctions, Generic.PHP.ForbiddenFunctions -- The letter comes later.
				error_log( "ticketd: a listener of the feed failed at event {$event['id']}: $reason" );
			}
			if ( array() === $pauses ) {
				return $reason;
			}
			( $this->pause )( array_shift( $pauses ) );
		}
	}
}
