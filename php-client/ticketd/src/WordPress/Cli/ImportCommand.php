<?php
/**
 * The WP-CLI commands that import tickets.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Database;
use Ticketd\WordPress\Importer;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Imports tickets from elsewhere.
 */
final class ImportCommand {

	/** Rows that are read from a table at a time. */
	private const PAGE = 500;

	/**
	 * What calls the daemon.
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
	 * Takes what it works with.
	 *
	 * @param Api      $api      What calls the daemon.
	 * @param Settings $settings The settings.
	 */
	public function __construct( Api $api, Settings $settings ) {
		$this->api      = $api;
		$this->settings = $settings;
	}

	/**
	 * Imports tickets from a CSV file.
	 *
	 * The first line names the fields. A column "id" or "ticket_id" says which ticket a line is; without one, or where
	 * it is empty, a new ticket is made. Importing the same file again within a day makes no ticket twice.
	 *
	 * ## OPTIONS
	 *
	 * <file>
	 * : The file; - is STDIN.
	 *
	 * [--map=<pairs>]
	 * : Pairs column:field, for columns that are named otherwise: "State:status,Client:customer_id". A column that is
	 * mapped to nothing is left out: "Notes:".
	 *
	 * [--null=<text>]
	 * : A value that means NULL. A value that is empty is left out unless --null="" is given.
	 *
	 * [--delimiter=<character>]
	 * : What separates values.
	 * ---
	 * default: ","
	 * ---
	 *
	 * [--dry-run]
	 * : Read the file and say what would be done, without doing it.
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
	 *     $ wp ticketd import csv tickets.csv --map=State:status
	 *
	 * @param string[] $args       The file.
	 * @param array    $assoc_args Options.
	 */
	public function csv( array $args, array $assoc_args ): void {
		$path = '-' === $args[0] ? 'php://stdin' : $args[0];
		if ( 'php://stdin' !== $path && ( ! is_file( $path ) || ! is_readable( $path ) ) ) {
			/* translators: %s: path of a file */
			\WP_CLI::error( sprintf( __( 'There is no file %s that can be read.', 'ticketd' ), $path ) );
		}
		$file = new \SplFileObject( $path );
		$file->setFlags( \SplFileObject::READ_CSV | \SplFileObject::SKIP_EMPTY | \SplFileObject::READ_AHEAD );
		$file->setCsvControl( (string) ( $assoc_args['delimiter'] ?? ',' ), '"', '' );
		$importer = $this->importer( $path, $assoc_args );
		$null     = $assoc_args['null'] ?? null;
		$names    = null;
		foreach ( $file as $index => $values ) {
			if ( array( null ) === $values ) { // An empty line.
				continue;
			}
			if ( null === $names ) {
				$values[0] = preg_replace( '/^\xEF\xBB\xBF/', '', (string) $values[0] );
				$names     = $values;
			} elseif ( count( $values ) !== count( $names ) ) {
				/* translators: 1: number of values, 2: number of values */
				$text = __( '%1$d values instead of %2$d.', 'ticketd' );
				$importer->refuse( (string) ( $index + 1 ), sprintf( $text, count( $values ), count( $names ) ) );
			} else {
				$row = array_combine( $names, $values );
				$importer->add( (string) ( $index + 1 ), '' === $null ? $row : array_filter( $row, 'strlen' ) );
			}
		}
		$this->finish( $importer, $assoc_args );
	}

	/**
	 * Imports tickets from a table of this site's database. They keep their ids.
	 *
	 * ## OPTIONS
	 *
	 * <table>
	 * : The table.
	 *
	 * [--key=<column>]
	 * : The column with the ids.
	 * ---
	 * default: id
	 * ---
	 *
	 * [--map=<pairs>]
	 * : Pairs column:field, for columns that are named otherwise: "state:status,user:customer_id". A column that is
	 * mapped to nothing is left out: "notes:".
	 *
	 * [--dry-run]
	 * : Read the table and say what would be done, without doing it.
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
	 *     $ wp ticketd import table wp_old_tickets --key=ticket_no --map=state:status
	 *
	 * @param string[] $args       The table.
	 * @param array    $assoc_args Options.
	 */
	public function table( array $args, array $assoc_args ): void {
		$table = $args[0];
		$key   = (string) ( $assoc_args['key'] ?? 'id' );
		if ( ! Database::is_table_name( $table ) || ! Database::is_table_name( $key ) ) {
			\WP_CLI::error( __( 'Give names of letters, digits, "_" and "$".', 'ticketd' ) );
		}
		$importer = $this->importer( $table, $assoc_args );
		$after    = 0;
		do {
			$rows = Database::rows(
				"SELECT * FROM `$table` WHERE `$key` > %d ORDER BY `$key` LIMIT %d",
				array( $after, self::PAGE )
			);
			if ( null === $rows ) {
				/* translators: 1: name of a table, 2: name of a column */
				\WP_CLI::error( sprintf( __( 'The database has no table %1$s with %2$s.', 'ticketd' ), $table, $key ) );
			}
			foreach ( $rows as $row ) {
				$after = (int) $row[ $key ];
				unset( $row[ $key ] );
				$importer->add( (string) $after, array( 'id' => (string) $after ) + $row );
			}
		} while ( count( $rows ) === self::PAGE );
		$this->finish( $importer, $assoc_args );
	}

	/**
	 * Makes what imports.
	 *
	 * @param string $source     Where the tickets come from.
	 * @param array  $assoc_args Options.
	 */
	private function importer( string $source, array $assoc_args ): Importer {
		$map = array();
		foreach ( array_filter( explode( ',', (string) ( $assoc_args['map'] ?? '' ) ) ) as $pair ) {
			if ( false === strpos( $pair, ':' ) ) {
				/* translators: %s: what was typed */
				\WP_CLI::error( sprintf( __( '"%s" is no pair: give column:field.', 'ticketd' ), $pair ) );
			}
			list( $column, $field ) = array_map( 'trim', explode( ':', $pair, 2 ) );
			$map[ $column ]         = $field;
		}
		$report = static function ( string $place, string $reason ): void {
			\WP_CLI::warning( $place . ': ' . $reason );
		};
		return new Importer(
			$this->api,
			$this->settings->table(),
			$source,
			$map,
			$assoc_args['null'] ?? null,
			isset( $assoc_args['dry-run'] ),
			$report
		);
	}

	/**
	 * Sends what is left and prints the outcome.
	 *
	 * @param Importer $importer   What has imported.
	 * @param array    $assoc_args Options.
	 */
	private function finish( Importer $importer, array $assoc_args ): void {
		$result = $importer->finish();
		Output::rows( array( $result ), $assoc_args, array_keys( $result ) );
		if ( $result['refused'] > 0 ) {
			/* translators: %d: number of tickets */
			$text = _n( '%d ticket was refused.', '%d tickets were refused.', $result['refused'], 'ticketd' );
			\WP_CLI::error( sprintf( $text, $result['refused'] ) );
		}
	}
}
