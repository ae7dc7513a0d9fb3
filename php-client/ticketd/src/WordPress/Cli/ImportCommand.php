<?php
/**
 * The WP-CLI commands that import tickets.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Actor;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Import\Bytes;
use Ticketd\WordPress\Import\Csv;
use Ticketd\WordPress\Import\Importer;
use Ticketd\WordPress\Import\ImportException;
use Ticketd\WordPress\Import\Options;
use Ticketd\WordPress\Import\Report;
use Ticketd\WordPress\Import\SourceTable;
use Ticketd\WordPress\RedisHashes;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Table;

defined( 'ABSPATH' ) || exit;

/**
 * Imports tickets from elsewhere.
 */
final class ImportCommand {

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
	 * Waits for so many microseconds.
	 *
	 * @var callable
	 */
	private $wait;

	/**
	 * Takes the parts.
	 *
	 * @param Api           $api      The daemon's API.
	 * @param Settings      $settings The settings.
	 * @param callable|null $wait     Waits for so many microseconds; null: as usleep() does.
	 */
	public function __construct( Api $api, Settings $settings, ?callable $wait = null ) {
		$this->api      = $api;
		$this->settings = $settings;
		$this->wait     = $wait ?? 'usleep';
	}

	/**
	 * Imports tickets from a CSV file.
	 *
	 * The first line names the fields. A column "id" or "ticket_id" says which ticket a line is; without one, or where
	 * it is empty, a new ticket is made. Lines that an import of the last day has made tickets of make no second ones,
	 * whatever the file's name is; lines that are equal in one file make a ticket each. Several lines about one ticket
	 * are its states, in their order. A ticket that existed before the import and has other values is rejected, not
	 * overwritten: its id may be another customer's.
	 *
	 * Lines may end with LF, CR LF or CR. A byte order mark is understood, and so is a first line "sep=;".
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
	 * [--id-column=<column>]
	 * : The column with the tickets' ids; "id" or "ticket_id" unless it is given.
	 *
	 * [--key-column=<column>]
	 * : A column with keys that are no ticket ids, as T-100. The key is kept in the field of that name, and lines of
	 * one key are about one ticket: the ticket that has the key, else a new one.
	 *
	 * [--again]
	 * : Make tickets also of those lines of which an earlier import has made tickets within the last day.
	 *
	 * [--null=<text>]
	 * : A value that means NULL. A value that is empty is left out unless --null="" is given.
	 *
	 * [--delimiter=<character>]
	 * : What separates values: a character, or its name: tab, comma, semicolon, pipe, space. By default what the first
	 * line says (sep=;), else a comma.
	 *
	 * [--encoding=<name>]
	 * : The file's encoding, unless it has a byte order mark.
	 * ---
	 * default: utf-8
	 * options:
	 *   - utf-8
	 *   - utf-16le
	 *   - utf-16be
	 *   - windows-1252
	 *   - iso-8859-1
	 *   - iso-8859-15
	 * ---
	 *
	 * [--overwrite]
	 * : Set tickets that exist with other values.
	 *
	 * [--dry-run]
	 * : Ask the daemon about every line, and say what the import would say.
	 *
	 * [--refused=<file>]
	 * : Write refused lines to this new file, a CSV file with the columns _line, _field and _reason before those of
	 * the source. Without it the first twenty are shown.
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
	 *     $ wp ticketd import csv tickets.csv --map=State:status --dry-run
	 *     $ wp ticketd import csv log.csv --key-column=number --map=state:status --null=? --refused=refused.csv
	 *     $ cut -d, -f1-5 export.csv | wp ticketd import csv -
	 *
	 * @param string[] $args       The file.
	 * @param array    $assoc_args Options.
	 */
	public function csv( array $args, array $assoc_args ): void {
		$this->import(
			$assoc_args,
			isset( $assoc_args['null'] ) && '' === $assoc_args['null'],
			function ( Importer $importer, Report $report ) use ( $args, $assoc_args ): void {
				$path  = '-' === $args[0] ? Bytes::STDIN : $args[0];
				$bytes = new Bytes( $path, (string) ( $assoc_args['encoding'] ?? '' ) );
				$csv   = new Csv( $bytes, $assoc_args['delimiter'] ?? null );
				$names = $csv->names();
				$importer->begin( $names );
				foreach ( $csv->rows() as $line => $row ) {
					list( $values, $fault ) = $row;
					if ( '' === $fault ) {
						$importer->add( (string) $line, array_combine( $names, $values ) );
					} else {
						$report->refuse( (string) $line, $fault, '', $values );
					}
					$report->progress( $bytes->percent() );
				}
			}
		);
	}

