<?php
/**
 * Imports tickets.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Sequence;
use Ticketd\WordPress\Table;

defined( 'ABSPATH' ) || exit;

/**
 * Asks the daemon about lines by the hundred, and sends those that change something. A dry run asks the same, and
 * therefore says what the import would say.
 *
 * A taken id may belong to another customer's ticket: a line that would change a ticket which this import has not made
 * is refused, unless the operator chose to overwrite. Several lines may be about the same ticket, one state after the
 * other: each is set in its turn. Where the ticket already has the last of these states, all of them were imported
 * before.
 */
final class Importer {

	/** Lines of a call, and bytes of their values: few enough for a frame and for the daemon's time. */
	private const LINES = 100;
	private const BYTES = 1000000;

	/** Lines about one ticket that are kept together beyond that. */
	private const MOST_LINES = 1000;

	/** How often a call is tried while the daemon cannot answer, about 25 s in total; each pause is twice the last. */
	private const TRIES       = 8;
	private const FIRST_PAUSE = 200000;

	/** Failures that are not those of a line. */
	private const FATAL = array( 'ticketd_forbidden', 'ticketd_unknown_method', 'ticketd_protocol' );

	/** The revision of a row or hash that another program wrote: a set makes it a ticket. */
	private const UNWRITTEN = 1;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Name of the tickets table.
	 *
	 * @var string
	 */
	private string $table;

	/**
	 * The options.
	 *
	 * @var Options
	 */
	private Options $options;

	/**
	 * What counts the lines.
	 *
	 * @var Report
	 */
	private Report $report;

	/**
	 * Waits for so many microseconds.
	 *
	 * @var callable
	 */
	private $wait;

	/**
	 * What makes lines of rows.
	 *
	 * @var Columns
	 */
	private Columns $columns;

	/**
	 * The tickets of the source's keys; null: the source has no keys.
	 *
	 * @var Keys|null
	 */
	private ?Keys $keys = null;

	/**
	 * Lines that are not sent yet, by ticket.
	 *
	 * @var array<string, Line[]>
	 */
	private array $batch = array();

	/**
	 * How many lines wait.
	 *
	 * @var int
	 */
	private int $lines = 0;

	/**
	 * How many bytes wait.
	 *
	 * @var int
	 */
	private int $bytes = 0;

	/**
	 * The tickets that this import has made.
	 *
	 * @var array<string, true>
	 */
	private array $made = array();

	/**
	 * What the earlier lines of a dry run would have set, by ticket.
	 *
	 * @var array<string, array>
	 */
	private array $planned = array();

	/**
	 * Highest id of a ticket that was set.
	 *
	 * @var int
	 */
	private int $highest = 0;

	/**
	 * Takes the parts.
	 *
	 * @param Api      $api     The daemon's API.
	 * @param string   $table   Name of the tickets table.
	 * @param Options  $options The options.
	 * @param Report   $report  What counts the lines.
	 * @param callable $wait    Waits for so many microseconds.
	 */
	public function __construct( Api $api, string $table, Options $options, Report $report, callable $wait ) {
		$this->api     = $api;
		$this->table   = $table;
		$this->options = $options;
		$this->report  = $report;
		$this->wait    = $wait;
	}

	/**
	 * Takes the source's columns, before the first line.
	 *
	 * @param string[] $columns Their names; none: each line has its own.
	 * @throws ImportException If the options do not fit the columns, or the keys of the tickets cannot be read.
	 */
	public function begin( array $columns ): void {
		$this->columns = new Columns( $columns, $this->options );
		$this->report->begin( $columns );
		$this->tell_extra();
		if ( '' !== $this->options->key_column ) {
			$this->asked( fn() => $this->api->flush() );
			$this->keys = new Keys( $this->table, $this->columns->key_field() );
		}
	}

	/**
	 * Says which fields the table has no column for: "title" may have been meant as the subject.
	 */
	private function tell_extra(): void {
		$table = Table::describe( $this->table );
		if ( null === $table || ! $table->has_extra() ) {
			return;
		}
		$lacks  = static fn( string $name ): bool => ! $table->has( $name );
		$fields = array_filter( $this->columns->fields(), $lacks );
		if ( array() !== $fields ) {
			/* translators: %s: names of fields */
			$text = __( 'Fields for which the table has no column go into "extra": %s.', 'ticketd' );
			$this->report->tell( sprintf( $text, implode( ', ', $fields ) ) );
		}
	}

