<?php
/**
 * How the daemon is.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\DropIn;

defined( 'ABSPATH' ) || exit;

/**
 * Asks for the daemon's status once in a request, however many parts of a page show it, and says what of it somebody
 * must act on.
 */
final class Health {

	/** Age from which changes that wait are a matter to act on, in seconds, unless the filter says otherwise. */
	private const LAG_SECONDS = 900;

	/**
	 * What calls the daemon.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The status, or why there is none; null before it was asked for.
	 *
	 * @var array|\WP_Error|null
	 */
	private $status = null;

	/**
	 * Takes what calls the daemon.
	 *
	 * @param Api $api What calls the daemon.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * The daemon's status, with all keys that the screens show.
	 *
	 * @return array|\WP_Error
	 */
	public function status() {
		if ( null === $this->status ) {
			$status       = $this->api->status();
			$this->status = is_wp_error( $status ) ? $status : self::complete( $status );
		}
		return $this->status;
	}

	/**
	 * A status in which nothing is missing: an older daemon may say less.
	 *
	 * @param array $status What the daemon said.
	 */
	public static function complete( array $status ): array {
		$numbers = array( 'uptime_ms', 'pid', 'dirty', 'dead', 'oldest_dirty_ms' );
		$numbers = array_merge( $numbers, array( 'flushed_rows', 'flush_statements', 'flush_errors' ) );
		$place   = array(
			'state'    => '',
			'since_ms' => 0,
			'reason'   => '',
		);
		$parts   = array(
			'connections' => array_fill_keys( array( 'open', 'limit' ), 0 ),
			'store'       => $place,
			'sink'        => $place,
			'journal'     => array_fill_keys(
				array( 'entries', 'bytes', 'oldest_ms', 'replayed', 'segments', 'requests' ),
				0
			),
			'spool'       => array_fill_keys( array( 'files', 'bytes', 'oldest_ms', 'taken', 'bad' ), 0 ),
		);
		foreach ( $parts as $name => $part ) {
			$status[ $name ] = (array) ( $status[ $name ] ?? array() ) + $part;
		}
		return $status + array_fill_keys( $numbers, 0 ) + array( 'warnings' => array() )
			+ array_fill_keys( array( 'version', 'site', 'backend', 'ack', 'strategy' ), '' );
	}

	/**
	 * What somebody must act on.
	 *
	 * @return array<int, array{0: string, 1: string}> Pairs of `error` or `warning`, and what it is.
	 */
	public function alerts(): array {
		$status = $this->status();
		if ( is_wp_error( $status ) ) {
			$text = __( 'ticketd does not answer. Changes of tickets wait on this server until it does.', 'ticketd' );
			return array( array( 'error', $text . ' ' . $status->get_error_message() ) );
		}
		$alerts = self::places( $status );
		$lag    = self::lag_seconds();
		if ( array() === $alerts && $status['oldest_dirty_ms'] > 1000 * $lag ) {
			/* translators: %s: a time, e.g. "20 mins" */
			$text     = __( 'The oldest change of a ticket has been waiting for the database for %s.', 'ticketd' );
			$alerts[] = array( 'warning', sprintf( $text, Format::duration( $status['oldest_dirty_ms'] ) ) );
		}
		if ( $status['dead'] > 0 ) {
			/* translators: %s: number of tickets */
			$text     = _n(
				'The database refuses the changes of %s ticket.',
				'The database refuses the changes of %s tickets.',
				$status['dead'],
				'ticketd'
			);
			$alerts[] = array( 'error', sprintf( $text, number_format_i18n( $status['dead'] ) ) );
		}
		if ( $status['spool']['bad'] > 0 ) {
			$bad = $status['spool']['bad'];
			/* translators: %s: number of changes */
			$text     = _n(
				'%s change could not be used and was set aside in the spool\'s folder "bad".',
				'%s changes could not be used and were set aside in the spool\'s folder "bad".',
				$bad,
				'ticketd'
			);
			$alerts[] = array( 'error', sprintf( $text, number_format_i18n( $bad ) ) );
		}
		foreach ( $status['warnings'] as $warning ) {
			$alerts[] = array( 'warning', (string) $warning );
		}
		if ( '' !== DropIn::problem() ) {
			$alerts[] = array( 'warning', DropIn::problem() );
		}
		return $alerts;
	}

	/**
	 * Age from which changes that wait are a matter to act on, in seconds.
	 */
	public static function lag_seconds(): int {
		/**
		 * Filters from which age on changes that wait for the database are reported. With a strategy that waits long it
		 * should be above that time.
		 *
		 * @param int $seconds The age in seconds.
		 */
		return (int) apply_filters( 'ticketd_lag_seconds', self::LAG_SECONDS );
	}

	/**
	 * What is down.
	 *
	 * @param array $status The status.
	 * @return array[] Alerts.
	 */
	private static function places( array $status ): array {
		$alerts = array();
		if ( 'up' !== $status['store']['state'] ) {
			/* translators: 1: a time, e.g. "5 mins", 2: the reason */
			$text     = __( 'The store of changes has not answered for %1$s: %2$s', 'ticketd' );
			$alerts[] = array( 'error', self::filled( $text, $status['store'] ) );
		}
		if ( 'paused' === $status['sink']['state'] ) {
			/* translators: 1: a time, e.g. "5 mins", 2: the reason */
			$text     = __( 'The table of tickets has not been usable for %1$s: %2$s', 'ticketd' );
			$alerts[] = array( 'error', self::filled( $text, $status['sink'] ) );
		} elseif ( 'down' === $status['sink']['state'] ) {
			/* translators: 1: a time, e.g. "5 mins", 2: the reason */
			$text     = __( 'The database has not taken changes for %1$s: %2$s', 'ticketd' );
			$alerts[] = array( 'error', self::filled( $text, $status['sink'] ) );
		}
		return $alerts;
	}

	/**
	 * A text about a place.
	 *
	 * @param string $text  The text, with places for time and reason.
	 * @param array  $place The place.
	 */
	private static function filled( string $text, array $place ): string {
		return sprintf( $text, Format::duration( $place['since_ms'] ), Diagnostics::masked( $place['reason'] ) );
	}
}
