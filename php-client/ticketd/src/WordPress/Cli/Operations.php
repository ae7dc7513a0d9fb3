<?php
/**
 * The WP-CLI commands for who runs the site.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\Client\Client;
use Ticketd\Client\Protocol;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Verifier;

defined( 'ABSPATH' ) || exit;

/**
 * Flushes, and shows the state of the daemon, of this site and of its tickets.
 */
final class Operations {

	/** How long --wait waits, in seconds: a day. */
	private const LONGEST_WAIT = 86400;

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
	 * Flushes pending tickets to MySQL now and waits until MySQL has them.
	 *
	 * ## OPTIONS
	 *
	 * [<id>...]
	 * : The tickets to flush; all pending ones by default.
	 *
	 * [--all]
	 * : All pending tickets, as without ids; for scripts that name it.
	 *
	 * [--wait]
	 * : Wait as long as the flush takes, for example for an unreachable MySQL.
	 *
	 * [--timeout=<seconds>]
	 * : Timeout without --wait.
	 * ---
	 * default: 30
	 * ---
	 *
	 * [--field=<field>]
	 * : Print this value of the result alone: flushed or dead.
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
	 * ---
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd flush
	 *     $ wp ticketd flush 812 813 --format=json
	 *     $ wp ticketd flush --all --wait
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function flush( array $args, array $assoc_args ): void {
		$timeout = isset( $assoc_args['wait'] )
			? self::LONGEST_WAIT
			: Input::seconds( (string) ( $assoc_args['timeout'] ?? Client::FLUSH_TIMEOUT_MS / 1000 ) );
		$ids     = Input::ids( $args );
		if ( array() !== $ids && isset( $assoc_args['all'] ) ) {
			\WP_CLI::error( __( 'Give ids or --all, not both.', 'ticketd' ) );
		}
		$result = array(
			'flushed' => 0,
			'dead'    => 0,
		);
		foreach ( array() === $ids ? array( array() ) : array_chunk( $ids, Protocol::MAX_TICKETS ) as $some ) {
			$bar  = new FlushProgress();
			$done = $this->api->flush( $some, array( $bar, 'report' ), $timeout * 1000 );
			$bar->finish();
			Output::fail_on_error( $done );
			$result['flushed'] += $done['flushed'];
			$result['dead']    += $done['dead'];
		}
		Output::rows( array( $result ), $assoc_args, array( 'flushed', 'dead' ) );
		if ( $result['dead'] > 0 ) {
			/* translators: %d: number of tickets */
			$text = _n(
				'The database rejected the changes of %d ticket: a dead letter.',
				'The database rejected the changes of %d tickets: dead letters.',
				$result['dead'],
				'ticketd'
			);
			\WP_CLI::error( sprintf( $text, $result['dead'] ) );
		}
	}

	/**
	 * Shows the state of the daemon and of this site.
	 *
	 * ## OPTIONS
	 *
	 * [--field=<key>]
	 * : Print this value alone.
	 *
	 * [--format=<format>]
	 * : How to print the status.
	 * ---
	 * default: table
	 * options:
	 *   - table
	 *   - json
	 *   - csv
	 *   - yaml
	 * ---
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd status
	 *     $ wp ticketd status --field=dirty
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function status( array $args, array $assoc_args ): void {
		$status = $this->api->status();
		Output::fail_on_error( $status );
		$format = $assoc_args['format'] ?? 'table';
		if ( isset( $assoc_args['field'] ) ) {
			$key = $assoc_args['field'];
			if ( ! array_key_exists( $key, $status ) ) {
				/* translators: 1: name of a field, 2: names of fields */
				$text = __( 'There is no field %1$s; there are: %2$s.', 'ticketd' );
				\WP_CLI::error( sprintf( $text, $key, implode( ', ', array_keys( $status ) ) ) );
			}
			\WP_CLI::line(
				is_scalar( $status[ $key ] ) ? (string) $status[ $key ] : wp_json_encode( $status[ $key ] )
			);
			return;
		}
		if ( 'json' === $format || 'yaml' === $format ) {
			\WP_CLI::print_value( $status, array( 'format' => $format ) );
			return;
		}
		$rows = array();
		foreach ( $status as $key => $value ) {
			$rows[] = array(
				'key'   => $key,
				'value' => is_array( $value ) ? wp_json_encode( $value ) : $value,
			);
		}
		Output::rows( $rows, $assoc_args, array( 'key', 'value' ) );
	}

	/**
	 * Compares ticketd's tickets with the rows of the database.
	 *
	 * Pending changes are flushed first. The command fails if a ticket differs, or a named ticket is in neither.
	 * `ticketd verify` on the server compares Redis and MySQL themselves, without WordPress.
	 *
	 * ## OPTIONS
	 *
	 * [<id>...]
	 * : The tickets to compare; without any, all.
	 *
	 * [--fields=<fields>]
	 * : The fields to print, separated by commas.
	 *
	 * [--format=<format>]
	 * : How to print the differences.
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
	 *     $ wp ticketd verify
	 *     $ wp ticketd verify 812 --format=json
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function verify( array $args, array $assoc_args ): void {
		$verifier = new Verifier( $this->api, $this->settings->table() );
		$result   = $verifier->compare( Input::ids( $args ) );
		Output::fail_on_error( $result );
		if ( array() !== $result || 'table' !== ( $assoc_args['format'] ?? 'table' ) ) {
			Output::rows( $result, $assoc_args, array( 'id', 'field', 'ticketd', 'database' ) );
		}
		$failed = array();
		if ( array() !== $result ) {
			/* translators: 1: number of differences, 2: number of tickets */
			$text     = _n(
				'%1$d difference; tickets compared: %2$d.',
				'%1$d differences; tickets compared: %2$d.',
				count( $result ),
				'ticketd'
			);
			$failed[] = sprintf( $text, count( $result ), $verifier->count() );
		}
		if ( array() !== $verifier->missing() ) {
			/* translators: %s: ticket ids */
			$text     = __( 'No such ticket: %s', 'ticketd' );
			$failed[] = sprintf( $text, implode( ', ', $verifier->missing() ) );
		}
		if ( array() !== $failed ) {
			\WP_CLI::error( implode( "\n", $failed ) );
		}
		/* translators: %d: number of tickets */
		$text = _n(
			'%d ticket is the same in both.',
			'%d tickets are the same in both.',
			$verifier->count(),
			'ticketd'
		);
		Output::note( sprintf( $text, $verifier->count() ) );
	}

	/**
	 * Runs all checks and says what to do. The command fails if a check has an error, which must be acted on; a warning
	 * is advice, and unknown what cannot be told yet.
	 *
	 * ## OPTIONS
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
	 *     $ wp ticketd doctor
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function doctor( array $args, array $assoc_args ): void {
		$findings = ( new Checks( new Health( $this->api ), $this->settings ) )->all();
		Output::rows( $findings, $assoc_args, array( 'check', 'state', 'message' ) );
		$bad = array_keys( array_column( $findings, 'state' ), 'error', true );
		if ( array() !== $bad ) {
			/* translators: %d: number of checks */
			$text = _n( '%d check failed.', '%d checks failed.', count( $bad ), 'ticketd' );
			\WP_CLI::error( sprintf( $text, count( $bad ) ) );
		}
	}
}
