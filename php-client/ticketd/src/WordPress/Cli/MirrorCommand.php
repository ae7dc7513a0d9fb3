<?php
/**
 * The WP-CLI commands for a mirrored help desk.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Mirror\Mirror;
use Ticketd\WordPress\Mirror\Source;

defined( 'ABSPATH' ) || exit;

/**
 * Copies the tickets of a help desk plugin that has tables of its own to ticketd.
 */
final class MirrorCommand {

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes the API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Starts the mirror: copies all tickets, and from now on those that the help desk changes.
	 *
	 * The help desk's tables stay the truth. A ticket of ticketd's own that has the id of one of the help desk's is
	 * left alone, and reported.
	 *
	 * ## OPTIONS
	 *
	 * <source>
	 * : The help desk: supportcandy, fluent-support, or a source that a plugin has added.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd mirror start supportcandy
	 *
	 * @param string[] $args       The source.
	 * @param array    $assoc_args None.
	 */
	public function start( array $args, array $assoc_args ): void {
		$source = Source::of( $args[0] );
		if ( null === $source ) {
			/* translators: %s: names */
			$text = __( 'No such source. The sources are: %s.', 'ticketd' );
			\WP_CLI::error( sprintf( $text, implode( ', ', Source::names() ) ) );
		}
		if ( ! $source->is_there() ) {
			\WP_CLI::error( $source->problem() );
		}
		$before = get_option( Mirror::OPTION, '' );
		if ( '' !== $before && $source->name() !== $before ) {
			/* translators: %s: name of a help desk */
			\WP_CLI::error( sprintf( __( 'The mirror of %s is on: stop it first.', 'ticketd' ), $before ) );
		}
		update_option( Mirror::OPTION, $source->name(), true ); // First: changes during the copy are collected.
		$this->verify( array(), array( 'repair' => true ) + $assoc_args );
	}

	/**
	 * Ends the mirror. The copied tickets stay in ticketd.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd mirror stop
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args None.
	 */
	public function stop( array $args, array $assoc_args ): void {
		delete_option( Mirror::OPTION );
		delete_option( Mirror::PLACE );
		\WP_CLI::success( __( 'The mirror is off.', 'ticketd' ) );
	}

	/**
	 * Compares the mirror with the help desk's tables.
	 *
	 * The command fails if a ticket differs and is not repaired.
	 *
	 * ## OPTIONS
	 *
	 * [--repair]
	 * : Copy the tickets that differ, and delete those that the help desk has deleted.
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
	 *     $ wp ticketd mirror verify
	 *     $ wp ticketd mirror verify --repair
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function verify( array $args, array $assoc_args ): void {
		$mirror = Mirror::of_blog( $this->api );
		if ( null === $mirror ) {
			\WP_CLI::error( __( 'The mirror is off: see "wp ticketd mirror start".', 'ticketd' ) );
		}
		$is_repair = ! empty( $assoc_args['repair'] );
		$report    = $mirror->all( $is_repair );
		$rows      = array();
		foreach ( $report['different'] as $id => $fields ) {
			$rows[] = array(
				'id'      => $id,
				'fields'  => $fields,
				'problem' => $report['problems'][ $id ] ?? '',
			);
		}
		foreach ( array_diff_key( $report['problems'], $report['different'] ) as $id => $problem ) {
			$rows[] = array(
				'id'      => $id,
				'fields'  => '',
				'problem' => $problem,
			);
		}
		$is_left = static fn( array $row ): bool => ! $is_repair || '' !== $row['problem'];
		$shown   = array_values( array_filter( $rows, $is_left ) );
		if ( array() !== $shown || 'table' !== ( $assoc_args['format'] ?? 'table' ) ) {
			Output::rows( $shown, $assoc_args, array( 'id', 'fields', 'problem' ) );
		}
		/* translators: 1: number of tickets, 2: number of changes */
		$text = __( 'Tickets compared: %1$d. Changes copied: %2$d.', 'ticketd' );
		$text = sprintf( $text, $report['tickets'], $report['copied'] );
		if ( array() !== $report['problems'] || ( ! $is_repair && array() !== $rows ) ) {
			/* translators: %d: number of tickets */
			$differ = sprintf( __( 'Tickets that differ: %d.', 'ticketd' ), count( $shown ) );
			\WP_CLI::error( $text . ' ' . ( $report['problems'][0] ?? $differ ) );
		}
		Output::note( $text );
	}

	/**
	 * Shows the mirror.
	 *
	 * ## OPTIONS
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
	 *     $ wp ticketd mirror status
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function status( array $args, array $assoc_args ): void {
		$mirror = Mirror::of_blog( $this->api );
		$rows   = array();
		if ( null !== $mirror ) {
			$rows[] = array(
				'source' => $mirror->source()->name(),
				'tables' => implode( ', ', $mirror->source()->tables() ),
				'there'  => $mirror->source()->is_there() ? __( 'yes', 'ticketd' ) : __( 'no', 'ticketd' ),
			);
		}
		Output::rows( $rows, $assoc_args, array( 'source', 'tables', 'there' ) );
	}
}