	/**
	 * The column with the ids or the keys; may be empty.
	 */
	public function identifying(): string {
		return $this->columns->identifying();
	}

	/**
	 * Takes a line.
	 *
	 * @param string $place The place in the source.
	 * @param array  $row   Texts or nulls by column.
	 */
	public function add( string $place, array $row ): void {
		$line = $this->columns->line( $place, $row );
		if ( is_string( $line ) ) {
			$this->report->refuse( $place, $line, '', $row );
			return;
		}
		$size = $line->size();
		$most = isset( $this->batch[ $line->ticket ] ) ? self::MOST_LINES : self::LINES;
		if ( $this->lines >= $most || $this->bytes + $size > self::BYTES ) {
			$this->send();
		}
		$this->batch[ $line->ticket ][] = $line;

		++$this->lines;
		$this->bytes += $size;
	}

	/**
	 * Sends what is left.
	 */
	public function finish(): void {
		$this->send();
	}

	/**
	 * Keeps the ids of the tickets that were set from being given to new tickets, also after a failure.
	 */
	public function close(): void {
		if ( 0 !== $this->highest ) {
			Sequence::raise( $this->table, $this->highest );
		}
	}

	/**
	 * Sends the lines that wait: of each ticket the first, then of each the second.
	 */
	private function send(): void {
		$batch       = $this->batch;
		$this->batch = array();
		$this->lines = 0;
		$this->bytes = 0;
		$batch       = $this->without_imported( $batch );
		while ( array() !== $batch ) {
			$step = array();
			foreach ( array_keys( $batch ) as $ticket ) {
				$step[] = array_shift( $batch[ $ticket ] );
			}
			$batch = array_filter( $batch );
			$this->step( $step );
		}
	}

	/**
	 * Counts the lines of tickets that already have the last of several states, and may not be set.
	 *
	 * @param array<string, Line[]> $batch Lines by ticket.
	 * @return array<string, Line[]> The others.
	 */
	private function without_imported( array $batch ): array {
		$entries = array();
		foreach ( $batch as $ticket => $lines ) {
			$id = $this->id_of( $lines[0] );
			if ( count( $lines ) > 1 && 0 !== $id && ! $this->may_set( $ticket ) ) {
				$states             = array_column( $lines, 'fields' );
				$entries[ $ticket ] = array( $id, array_merge( ...$states ) );
			}
		}
		$answers = array_combine( array_keys( $entries ), $this->check( array_values( $entries ) ) );
		foreach ( $answers as $ticket => $met ) {
			if ( is_array( $met ) && $met['revision'] > self::UNWRITTEN && array() === $met['differs'] ) {
				$this->report->count( 'unchanged', count( $batch[ $ticket ] ) );
				unset( $batch[ $ticket ] );
			}
		}
		return $batch;
	}

	/**
	 * Judges and sends lines of as many tickets.
	 *
	 * @param Line[] $lines The lines.
	 */
	private function step( array $lines ): void {
		$lines = array_values( array_filter( $lines, array( $this, 'admits' ) ) );
		$sent  = array();
		foreach ( $this->check( array_map( array( $this, 'entry' ), $lines ) ) as $index => $met ) {
			$line    = $lines[ $index ];
			$outcome = is_wp_error( $met ) ? $met : $this->judge( $line, $met );
			if ( is_wp_error( $outcome ) ) {
				$this->refuse( $line, $outcome );
			} elseif ( 'unchanged' === $outcome ) {
				$this->report->count( $outcome );
			} elseif ( $this->options->is_dry ) {
				$this->plan( $line, $outcome );
			} elseif ( 0 === $this->id_of( $line ) ) {
				$this->create( $line );
			} else {
				$sent[] = array( $line, $outcome );
			}
		}
		$this->set( $sent );
	}

