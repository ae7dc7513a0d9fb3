<?php
/**
 * The feed by WP-Cron.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Feed;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Plugin;

defined( 'ABSPATH' ) || exit;

/**
 * Brings the feed's events to the listeners every minute, where a plugin listens and the daemon has a feed. Where `wp
 * ticketd feed work` runs, the daemon gives WP-Cron nothing.
 */
final class Cron {

	/** The schedule's name. */
	private const SCHEDULE = 'ticketd_minute';

	/** Bounds of one run: it shares a process with the site's other tasks. */
	private const SECONDS = 20;
	private const EVENTS  = 200;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Adds the schedule.
	 *
	 * @param array $schedules The schedules by name.
	 */
	public function add_schedule( array $schedules ): array {
		$schedules[ self::SCHEDULE ] = array(
			'interval' => MINUTE_IN_SECONDS,
			'display'  => 'ticketd', // Translated texts are not at hand yet where this is asked for early.
		);
		return $schedules;
	}

	/**
	 * Makes sure that WP-Cron calls, where a plugin listens.
	 */
	public function schedule(): void {
		$is_wanted = $this->api->can( 'feed' ) && Listeners::exist();
		if ( $is_wanted && false === wp_next_scheduled( Plugin::FEED ) ) {
			wp_schedule_event( time(), self::SCHEDULE, Plugin::FEED );
		}
	}

	/**
	 * Follows the feed for a while. Without a listener it is the last time.
	 *
	 * @return array{events: int, letters: int}|\WP_Error|null What was done; null: no plugin listens.
	 */
	public function run() {
		if ( ! Listeners::exist() ) {
			wp_clear_scheduled_hook( Plugin::FEED );
			return null;
		}
		return ( new Runner( $this->api, new Limits( self::SECONDS, self::EVENTS ) ) )->run( false );
	}
}
