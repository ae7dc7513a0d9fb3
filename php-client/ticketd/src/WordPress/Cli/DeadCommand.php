<?php
/**
 * The WP-CLI commands for dead letters.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\Client\Protocol;
use Ticketd\WordPress\Api;

defined( 'ABSPATH' ) || exit;

/**
 * Shows, retries or drops dead letters: changes that MySQL rejects.
 */
final class DeadCommand {

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
	 * Prints the dead letters.
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
	 *   - ids
	 * ---
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd dead list --fields=id,reason
	 *
	 * @subcommand list
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function list_( array $args, array $assoc_args ): void {
		$rows  = array();
		$after = 0;
		do {
			$letters = $this->api->dead_list( $after, Protocol::MAX_TICKETS );
			Output::fail_on_error( $letters );
			foreach ( $letters as $letter ) {
				$after  = $letter['id'];
				$rows[] = array(
					'id'       => $letter['id'],
					'revision' => $letter['revision'] ?? 0,
					'at'       => gmdate( 'Y-m-d H:i:s', intdiv( (int) ( $letter['at_ms'] ?? 0 ), 1000 ) ),
					'code'     => $letter['code'] ?? 0,
					'reason'   => $letter['reason'] ?? '',
					'deleted'  => true === ( $letter['deleted'] ?? false ) ? 1 : 0,
					'fields'   => wp_json_encode( (object) $letter['fields'] ),
				);
			}
			$is_last = count( $letters ) < Protocol::MAX_TICKETS;
		} while ( ! $is_last );
		Output::rows( $rows, $assoc_args, array( 'id', 'revision', 'at', 'code', 'reason', 'deleted', 'fields' ) );
	}

	/**
	 * Retries dead letters: their changes are pending again. What MySQL still rejects becomes a dead letter again.
	 *
	 * ## OPTIONS
	 *
	 * [<id>...]
	 * : The tickets.
	 *
	 * [--all]
	 * : Every dead letter.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd dead retry 812
	 *     $ wp ticketd dead retry --all
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function retry( array $args, array $assoc_args ): void {
		$count = $this->api->dead_retry( self::ids( $args, $assoc_args ) );
		Output::fail_on_error( $count );
		/* translators: %d: number of tickets */
		$text = _n( '%d ticket is pending again.', '%d tickets are pending again.', $count, 'ticketd' );
		\WP_CLI::success( sprintf( $text, $count ) );
	}

	/**
	 * Drops the changes of dead letters for good: the tickets then have MySQL's values.
	 *
	 * ## OPTIONS
	 *
	 * [<id>...]
	 * : The tickets.
	 *
	 * [--all]
	 * : Every dead letter.
	 *
	 * [--yes]
	 * : Do not ask.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd dead drop 812 --yes
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function drop( array $args, array $assoc_args ): void {
		$ids = self::ids( $args, $assoc_args );
		\WP_CLI::confirm( __( 'Drop these dead letters for good?', 'ticketd' ), $assoc_args );
		$count = $this->api->dead_drop( $ids );
		Output::fail_on_error( $count );
		/* translators: %d: number of tickets */
		$text = _n(
			'The rejected changes of %d ticket are dropped.',
			'The rejected changes of %d tickets are dropped.',
			$count,
			'ticketd'
		);
		\WP_CLI::success( sprintf( $text, $count ) );
	}

	/**
	 * Which dead letters are meant.
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 * @return int[]|null Null: all.
	 */
	private static function ids( array $args, array $assoc_args ): ?array {
		if ( ( array() === $args ) !== isset( $assoc_args['all'] ) ) {
			\WP_CLI::error( __( 'Give ids, or --all.', 'ticketd' ) );
		}
		return array() === $args ? null : Input::ids( $args );
	}
}
