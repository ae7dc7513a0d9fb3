<?php
/**
 * The WP-CLI commands.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;

defined( 'ABSPATH' ) || exit;

/**
 * Reads, changes and flushes the tickets that ticketd keeps.
 */
final class Command {

	/** Tickets that are asked for at a time. */
	private const PAGE = 500;

	/** Tickets of a table for people, unless --limit or --all says otherwise. */
	private const SCREENFUL = 50;

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
	 * Prints tickets.
	 *
	 * ## OPTIONS
	 *
	 * <id>...
	 * : The tickets to print.
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
	 *     $ wp ticketd get 812 813 --fields=id,status
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function get( array $args, array $assoc_args ): void {
		$tickets = $this->api->get_many( Input::ids( $args ) );
		Output::fail_on_error( $tickets );
		$found = array_filter( $tickets );
		if ( array() !== $found ) {
			Output::tickets( $found, $assoc_args );
		}
		$missing = array_keys( array_diff_key( $tickets, $found ) );
		if ( array() !== $missing ) {
			/* translators: %s: ticket ids */
			\WP_CLI::error( sprintf( __( 'No such ticket: %s', 'ticketd' ), implode( ', ', $missing ) ) );
		}
	}

	/**
	 * Changes a ticket. Other fields keep their values.
	 *
	 * ## OPTIONS
	 *
	 * <id>
	 * : The ticket to change.
	 *
	 * [<field>...]
	 * : The fields to set, as name=value.
	 *
	 * [--null=<fields>]
	 * : Fields to set to NULL, separated by commas.
	 *
	 * [--if-revision=<revision>]
	 * : Change the ticket only if it is at this revision.
	 *
	 * [--create]
	 * : Make the ticket where it does not exist.
	 *
	 * [--porcelain]
	 * : Print the new revision alone.
	 *
	 * [--field=<field>]
	 * : Print this value of the result alone.
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
	 *     $ wp ticketd set 812 status=pending priority=high --null=assigned_to
	 *
	 * @param string[] $args       Ticket id, then fields.
	 * @param array    $assoc_args Options.
	 */
	public function set( array $args, array $assoc_args ): void {
		$id       = Input::ids( array_splice( $args, 0, 1 ) )[0];
		$expected = isset( $assoc_args['if-revision'] ) ? Input::revision( $assoc_args['if-revision'] ) : 0;
		$fields   = Input::fields( $args, $assoc_args['null'] ?? '' );
		if ( array() === $fields ) {
			\WP_CLI::error( __( 'Give fields as name=value, or --null.', 'ticketd' ) );
		}
		$revision = true === ( $assoc_args['create'] ?? false )
			? $this->api->set( $id, $fields, $expected )
			: $this->api->update( $id, $fields, $expected );
		Output::fail_on_error( $revision );
		Output::changes( array( compact( 'id', 'revision' ) ), $assoc_args, 'revision' );
	}

	/**
	 * Makes a ticket.
	 *
	 * ## OPTIONS
	 *
	 * <field>...
	 * : The fields to set, as name=value; other fields get the table's defaults.
	 *
	 * [--null=<fields>]
	 * : Fields to set to NULL, separated by commas.
	 *
	 * [--porcelain]
	 * : Print the new ticket's id alone.
	 *
	 * [--field=<field>]
	 * : Print this value of the result alone.
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
	 *     $ wp ticketd create subject="No coffee" status=open --format=json
	 *     $ id=$(wp ticketd create subject="No tea" --porcelain)
	 *
	 * @param string[] $args       Fields.
	 * @param array    $assoc_args Options.
	 */
	public function create( array $args, array $assoc_args ): void {
		$created = $this->api->create( Input::fields( $args, $assoc_args['null'] ?? '' ) );
		Output::fail_on_error( $created );
		Output::changes( array( $created ), $assoc_args, 'id' );
	}