	/**
	 * Whether a line's key belongs to one ticket, or to none yet. Other lines are refused here.
	 *
	 * @param Line $line The line.
	 */
	private function admits( Line $line ): bool {
		if ( null === $this->keys ) {
			return true;
		}
		$double  = $this->keys->find_double( $line->key );
		$deleted = $this->options->makes_again ? 0 : $this->keys->find_deleted( $line->key );
		if ( array() !== $double ) {
			/* translators: 1: a ticket's id, 2: a ticket's id, 3: a text */
			$text = __( 'The tickets %1$d and %2$d both have the key %3$s.', 'ticketd' );
			$text = sprintf( $text, $double[0], $double[1], $line->key );
		} elseif ( 0 !== $deleted ) {
			$text = self::deleted( $deleted );
		} else {
			return true;
		}
		$this->report->refuse( $line->place, $text, '', $line->row );
		return false;
	}

	/**
	 * Why a line makes no ticket that has made a ticket before.
	 *
	 * @param int $id The ticket's id.
	 */
	private static function deleted( int $id ): string {
		/* translators: %d: a ticket's id */
		$text = __( 'Ticket %d was made of this line and deleted since; --again makes another.', 'ticketd' );
		return sprintf( $text, $id );
	}

	/**
	 * The ticket's id of a line; 0: there is no ticket yet.
	 *
	 * @param Line $line The line.
	 */
	private function id_of( Line $line ): int {
		return null === $this->keys ? $line->id : $this->keys->find( $line->key );
	}

	/**
	 * What the daemon is asked about a line.
	 *
	 * @param Line $line The line.
	 * @return array An entry of check.
	 */
	private function entry( Line $line ): array {
		$id = $this->id_of( $line );
		if ( 0 !== $id ) {
			return array( $id, $line->fields );
		}
		if ( isset( $this->planned[ $line->ticket ] ) ) {
			return array( null, array_merge( $this->planned[ $line->ticket ], $line->fields ) );
		}
		return array( null, $line->fields, $line->request_id );
	}

	/**
	 * Says what is to be done with a line.
	 *
	 * @param Line  $line The line.
	 * @param array $met  What the daemon says of it.
	 * @return string|\WP_Error `created`, `changed`, `unchanged`, or why the line is refused.
	 */
	private function judge( Line $line, array $met ) {
		if ( 0 === $met['revision'] && null !== $met['id'] && 0 === $this->id_of( $line ) ) {
			return new \WP_Error( 'ticketd_import', self::deleted( $met['id'] ) );
		}
		$planned = $this->planned[ $line->ticket ] ?? array();
		if ( 0 === $met['revision'] && array() === $planned ) {
			return 'created';
		}
		$differs = array();
		foreach ( $line->fields as $field => $value ) {
			$is_planned = array_key_exists( $field, $planned );
			if ( $is_planned ? $planned[ $field ] !== $value : in_array( (string) $field, $met['differs'], true ) ) {
				$differs[] = $field;
			}
		}
		if ( array() === $differs ) {
			return self::UNWRITTEN === $met['revision'] && array() === $planned ? 'changed' : 'unchanged';
		}
		if ( $this->may_set( $line->ticket ) ) {
			return 'changed';
		}
		/* translators: %s: names of fields */
		$text = __( 'The ticket exists and differs in %s; --overwrite sets the imported values.', 'ticketd' );
		$text = sprintf( $text, implode( ', ', $differs ) );
		return new \WP_Error( 'ticketd_import', $text, array( 'field' => (string) $differs[0] ) );
	}

	/**
	 * Whether a ticket may be set that has other values.
	 *
	 * @param string $ticket Which ticket a line is about.
	 */
	private function may_set( string $ticket ): bool {
		return $this->options->overwrites || isset( $this->made[ $ticket ] );
	}

	/**
	 * Counts a line of a dry run, and remembers what it would set.
	 *
	 * @param Line   $line    The line.
	 * @param string $outcome What would be done.
	 */
	private function plan( Line $line, string $outcome ): void {
		$this->report->count( $outcome );
		if ( 'created' === $outcome ) {
			$this->made[ $line->ticket ] = true;
		}
		$this->planned[ $line->ticket ] = array_merge( $this->planned[ $line->ticket ] ?? array(), $line->fields );
	}

	/**
	 * Makes a ticket.
	 *
	 * @param Line $line The line.
	 */
	private function create( Line $line ): void {
		$created = $this->asked( fn() => $this->api->create( $line->fields, $line->request_id ) );
		if ( is_wp_error( $created ) ) {
			$this->refuse( $line, $created );
			return;
		}
		$this->report->count( 'created' );
		if ( null !== $this->keys ) {
			$this->keys->add( $line->key, $created['id'] );
			$this->made[ $line->ticket ] = true;
		}
	}

