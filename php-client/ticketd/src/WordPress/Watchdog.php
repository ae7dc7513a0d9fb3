<?php
/**
 * The watchdog.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Checks every five minutes, by WP-Cron, whether pending changes are overdue, flushes them, and reports the result.
 * The daemon flushes by itself; the watchdog is for the day when it does not.
 */
final class Watchdog {

	/** The hook that WP-Cron calls. */
	public const HOOK = 'ticketd_watchdog';

	/** Option that holds the last report. */
	public const OPTION = 'ticketd_watchdog_report';

	/** The schedule's name. */
	private const SCHEDULE = 'ticketd_five_minutes';

	/** Time between two looks, in seconds. */
	private const PERIOD = 300;

	/** Looks in a row with the same trouble after which a notice is shown. */
	private const PATIENCE = 2;

	/** Time that the flush has, in milliseconds. */
	private const FLUSH_MS = 20000;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * Takes the parts.
	 *
	 * @param Api      $api      The daemon's API.
	 * @param Settings $settings The settings.
	 */
	public function __construct( Api $api, Settings $settings ) {
		$this->api      = $api;
		$this->settings = $settings;
	}

	/**
	 * Adds the hooks.
	 */
	public function register(): void {
		// phpcs:ignore WordPress.WP.CronInterval -- A look every five minutes costs one call.
		add_filter( 'cron_schedules', array( $this, 'add_schedule' ) );
		add_action( 'init', array( $this, 'schedule' ) );
		add_action( self::HOOK, array( $this, 'look' ) );
		add_action( 'admin_notices', array( $this, 'show' ) );
	}

	/**
	 * Adds the schedule.
	 *
	 * @param array $schedules The schedules by name.
	 */
	public function add_schedule( array $schedules ): array {
		$schedules[ self::SCHEDULE ] = array(
			'interval' => self::PERIOD,
			'display'  => 'ticketd', // Translated texts are not at hand yet where this is asked for early.
		);
		return $schedules;
	}

	/**
	 * Makes sure that WP-Cron calls.
	 */
	public function schedule(): void {
		if ( false === wp_next_scheduled( self::HOOK ) ) {
			wp_schedule_event( time() + self::PERIOD, self::SCHEDULE, self::HOOK );
		}
	}

	/**
	 * Looks, flushes what is overdue, and reports.
	 *
	 * @return array{time: int, state: string, message: string, oldest_ms: int, flushed: int, times: int} `state` is
	 *         `ok`, `flushed`, `failed` (there is something overdue that could not be flushed) or `away`; `times`
	 *         counts how many looks in a row found this state.
	 */
	public function look(): array {
		Meta\Adapter::autoload();
		if ( array() !== Meta\Adapter::descriptions() ) {
			Meta\Adapter::instance()->refresh();
		}
		$status = $this->api->status();
		if ( is_wp_error( $status ) ) {
			return $this->report( 'away', $status->get_error_message() );
		}
		$this->api->learn();
		$oldest_ms = (int) ( $status['oldest_dirty_ms'] ?? 0 );
		if ( $oldest_ms < $this->settings->overdue_seconds() * 1000 ) {
			return $this->report( 'ok', '', $oldest_ms );
		}
		$result = $this->api->flush( array(), null, self::FLUSH_MS );
		if ( is_wp_error( $result ) ) {
			return $this->report( 'failed', $result->get_error_message(), $oldest_ms );
		}
		return $this->report( 'flushed', '', $oldest_ms, $result['flushed'] );
	}

	/**
	 * Shows managers what is the matter.
	 */
	public function show(): void {
		$report = get_option( self::OPTION );
		if ( ! is_array( $report ) || $report['times'] < self::PATIENCE || ! current_user_can( 'ticketd_manage' ) ) {
			return;
		}
		// The report of a WP-Cron that has stopped is too old to be shown.
		if ( time() - $report['time'] > 2 * self::PERIOD ) {
			return;
		}
		if ( 'failed' === $report['state'] ) {
			/* translators: 1: a time span like "2 hours", 2: the reason */
			$text = __( 'Pending changes of tickets cannot be flushed; lag %1$s: %2$s', 'ticketd' );
			$age  = human_time_diff( $report['time'] - intdiv( $report['oldest_ms'], 1000 ), $report['time'] );
			$text = sprintf( $text, $age, $report['message'] );
		} elseif ( 'away' === $report['state'] ) {
			/* translators: %s: the reason */
			$text = __( 'ticketd does not answer; changes of tickets stay in the spool until it does: %s', 'ticketd' );
			$text = sprintf( $text, $report['message'] );
		} else {
			return;
		}
		printf( '<div class="notice notice-error"><p>%s</p></div>', esc_html( $text ) );
	}

	/**
	 * Remembers and tells what was found.
	 *
	 * @param string $state     The state.
	 * @param string $message   The trouble.
	 * @param int    $oldest_ms Age of the oldest change that waited, in milliseconds.
	 * @param int    $flushed   Tickets that were flushed.
	 */
	private function report( string $state, string $message, int $oldest_ms = 0, int $flushed = 0 ): array {
		$last   = get_option( self::OPTION );
		$report = array(
			'time'      => time(),
			'state'     => $state,
			'message'   => $message,
			'oldest_ms' => $oldest_ms,
			'flushed'   => $flushed,
			'times'     => is_array( $last ) && $last['state'] === $state ? $last['times'] + 1 : 1,
		);
		update_option( self::OPTION, $report, false );
		/**
		 * Fires when the watchdog has looked, for example to send a mail.
		 *
		 * @param array $report `time`, `state` (`ok`, `flushed`, `failed`, `away`), `message`, `oldest_ms`, `flushed`,
		 *                      and `times`: how many looks in a row found this state.
		 */
		do_action( 'ticketd_watchdog_report', $report );
		return $report;
	}
}
