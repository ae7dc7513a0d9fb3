<?php
/**
 * The WP-CLI commands for the feed's letters.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\Client\Protocol;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Format;

defined( 'ABSPATH' ) || exit;

/**
 * Shows, retries or drops letters: events that a destination of the feed refuses. WordPress is the destination
 * "wordpress".
 */
final class FeedDeadCommand {

	/** The columns of the list. */
	private const COLUMNS = array(
		'id',
		'ticket',
		'revision',
		'kind',
		'since',
		'at',
		'tries',
		'held',
		'reason',
		'answer',
		'fields',
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
	 * Prints the events that a destination refuses, the oldest first. Those with "held" are still tried.
	 *
	 * ## OPTIONS
	 *
	 * <destination>
	 * : The destination's name.
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
	 *   - ids
	 * ---
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed dead list wordpress --fields=id,ticket,reason
	 *
	 * @subcommand list
	 *
	 * @param string[] $args       The name.
	 * @param array    $assoc_args Options.
	 */
	public function list_( array $args, array $assoc_args ): void {
		$is_json = 'json' === ( $assoc_args['format'] ?? '' );
		$rows    = array();
		$after   = 0;
		do {
			$letters = $this->api->feed_dead_list( $args[0], $after, Protocol::MAX_TICKETS );
			Output::fail_on_error( $letters );
			foreach ( $letters as $letter ) {
				$after  = $letter['id'];
				$fields = (object) Format::fields( $letter['fields'] );
				$rows[] = array(
					'since'  => gmdate( 'Y-m-d H:i:s', intdiv( $letter['since_us'], 1000000 ) ),
					'at'     => gmdate( 'Y-m-d H:i:s', intdiv( $letter['at_us'], 1000000 ) ),
					'held'   => $is_json ? $letter['held'] : (int) $letter['held'],
					'fields' => $is_json ? $fields : wp_json_encode( $fields ),
				) + $letter;
			}
		} while ( array() !== $letters ); // A page may be short, where its letters are long.
		if ( array() === $rows ) {
			$this->fail_without( $args[0] );
		}
		Output::rows( $rows, $assoc_args, self::COLUMNS );
	}

	/**
	 * Sends letters again.
	 *
	 * ## OPTIONS
	 *
	 * <destination>
	 * : The destination's name.
	 *
	 * [<id>...]
	 * : The letters.
	 *
	 * [--all]
	 * : Every letter that is given up.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed dead retry wordpress --all
	 *
	 * @param string[] $args       The name and the letters' ids.
	 * @param array    $assoc_args Options.
	 */
	public function retry( array $args, array $assoc_args ): void {
		$name  = array_shift( $args );
		$ids   = self::ids( $args, $assoc_args );
		$count = $this->api->feed_dead_retry( $name, $ids );
		$this->fail_without_letters( $name, $ids, $count );
		/* translators: %d: number of events */
		$text = _n( '%d event is sent again.', '%d events are sent again.', $count, 'ticketd' );
		\WP_CLI::success( sprintf( $text, $count ) );
	}

	/**
	 * Drops letters for good: the destination does not get these events.
	 *
	 * ## OPTIONS
	 *
	 * <destination>
	 * : The destination's name.
	 *
	 * [<id>...]
	 * : The letters.
	 *
	 * [--all]
	 * : Every letter that is given up.
	 *
	 * [--yes]
	 * : Do not ask.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd feed dead drop wordpress 17 --yes
	 *
	 * @param string[] $args       The name and the letters' ids.
	 * @param array    $assoc_args Options.
	 */
	public function drop( array $args, array $assoc_args ): void {
		$name = array_shift( $args );
		$ids  = self::ids( $args, $assoc_args );
		\WP_CLI::confirm( __( 'Drop these events for good?', 'ticketd' ), $assoc_args );
		$count = $this->api->feed_dead_drop( $name, $ids );
		$this->fail_without_letters( $name, $ids, $count );
		/* translators: %d: number of events */
		$text = _n( '%d event is dropped.', '%d events are dropped.', $count, 'ticketd' );
		\WP_CLI::success( sprintf( $text, $count ) );
	}

	/**
	 * Ends the command where the daemon refused it, or found none of what was meant.
	 *
	 * @param string        $name  The destination's name.
	 * @param int[]|null    $ids   The letters that were meant; null: all.
	 * @param int|\WP_Error $count How many the daemon found.
	 */
	private function fail_without_letters( string $name, ?array $ids, $count ): void {
		Output::fail_on_error( $count );
		if ( 0 !== $count ) {
			return;
		}
		$this->fail_without( $name );
		if ( null !== $ids ) {
			/* translators: %s: ids of letters */
			\WP_CLI::error( sprintf( __( 'No such letter: %s', 'ticketd' ), implode( ', ', $ids ) ) );
		}
	}

	/**
	 * Ends the command where the feed has no such destination.
	 *
	 * @param string $name The destination's name.
	 */
	private function fail_without( string $name ): void {
		$feed = $this->api->feed_status();
		Output::fail_on_error( $feed );
		if ( ! in_array( $name, array_column( $feed['destinations'], 'name' ), true ) ) {
			/* translators: %s: name of a destination */
			\WP_CLI::error( sprintf( __( 'No such destination: %s', 'ticketd' ), $name ) );
		}
	}

	/**
	 * Which letters are meant.
	 *
	 * @param string[] $args       Letters' ids.
	 * @param array    $assoc_args Options.
	 * @return int[]|null Null: all.
	 */
	private static function ids( array $args, array $assoc_args ): ?array {
		if ( ( array() === $args ) !== isset( $assoc_args['all'] ) ) {
			\WP_CLI::error( __( 'Give ids, or --all.', 'ticketd' ) );
		}
		return array() === $args ? null : Input::letters( $args );
	}
}
