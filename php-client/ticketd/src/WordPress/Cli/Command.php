<?php
/**
 * The WP-CLI commands.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\Client\Client;
use Ticketd\Client\SpoolingClient;
use Ticketd\WordPress\Api;

defined( 'ABSPATH' ) || exit;

/**
 * Reads, changes and flushes the tickets that ticketd keeps.
 */
final class Command {

	/**
	 * What calls the daemon.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes what calls the daemon.
	 *
	 * @param Api $api What calls the daemon.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Brings changed tickets to MySQL now and waits until they are there.
	 *
	 * ## OPTIONS
	 *
	 * [<id>...]
	 * : The tickets to bring; without any, every changed one.
	 *
	 * [--timeout=<seconds>]
	 * : How long to wait at most.
	 * ---
	 * default: 30
	 * ---
	 *
	 * [--format=<format>]
	 * : How to print the result.
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
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function flush( array $args, array $assoc_args ): void {
		$timeout = Input::seconds( $assoc_args['timeout'] ?? Client::FLUSH_TIMEOUT_MS / 1000 );
		$bar     = new FlushProgress();
		$result  = $this->api->flush( Input::ids( $args ), array( $bar, 'report' ), $timeout * 1000 );
		$bar->finish();
		self::fail_on_error( $result );
		self::print_rows( array( $result ), $assoc_args );
		if ( $result['dead'] > 0 ) {
			/* translators: %d: number of tickets */
			$text = _n( 'MySQL refused %d ticket.', 'MySQL refused %d tickets.', $result['dead'], 'ticketd' );
			\WP_CLI::error( sprintf( $text, $result['dead'] ) );
		}
	}

	/**
	 * Says how the daemon and this site are.
	 *
	 * ## OPTIONS
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
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function status( array $args, array $assoc_args ): void {
		$status = $this->api->status();
		self::fail_on_error( $status );
		$format = $assoc_args['format'] ?? 'table';
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
		self::print_rows( $rows, $assoc_args );
	}

	/**
	 * Prints tickets.
	 *
	 * ## OPTIONS
	 *
	 * <id>...
	 * : The tickets to print.
	 *
	 * [--fields=<fields>]
	 * : Print only these, separated by commas.
	 *
	 * [--format=<format>]
	 * : How to print them.
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
	 *     $ wp ticketd get 812 813 --fields=id,status
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function get( array $args, array $assoc_args ): void {
		$tickets = $this->api->get_many( Input::ids( $args ) );
		self::fail_on_error( $tickets );
		$found = array_filter( $tickets );
		if ( array() !== $found ) {
			self::print_tickets( $found, $assoc_args );
		}
		$missing = array_keys( array_diff_key( $tickets, $found ) );
		if ( array() !== $missing ) {
			/* translators: %s: ticket ids */
			\WP_CLI::error( sprintf( __( 'No such ticket: %s', 'ticketd' ), implode( ', ', $missing ) ) );
		}
	}

	/**
	 * Changes a ticket. Fields that are not named stay as they are.
	 *
	 * ## OPTIONS
	 *
	 * <id>
	 * : The ticket to change; it is made where it does not exist.
	 *
	 * [<field=value>...]
	 * : The fields to set.
	 *
	 * [--null=<fields>]
	 * : Fields to set to NULL, separated by commas.
	 *
	 * [--if-revision=<revision>]
	 * : Change the ticket only if it is at this revision.
	 *
	 * [--format=<format>]
	 * : How to print the result.
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
	 *     $ wp ticketd set 812 status=pending priority=high --null=assigned_to
	 *
	 * @param string[] $args       Ticket id, then fields.
	 * @param array    $assoc_args Options.
	 */
	public function set( array $args, array $assoc_args ): void {
		$id       = Input::ids( array_splice( $args, 0, 1 ) )[0];
		$expected = isset( $assoc_args['if-revision'] ) ? Input::revision( $assoc_args['if-revision'] ) : 0;
		$revision = $this->api->set( $id, Input::fields( $args, $assoc_args['null'] ?? '' ), $expected );
		self::fail_on_error( $revision );
		self::print_change( compact( 'id', 'revision' ), $assoc_args );
	}

	/**
	 * Makes a ticket.
	 *
	 * ## OPTIONS
	 *
	 * <field=value>...
	 * : The fields to set; the others get the table's defaults.
	 *
	 * [--null=<fields>]
	 * : Fields to set to NULL, separated by commas.
	 *
	 * [--format=<format>]
	 * : How to print the result.
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
	 *     $ wp ticketd create subject="No coffee" status=open --format=json
	 *
	 * @param string[] $args       Fields.
	 * @param array    $assoc_args Options.
	 */
	public function create( array $args, array $assoc_args ): void {
		$created = $this->api->create( Input::fields( $args, $assoc_args['null'] ?? '' ) );
		self::fail_on_error( $created );
		self::print_change( $created, $assoc_args );
	}

	/**
	 * Prints the outcome of a change, and on STDERR that it is not known yet where the daemon is away.
	 *
	 * @param array $change     The ticket's id and revision.
	 * @param array $assoc_args Options.
	 */
	private static function print_change( array $change, array $assoc_args ): void {
		if ( SpoolingClient::UNKNOWN_REVISION === $change['revision'] ) {
			\WP_CLI::warning( __( 'ticketd is away: the change waits in the spool until it is back.', 'ticketd' ) );
		}
		self::print_rows( array( $change ), $assoc_args );
	}

	/**
	 * Prints tickets, one a row, with every field that one of them has.
	 *
	 * @param array $tickets    The tickets.
	 * @param array $assoc_args Options.
	 */
	private static function print_tickets( array $tickets, array $assoc_args ): void {
		$columns = array(
			'id'       => null,
			'revision' => null,
		);
		foreach ( $tickets as $ticket ) {
			$columns += array_fill_keys( array_keys( $ticket['fields'] ), null );
		}
		$rows = array();
		foreach ( $tickets as $ticket ) {
			$known  = array(
				'id'       => $ticket['id'],
				'revision' => $ticket['revision'],
			);
			$rows[] = array_replace( $columns, $ticket['fields'], $known );
		}
		self::print_rows( $rows, $assoc_args );
	}

	/**
	 * Prints rows to STDOUT.
	 *
	 * @param array[] $rows       At least one row; all have the same keys.
	 * @param array   $assoc_args Options: `format` and `fields`.
	 */
	private static function print_rows( array $rows, array $assoc_args ): void {
		$columns = isset( $assoc_args['fields'] ) ? explode( ',', $assoc_args['fields'] ) : array_keys( $rows[0] );
		\WP_CLI\Utils\format_items( $assoc_args['format'] ?? 'table', $rows, $columns );
	}

	/**
	 * Ends the command with a message on STDERR where a call failed.
	 *
	 * @param mixed $result What the call returned.
	 */
	private static function fail_on_error( $result ): void {
		if ( is_wp_error( $result ) ) {
			\WP_CLI::error( $result->get_error_message() );
		}
	}
}