	/**
	 * Prints tickets by what they hold. Every change that was acknowledged before is in it.
	 *
	 * A table has the first 50 tickets unless --limit or --all says otherwise.
	 * All other formats, and --field, print all tickets.
	 * A warning says where there are more tickets than are printed.
	 *
	 * ## OPTIONS
	 *
	 * [<field>...]
	 * : What the tickets must have, as name=value; several values of a field are separated by commas. Also name!=value,
	 * and with quotes for the shell name<value, name<=value, name>value and name>=value; ticket_id and revision, too.
	 *
	 * [--<field>=<value>]
	 * : The same, for fields that are not called like another option.
	 *
	 * [--null=<fields>]
	 * : Fields that must be NULL, separated by commas.
	 *
	 * [--search=<text>]
	 * : Only tickets with this text in the subject.
	 *
	 * [--created-from=<time>]
	 * : Only tickets from this time on, in UTC: "2026-01-31" or "2026-01-31 12:00:00".
	 *
	 * [--created-before=<time>]
	 * : Only tickets from before this time.
	 *
	 * [--updated-from=<time>]
	 * : Only tickets that were changed at this time or later.
	 *
	 * [--updated-before=<time>]
	 * : Only tickets that were changed last before this time.
	 *
	 * [--deleted]
	 * : Deleted tickets, too.
	 *
	 * [--[no-]fresh]
	 * : With --no-fresh what MySQL has, without flushing pending changes first.
	 *
	 * [--sort=<field>]
	 * : What to sort by.
	 * ---
	 * default: ticket_id
	 * options:
	 *   - ticket_id
	 *   - created_at
	 *   - updated_at
	 *   - priority
	 *   - status
	 * ---
	 *
	 * [--order=<order>]
	 * : In which direction.
	 * ---
	 * default: desc
	 * options:
	 *   - asc
	 *   - desc
	 * ---
	 *
	 * [--limit=<count>]
	 * : Print so many tickets at most; 0: all.
	 *
	 * [--all]
	 * : Print all tickets.
	 *
	 * [--field=<field>]
	 * : Print the values of this field alone.
	 *
	 * [--fields=<fields>]
	 * : The fields to print, separated by commas.
	 *
	 * [--format=<format>]
	 * : The output format; count counts all tickets, whatever --limit says.
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
	 *     $ wp ticketd list --status=open,pending --sort=updated_at --limit=10
	 *     $ wp ticketd list --customer_id=12 --format=ids
	 *     $ wp ticketd list --all category=Billing,Parcel
	 *     $ wp ticketd list --null=assigned_to --format=count
	 *     $ wp ticketd list --all 'status!=closed' 'revision>1764000000000001'
	 *
	 * @subcommand list
	 *
	 * @param string[] $args       What the tickets must have.
	 * @param array    $assoc_args Options.
	 */
	public function list_( array $args, array $assoc_args ): void {
		$query = Input::selection( $args, $assoc_args );
		if ( 'count' === ( $assoc_args['format'] ?? '' ) ) {
			$count = $this->api->count_tickets( $query );
			Output::fail_on_error( $count );
			\WP_CLI::line( (string) $count );
			return;
		}
		$is_table = 'table' === ( $assoc_args['format'] ?? 'table' ) && ! isset( $assoc_args['field'] );
		$wanted   = Input::limit( $assoc_args ) ?? ( $is_table ? self::SCREENFUL : PHP_INT_MAX );
		$query   += array(
			'sort'  => $assoc_args['sort'] ?? 'ticket_id',
			'order' => $assoc_args['order'] ?? 'desc',
		);
		// Tickets with long texts: a thousand of them may not fit into one reply.
		$tickets = array();
		$stale   = false;
		$missing = $wanted;
		do {
			$query['limit'] = min( self::PAGE, $missing );
			$page           = $this->api->list_tickets( $query );
			Output::fail_on_error( $page );
			array_push( $tickets, ...$page['tickets'] );
			$missing       -= count( $page['tickets'] );
			$stale          = $stale || isset( $page['stale'] );
			$query['after'] = $page['next'];
		} while ( null !== $page['next'] && $missing > 0 );
		Output::tickets( $tickets, $assoc_args, $stale );
		if ( null !== $page['next'] ) {
			/* translators: %d: number of tickets */
			$text = _n(
				'Only %d ticket is printed, and there are more: --all prints all.',
				'Only %d tickets are printed, and there are more: --all prints all.',
				count( $tickets ),
				'ticketd'
			);
			\WP_CLI::warning( sprintf( $text, count( $tickets ) ) );
		}
	}

	/**
	 * Deletes tickets. Deleting one again is no error.
	 *
	 * ## OPTIONS
	 *
	 * <id>...
	 * : The tickets to delete.
	 *
	 * [--yes]
	 * : Do not ask.
	 *
	 * [--field=<field>]
	 * : Print this value of the result alone.
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
	 *     $ wp ticketd delete 812 813 --yes
	 *
	 * @param string[] $args       Ticket ids.
	 * @param array    $assoc_args Options.
	 */
	public function delete( array $args, array $assoc_args ): void {
		$ids = Input::ids( $args );
		/* translators: %d: number of tickets */
		$text = _n( 'Delete %d ticket?', 'Delete %d tickets?', count( $ids ), 'ticketd' );
		\WP_CLI::confirm( sprintf( $text, count( $ids ) ), $assoc_args );
		$rows    = array();
		$refused = array();
		foreach ( $ids as $id ) {
			$revision = $this->api->delete( $id );
			if ( is_wp_error( $revision ) ) {
				$refused[] = $id . ': ' . Output::reason( $revision );
			} else {
				$rows[] = compact( 'id', 'revision' );
			}
		}
		if ( array() !== $rows ) {
			Output::changes( $rows, $assoc_args );
		}
		if ( array() !== $refused ) {
			\WP_CLI::error( implode( "\n", $refused ) );
		}
	}
}