	/**
	 * Sets tickets.
	 *
	 * @param array $lines Lines of different tickets, each with its outcome.
	 */
	private function set( array $lines ): void {
		$open = array();
		foreach ( $lines as list( $line ) ) {
			$open[ $this->id_of( $line ) ] = $line->fields;
		}
		$answers = array();
		for ( $try = 1; array() !== $open && $try <= self::TRIES; ++$try ) {
			if ( $try > 1 ) {
				( $this->wait )( self::FIRST_PAUSE << ( $try - 2 ) );
			}
			$answer  = $this->asked( fn() => $this->api->set_many( $open ) );
			$answers = ( is_array( $answer ) ? $answer : array_fill_keys( array_keys( $open ), $answer ) ) + $answers;
			$open    = array_intersect_key( $open, array_filter( $answers, array( self::class, 'is_passing' ) ) );
		}
		foreach ( $lines as list( $line, $outcome ) ) {
			$id = $this->id_of( $line );
			if ( is_wp_error( $answers[ $id ] ) ) {
				$this->refuse( $line, $answers[ $id ] );
				continue;
			}
			$this->report->count( $outcome );
			$this->highest = max( $this->highest, $id );
			if ( 'created' === $outcome ) {
				$this->made[ $line->ticket ] = true;
			}
		}
		if ( array() !== $open ) {
			self::stop( $answers[ array_key_first( $open ) ] );
		}
	}

	/**
	 * Counts a line as refused.
	 *
	 * @param Line      $line  The line.
	 * @param \WP_Error $error Why.
	 */
	private function refuse( Line $line, \WP_Error $error ): void {
		$field = (string) ( $error->get_error_data()['field'] ?? '' );
		$text  = $error->get_error_message();
		if ( 'request_id' === $field ) {
			$field = '';
			$text  = __( 'An import made a ticket of this line, with other fields; --again makes another.', 'ticketd' );
		}
		$this->report->refuse( $line->place, $text, $field, $line->row );
	}

	/**
	 * Asks the daemon about lines.
	 *
	 * @param array[] $entries Entries of check.
	 * @return array<int, array|\WP_Error> In their order.
	 */
	private function check( array $entries ): array {
		if ( array() === $entries ) {
			return array();
		}
		$answers = $this->asked(
			function () use ( $entries ) {
				$answers = $this->api->check( $entries );
				$all     = is_array( $answers ) ? $answers : array();
				$passing = array_filter( $all, array( self::class, 'is_passing' ) );
				return array() === $passing ? $answers : reset( $passing );
			}
		);
		return is_array( $answers ) ? $answers : array_fill( 0, count( $entries ), $answers );
	}

	/**
	 * Makes a call, again and again while the daemon cannot answer.
	 *
	 * @param callable $call Makes it.
	 * @return mixed What the call returned; an error says what is wrong with the lines.
	 */
	private function asked( callable $call ) {
		$answer = $call();
		for ( $try = 1; $try < self::TRIES; ++$try ) {
			if ( ! self::is_passing( $answer ) ) {
				break;
			}
			( $this->wait )( self::FIRST_PAUSE << ( $try - 1 ) );
			$answer = $call();
		}
		$code = is_wp_error( $answer ) ? $answer->get_error_code() : '';
		if ( self::is_passing( $answer ) || in_array( $code, self::FATAL, true ) ) {
			self::stop( $answer );
		}
		return $answer;
	}

	/**
	 * Whether an answer may be another one later.
	 *
	 * @param mixed $answer The answer.
	 */
	private static function is_passing( $answer ): bool {
		return is_wp_error( $answer ) && true === ( $answer->get_error_data()['retryable'] ?? false );
	}

	/**
	 * Ends the import.
	 *
	 * @param \WP_Error $error Why.
	 * @throws ImportException Always.
	 */
	private static function stop( \WP_Error $error ): void {
		/* translators: %s: why */
		$text = __( 'The import has ended early, run the same command again to go on: %s', 'ticketd' );
		throw new ImportException( sprintf( $text, $error->get_error_message() ) );
	}
}
