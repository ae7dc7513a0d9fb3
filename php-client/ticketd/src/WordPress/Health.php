<?php
/**
 * The daemon's state.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Asks for the daemon's status once in a request, for all parts of a page.
 */
final class Health {

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The status, or why it is missing; null before it was asked for.
	 *
	 * @var array|\WP_Error|null
	 */
	private $status = null;

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * The feed's state, or why it is missing; null before it was asked for.
	 *
	 * @var array|\WP_Error|null
	 */
	private $feed = null;

	/**
	 * Asks again what the daemon can do, for who has just changed its configuration and looks.
	 */
	public function learn(): void {
		$this->api->learn();
	}

	/**
	 * Whether the site has a feed or a history, as far as it knows.
	 */
	public function has_feed(): bool {
		return $this->api->can( 'feed_status' ) && ( $this->api->can( 'feed' ) || $this->api->can( 'history' ) );
	}

	/**
	 * The feed's state.
	 *
	 * @return array|\WP_Error|null Null where the site has neither a feed nor a history.
	 */
	public function feed() {
		if ( null === $this->feed && $this->has_feed() ) {
			$this->feed = $this->api->feed_status();
		}
		return $this->feed;
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
	 * A complete status: an older daemon may send less.
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
}
