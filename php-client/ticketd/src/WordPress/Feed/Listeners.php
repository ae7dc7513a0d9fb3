<?php
/**
 * The plugins that follow the feed.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Feed;

use Ticketd\WordPress\Actor;

defined( 'ABSPATH' ) || exit;

/**
 * Calls the actions `ticketd_feed_event` and `ticketd_feed_updated` and the like for an event.
 */
final class Listeners {

	/** The kinds of event, each with an action of its own. */
	private const KINDS = array(
		'created',
		'updated',
		'deleted',
		'restated',
		'dropped',
		'erased',
		'snapshot',
		'gap',
		'reset',
		'test',
	);

	/**
	 * Whether a plugin follows the feed.
	 */
	public static function exist(): bool {
		foreach ( self::KINDS as $kind ) {
			if ( has_action( "ticketd_feed_$kind" ) ) {
				return true;
			}
		}
		return (bool) has_action( 'ticketd_feed_event' );
	}

	/**
	 * Tells the listeners of an event. Changes that they make say `feed`.
	 *
	 * @param array $event The event.
	 */
	public static function tell( array $event ): void {
		Actor::within(
			'feed',
			static function () use ( $event ): void {
				/**
				 * Fires for every event of the feed: for each change of a ticket by any client, once its revision is
				 * final. The first time that the events of one ticket come, they come in the order of their revisions;
				 * each comes at least once. Take an event whose revision is above the last that you took of that
				 * ticket; if `previous` is not that last one, read the ticket instead.
				 *
				 * A listener that throws gets the event three times; then the event becomes a letter. A listener must
				 * be done within a minute: afterwards another process may be given the same event.
				 *
				 * @param array $event `id`, `kind`, `ticket`, `revision`, `previous` (0: not known), `fields`, `was`
				 *                     (lacks what is not known), `omitted` (names of values that are left out), `by`,
				 *                     `via`, `at_us`, `recorded_us`, `delivery` (above 1: it may have come before).
				 */
				do_action( 'ticketd_feed_event', $event );
				/**
				 * Fires for the events of one kind, after `ticketd_feed_event`. The last part of the name is the kind:
				 * `created`, `updated`, `deleted`, `restated`, `dropped`, `erased`, `snapshot`, `gap`, `reset`, `test`.
				 *
				 * @param array $event As above.
				 */
				do_action( "ticketd_feed_{$event['kind']}", $event );
			}
		);
	}
}
