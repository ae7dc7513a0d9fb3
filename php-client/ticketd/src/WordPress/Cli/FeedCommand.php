<?php
/**
 * The WP-CLI commands for the feed.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Feed\Limits;
use Ticketd\WordPress\Feed\Listeners;
use Ticketd\WordPress\Feed\Runner;

defined( 'ABSPATH' ) || exit;

/**
 * Follows the feed: every change of a ticket, whoever made it.
 */
final class FeedCommand {

	/** The columns of the list. */
	private const COLUMNS = array(
		'name',
		'kind',
		'state',
		'lag_events',
		'lag_ms',
		'held',
		'letters',
		'gaps',
		'sent',
		'reason',
	);

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
	 * Prints the feed's destinations: their states, what they lag behind, what they refused.
	 *
	 * ## OPTIONS
	 *
	 * [--field=<field>]
	 * : Print the values of this field alone.
	 *
	 * [--fields=<fields>]
	 * : The fields to print, separated by commas.
	 *
	 * [--format=<format>]
	 * : The output format.
	 * ---
	 * default: table
	 * options:
	 *   - table
	 *   - json
	 *   - csv
	 *   - yaml
	 *   - count
	 * ---
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed list
	 *
	 * @subcommand list
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function list_( array $args, array $assoc_args ): void {
		$feed = $this->api->feed_status();
		Output::fail_on_error( $feed );
		Output::rows( $feed['destinations'], $assoc_args, self::COLUMNS );
		if ( ! $feed['enabled'] ) {
			\WP_CLI::warning( __( 'The feed of this site is switched off.', 'ticketd' ) );
		}
	}

	/**
	 * Sends a test event to a destination.
	 *
	 * ## OPTIONS
	 *
	 * <destination>
	 * : The destination's name.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed test crm
	 *
	 * @param string[] $args The name.
	 */
	public function test( array $args ): void {
		$this->control( $args[0], 'test' );
		\WP_CLI::success( __( 'A test event is sent.', 'ticketd' ) );
	}

	/**
	 * Sends no events to a destination until it is resumed. They wait, up to the feed's bound.
	 *
	 * ## OPTIONS
	 *
	 * <destination>
	 * : The destination's name.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed pause crm
	 *
	 * @param string[] $args The name.
	 */
	public function pause( array $args ): void {
		$this->control( $args[0], 'pause' );
		\WP_CLI::success( __( 'The destination is paused.', 'ticketd' ) );
	}

	/**
	 * Sends events to a destination again.
	 *
	 * ## OPTIONS
	 *
	 * <destination>
	 * : The destination's name.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed resume crm
	 *
	 * @param string[] $args The name.
	 */
	public function resume( array $args ): void {
		$this->control( $args[0], 'resume' );
		\WP_CLI::success( __( 'The destination gets events again.', 'ticketd' ) );
	}

	/**
	 * Does something with a destination.
	 *
	 * @param string $name   Its name.
	 * @param string $action What.
	 */
	private function control( string $name, string $action ): void {
		Output::fail_on_error( $this->api->feed_control( $name, $action ) );
	}

	/**
	 * Calls the listeners of this site (ticketd_feed_event and the like) for every event, as soon as it is there.
	 *
	 * The command ends with the time or the memory that it may use; a service such as ticketd-feed@.service starts it
	 * again. SIGTERM ends it after the present event. Where it runs, WP-Cron gets no events; a second process waits.
	 *
	 * A listener that fails three times at an event makes it a letter, and the next event's turn comes.
	 *
	 * ## OPTIONS
	 *
	 * [--seconds=<seconds>]
	 * : End after this time.
	 * ---
	 * default: 3600
	 * ---
	 *
	 * [--memory=<megabytes>]
	 * : End with so much memory in use.
	 * ---
	 * default: 128
	 * ---
	 *
	 * [--once]
	 * : End where there is no further event.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed work
	 *     $ wp ticketd feed work --once
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function work( array $args, array $assoc_args ): void {
		if ( ! Listeners::exist() ) {
			\WP_CLI::error( __( 'No plugin follows the feed: none has a listener of ticketd_feed_event.', 'ticketd' ) );
		}
		$limits = new Limits(
			Input::seconds( (string) ( $assoc_args['seconds'] ?? HOUR_IN_SECONDS ) ),
			PHP_INT_MAX,
			MB_IN_BYTES * Input::megabytes( (string) ( $assoc_args['memory'] ?? 128 ) )
		);
		$limits->obey_signals();
		$done = ( new Runner( $this->api, $limits ) )->run(
			! isset( $assoc_args['once'] ),
			static function ( string $text ): void {
				\WP_CLI::warning( $text );
			}
		);
		Output::fail_on_error( $done );
		/* translators: 1, 2: numbers of events */
		$text = __( 'Events: %1$d, letters among them: %2$d.', 'ticketd' );
		Output::note( sprintf( $text, $done['events'], $done['letters'] ) );
	}
}
