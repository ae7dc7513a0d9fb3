<?php
/**
 * The WP-CLI commands for dead letters.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\Client\Protocol;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Format;

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
				) + self::change( $letter, $assoc_args['format'] ?? 'table' );
			}
			$is_last = count( $letters ) < Protocol::MAX_TICKETS;
		} while ( ! $is_last );
		Output::rows( $rows, $assoc_args, array( 'id', 'revision', 'at', 'code', 'reason', 'deleted', 'fields' ) );
	}

	/**
	 * The rejected change: in JSON a boolean and an object, as WP-CLI's table, CSV and YAML do not know them.
	 *
	 * @param array  $letter The dead letter.
	 * @param string $format The output format.
	 * @return array{deleted: bool|int, fields: array|\stdClass|string}
	 */
	private static function change( array $letter, string $format ): array {
		$is_deleted = true === ( $letter['deleted'] ?? false );
		$fields     = Format::fields( $letter['fields'] );
		if ( 'yaml' !== $format ) {
			$fields = 'json' === $format ? (object) $fields : wp_json_encode( (object) $fields );
		}
		return array(
			'deleted' => 'json' === $format ? $is_deleted : (int) $is_deleted,
			'fields'  => $fields,
		);
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
		list( $ids, $missing ) = $this->found( self::ids( $args, $assoc_args ) );

		$count = $this->api->dead_retry( $ids );
		Output::fail_on_error( $count );
		/* translators: %d: number of tickets */
		$text = _n( '%d ticket is pending again.', '%d tickets are pending again.', $count, 'ticketd' );
		\WP_CLI::success( sprintf( $text, $count ) );
		self::fail_on( $missing );
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
		list( $ids, $missing ) = $this->found( self::ids( $args, $assoc_args ) );
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
		self::fail_on( $missing );
	}

	/**
	 * Which of the tickets have a dead letter; if none has, the command ends here.
	 *
	 * @param int[]|null $ids Ticket ids; null: every dead letter.
	 * @return array{0: int[]|null, 1: int[]} Those that have one, and the others.
	 */
	private function found( ?array $ids ): array {
		$found   = array();
		$missing = array();
		foreach ( $ids ?? array() as $id ) {
			$letters = $this->api->dead_list( $id - 1, 1 );
			Output::fail_on_error( $letters );
			if ( ( $letters[0]['id'] ?? 0 ) === $id ) {
				$found[] = $id;
			} else {
				$missing[] = $id;
			}
		}
		if ( null !== $ids && array() === $found ) {
			self::fail_on( $missing );
		}
		return array( null === $ids ? null : $found, $missing );
	}

	/**
	 * Ends the command where tickets have no dead letter.
	 *
	 * @param int[] $missing Their ids.
	 */
	private static function fail_on( array $missing ): void {
		if ( array() !== $missing ) {
			/* translators: %s: ticket ids */
			\WP_CLI::error( sprintf( __( 'No such dead letter: %s', 'ticketd' ), implode( ', ', $missing ) ) );
		}
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
