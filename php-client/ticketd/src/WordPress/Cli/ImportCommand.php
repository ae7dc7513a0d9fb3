<?php
/**
 * The WP-CLI commands that import tickets.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Database;
use Ticketd\WordPress\Importer;
use Ticketd\WordPress\RedisHashes;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Table;

defined( 'ABSPATH' ) || exit;

/**
 * Imports tickets from elsewhere.
 */
final class ImportCommand {

	/** Rows that are read from a table at a time. */
	private const PAGE = 500;

	/** Time for a connection to Redis, in seconds. */
	private const CONNECT_SECONDS = 5;

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
	 * Imports tickets from a CSV file.
	 *
	 * The first line names the fields. A column "id" or "ticket_id" says which ticket a line is; without one, or where
	 * it is empty, a new ticket is made. Importing the same file again within a day makes no ticket twice. A ticket
	 * that exists with other values is rejected, not overwritten: its id may be another customer's.
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
	 * [--overwrite]
	 * : Set tickets that exist with other values.
	 *
	 * [--dry-run]
	 * : Read the file and say what would be done, without doing it.
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
	 * A ticket that exists with other values is rejected, not overwritten: its id may be another customer's. A ticket
	 * with the same values is passed over, so the command can be run again.
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
	 * [--overwrite]
	 * : Set tickets that exist with other values.
	 *
	 * [--dry-run]
	 * : Read the table and say what would be done, without doing it.
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
			$is_last = count( $rows ) < self::PAGE;
		} while ( ! $is_last );
		$this->finish( $importer, $assoc_args );
	}

	/**
	 * Imports tickets that a plugin keeps in Redis, one hash for each.
	 *
	 * They keep their ids, Unix times become dates, and the hashes stay where they are. A ticket that exists with other
	 * values is rejected, not overwritten; a ticket with the same values is passed over, so the command can be run
	 * again. It needs the extension phpredis; without it `ticketd import redis` on the daemon's host does the same,
	 * quicker.
	 *
	 * ## OPTIONS
	 *
	 * [--host=<host>]
	 * : Redis' host, or the path of its socket. A password is taken from the environment's TICKETD_IMPORT_PASSWORD,
	 * else from the constant WP_REDIS_PASSWORD.
	 * ---
	 * default: 127.0.0.1
	 * ---
	 *
	 * [--port=<port>]
	 * : Its port.
	 * ---
	 * default: 6379
	 * ---
	 *
	 * [--database=<number>]
	 * : The database with the hashes.
	 * ---
	 * default: 0
	 * ---
	 *
	 * [--pattern=<pattern>]
	 * : The names of the hashes; * stands for the ticket's id, at the end.
	 * ---
	 * default: ticket:*
	 * ---
	 *
	 * [--overwrite]
	 * : Set tickets that exist with other values.
	 *
	 * [--dry-run]
	 * : Read the hashes and say what would be done, without doing it.
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
	 *     $ wp ticketd import redis --dry-run
	 *     $ wp ticketd import redis --host=/run/redis/redis-server.sock --database=0
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function redis( array $args, array $assoc_args ): void {
		$pattern = (string) ( $assoc_args['pattern'] ?? 'ticket:*' );
		if ( 1 !== preg_match( '/^[^*?[\\\\]+\*$/D', $pattern ) ) {
			\WP_CLI::error( __( 'Give what stands before the id, and one * at its end, for --pattern.', 'ticketd' ) );
		}
		$table = Table::describe( $this->settings->table() );
		if ( null === $table ) {
			\WP_CLI::error( __( 'The database has no tickets table; wp ticketd doctor says more.', 'ticketd' ) );
		}
		try {
			$hashes   = new RedisHashes( self::connect( $assoc_args ), substr( $pattern, 0, -1 ), $table );
			$importer = $this->importer( 'redis ' . wp_generate_uuid4(), $assoc_args );
			foreach ( $hashes->pages() as $page ) {
				foreach ( $page as $id => $fields ) {
					if ( is_array( $fields ) ) {
						$importer->add( (string) $id, array( 'id' => (string) $id ) + $fields );
					} else {
						$importer->refuse( (string) $id, $fields );
					}
				}
			}
		} catch ( \RedisException $e ) {
			\WP_CLI::error( 'Redis: ' . $e->getMessage() );
		}
		$this->finish( $importer, $assoc_args );
	}

	/**
	 * Connects to Redis.
	 *
	 * @param array $assoc_args Options.
	 * @throws \RedisException If Redis refuses the database.
	 */
	private static function connect( array $assoc_args ): \Redis {
		if ( ! class_exists( 'Redis' ) ) {
			$text = __(
				'PHP has no extension phpredis here: run ticketd import redis on the daemon\'s host.',
				'ticketd'
			);
			\WP_CLI::error( $text );
		}
		$host     = (string) ( $assoc_args['host'] ?? '127.0.0.1' );
		$password = (string) getenv( 'TICKETD_IMPORT_PASSWORD' );
		if ( '' === $password && defined( 'WP_REDIS_PASSWORD' ) ) {
			$password = (string) WP_REDIS_PASSWORD;
		}
		$redis = new \Redis();
		$redis->connect( $host, '/' === $host[0] ? 0 : (int) ( $assoc_args['port'] ?? 6379 ), self::CONNECT_SECONDS );
		if ( '' !== $password ) {
			$redis->auth( $password );
		}
		if ( ! $redis->select( (int) ( $assoc_args['database'] ?? 0 ) ) ) {
			throw new \RedisException( (string) $redis->getLastError() );
		}
		return $redis;
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
				/* translators: %s: the typed text */
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
			isset( $assoc_args['overwrite'] ),
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
			$text = _n( '%d ticket was rejected.', '%d tickets were rejected.', $result['refused'], 'ticketd' );
			\WP_CLI::error( sprintf( $text, $result['refused'] ) );
		}
	}
}