	/**
	 * Imports tickets from a table of this site's database.
	 *
	 * They keep their ids, or, with --key-column, their keys in a field. A ticket that exists with other values is
	 * rejected, not overwritten: its id may be another customer's. A ticket with the same values is passed over, so
	 * the command can be run again.
	 *
	 * ## OPTIONS
	 *
	 * <table>
	 * : The table.
	 *
	 * [--map=<pairs>]
	 * : Pairs column:field, for columns that are named otherwise: "state:status,user:customer_id". A column that is
	 * mapped to nothing is left out: "notes:".
	 *
	 * [--id-column=<column>]
	 * : The column with the tickets' ids; "id" or "ticket_id" unless it is given.
	 *
	 * [--key-column=<column>]
	 * : A column with keys that are no ticket ids, as T-100. The key is kept in the field of that name, and lines of
	 * one key are about one ticket: the ticket that has the key, else a new one.
	 *
	 * [--again]
	 * : Make tickets also of those rows of which an earlier import has made tickets within the last day.
	 *
	 * [--key=<column>]
	 * : The former name of --id-column.
	 *
	 * [--overwrite]
	 * : Set tickets that exist with other values.
	 *
	 * [--dry-run]
	 * : Ask the daemon about every row, and say what the import would say.
	 *
	 * [--refused=<file>]
	 * : Write refused rows to this new file, a CSV file with the columns _line, _field and _reason before those of
	 * the source. Without it the first twenty are shown.
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
	 *     $ wp ticketd import table wp_old_tickets --id-column=ticket_no --map=state:status
	 *     $ wp ticketd import table wp_old_tickets --key-column=code --map=code:old_code
	 *
	 * @param string[] $args       The table.
	 * @param array    $assoc_args Options.
	 * @throws ImportException If the table has no column that tells the tickets; it ends the command.
	 */
	public function table( array $args, array $assoc_args ): void {
		$assoc_args += array( 'id-column' => $assoc_args['key'] ?? '' );
		$this->import(
			$assoc_args,
			true,
			function ( Importer $importer, Report $report ) use ( $args ): void {
				$table   = new SourceTable( $args[0] );
				$columns = $table->columns();
				$size    = $table->size();
				$done    = 0;

				$importer->begin( $columns );
				$key = $importer->identifying();
				if ( '' === $key ) {
					/* translators: %s: names of columns */
					$text = __( 'Name the --id-column or the --key-column; there are: %s.', 'ticketd' );
					throw new ImportException( sprintf( $text, implode( ', ', $columns ) ) );
				}
				foreach ( $table->rows() as $row ) {
					$extra = Table::extra_fields( (string) ( $row['extra'] ?? '' ) );
					$importer->add( (string) ( $row[ $key ] ?? $done + 1 ), $row + $extra );
					++$done;
					$report->progress( 0 === $size ? null : min( 100, intdiv( $done * 100, $size ) ) );
				}
			}
		);
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
	 * : Ask the daemon about every hash, and say what the import would say.
	 *
	 * [--refused=<file>]
	 * : Write refused hashes to this new file, a CSV file with the columns _line, _field and _reason before those of
	 * the source. Without it the first twenty are shown.
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
		$this->import(
			$assoc_args,
			true,
			function ( Importer $importer, Report $report ) use ( $assoc_args, $pattern, $table ): void {
				$importer->begin( array() );
				$hashes = new RedisHashes( self::connect( $assoc_args ), substr( $pattern, 0, -1 ), $table );
				foreach ( $hashes->pages() as $page ) {
					foreach ( $page as $id => $fields ) {
						if ( is_array( $fields ) ) {
							$importer->add( (string) $id, array( 'id' => (string) $id ) + $fields );
						} else {
							$report->refuse( (string) $id, $fields, '', array() );
						}
					}
					$report->progress();
				}
			}
		);
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
	 * Imports from a source, and prints the outcome.
	 *
	 * @param array    $assoc_args Options.
	 * @param bool     $has_empty  Whether an empty value is a value; false: it is left out.
	 * @param callable $read       Reads the source: gets the importer and the report.
	 */
	private function import( array $assoc_args, bool $has_empty, callable $read ): void {
		$failure = '';
		try {
			$options  = Options::of( $assoc_args, $has_empty );
			$report   = self::report( $assoc_args );
			$importer = new Importer( $this->api, $this->settings->table(), $options, $report, $this->wait );
			try {
				Actor::within(
					'import',
					static function () use ( $read, $importer, $report ): void {
						$read( $importer, $report );
						$importer->finish();
					}
				);
			} finally {
				$importer->close();
			}
		} catch ( ImportException $e ) {
			$failure = $e->getMessage();
		} catch ( \RedisException $e ) {
			$failure = 'Redis: ' . $e->getMessage();
		}
		if ( isset( $report ) ) {
			self::finish( $report, $assoc_args, $failure );
		} else {
			\WP_CLI::error( $failure );
		}
	}

	/**
	 * Makes what counts the lines.
	 *
	 * @param array $assoc_args Options.
	 */
	private static function report( array $assoc_args ): Report {
		$warn = static function ( string $text ): void {
			\WP_CLI::warning( $text );
		};
		return new Report( (string) ( $assoc_args['refused'] ?? '' ), $warn, array( Output::class, 'note' ) );
	}

	/**
	 * Prints the outcome.
	 *
	 * @param Report $report     What has counted the lines.
	 * @param array  $assoc_args Options.
	 * @param string $failure    Why the import has ended early; empty: it has not.
	 */
	private static function finish( Report $report, array $assoc_args, string $failure ): void {
		$counts = $report->counts();
		if ( '' === $failure || array_sum( $counts ) > 0 ) {
			Output::rows( array( $counts ), $assoc_args, array_keys( $counts ) );
		}
		if ( ! empty( $assoc_args['dry-run'] ) ) {
			Output::note( __( 'A dry run: no ticket was made or changed.', 'ticketd' ) );
		}
		if ( '' !== $failure ) {
			\WP_CLI::error( $failure );
		}
		if ( $counts['refused'] > 0 ) {
			/* translators: %d: number of lines */
			$text = _n( '%d line was refused.', '%d lines were refused.', $counts['refused'], 'ticketd' );
			$text = sprintf( $text, $counts['refused'] );
			$hint = __( '--refused=<file> writes all of them to a file.', 'ticketd' );
			\WP_CLI::error( isset( $assoc_args['refused'] ) || 0 === $report->hidden() ? $text : "$text $hint" );
		}
	}
}
