<?php
/**
 * The WP-CLI command for the history of a ticket.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Format;

defined( 'ABSPATH' ) || exit;

/**
 * Prints who changed what.
 */
final class HistoryCommand {

	/** Changes that are asked for at a time. */
	private const PAGE = 500;

	/** Changes of a table for people, unless --limit or --all says otherwise. */
	private const SCREENFUL = 20;

	/** The columns. */
	private const COLUMNS = array( 'revision', 'at', 'kind', 'by', 'via', 'changes', 'gap', 'erased' );

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
	 * Prints who changed what of a ticket, the newest change first. Times are UTC.
	 *
	 * A table has the first 20 changes unless --limit or --all says otherwise.
	 * All other formats, and --field, print all changes.
	 *
	 * ## OPTIONS
	 *
	 * <id>
	 * : The ticket.
	 *
	 * [--of=<field>]
	 * : Only changes of this field.
	 *
	 * [--limit=<count>]
	 * : Print so many changes at most; 0: all.
	 *
	 * [--all]
	 * : Print all changes.
	 *
	 * [--field=<field>]
	 * : Print the values of this column alone.
	 *
	 * [--fields=<fields>]
	 * : The columns to print, separated by commas.
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
	 *     $ wp ticketd history 812
	 *     $ wp ticketd history 812 --of=status --format=json
	 *
	 * @param string[] $args       The ticket's id.
	 * @param array    $assoc_args Options.
	 */
	public function history( array $args, array $assoc_args ): void {
		$id       = Input::ids( $args )[0];
		$format   = $assoc_args['format'] ?? 'table';
		$is_table = 'table' === $format && ! isset( $assoc_args['field'] );
		$wanted   = Input::limit( $assoc_args ) ?? ( $is_table ? self::SCREENFUL : PHP_INT_MAX );
		$query    = isset( $assoc_args['of'] ) ? array( 'field' => $assoc_args['of'] ) : array();
		$rows     = array();
		$stale    = false;
		do {
			$query['limit'] = min( self::PAGE, $wanted );
			$page           = $this->api->history( $id, $query );
			Output::fail_on_error( $page );
			foreach ( $page['changes'] as $change ) {
				$rows[] = self::row( $change, $format );
			}
			$wanted         -= count( $page['changes'] );
			$stale           = $stale || isset( $page['stale'] );
			$query['before'] = $page['next'];
		} while ( null !== $page['next'] && $wanted > 0 );
		if ( $stale ) {
			\WP_CLI::warning( __( 'The latest changes may be missing.', 'ticketd' ) );
		}
		Output::rows( $rows, $assoc_args, self::COLUMNS );
		if ( null !== $page['next'] ) {
			/* translators: %d: number of changes */
			$text = _n(
				'Only %d change is printed, and there are older ones: --all prints all.',
				'Only %d changes are printed, and there are older ones: --all prints all.',
				count( $rows ),
				'ticketd'
			);
			\WP_CLI::warning( sprintf( $text, count( $rows ) ) );
		}
	}

	/**
	 * A row of the output: for programs the changes by field, and for people a text.
	 *
	 * @param array  $change The change.
	 * @param string $format The output format.
	 */
	private static function row( array $change, string $format ): array {
		$is_text = ! in_array( $format, array( 'json', 'yaml' ), true );
		$at      = gmdate( 'Y-m-d H:i:s', intdiv( $change['at_us'], 1000000 ) );
		$changes = $is_text
			? Format::changes( $change['changes'] )
			: array_map( array( Format::class, 'fields' ), $change['changes'] );
		return array(
			'at'      => $at,
			'changes' => 'json' === $format ? (object) $changes : $changes,
			'gap'     => $is_text ? (int) $change['gap'] : $change['gap'],
			'erased'  => $is_text ? (int) $change['erased'] : $change['erased'],
		) + $change;
	}
}
