<?php
/**
 * Imports tickets.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\InputException;

defined( 'ABSPATH' ) || exit;

/**
 * Sends tickets with ids to the daemon by the hundred, and makes tickets without ids one by one. Every call has a
 * request id made of the source and the place in it, so that an interrupted import can be run again.
 *
 * A taken id may belong to another customer's ticket. So the daemon is asked for all ids first: an existing ticket
 * with other values is refused unless the operator chose to overwrite.
 */
final class Importer {

	/** Tickets of a call: few enough for a frame even if each has long texts. */
	private const BATCH = 100;

	/** Columns that hold a ticket's id. */
	private const IDS = array( 'id', 'ticket_id' );

	/** Columns that are the daemon's own. */
	private const LEFT_OUT = array( 'revision', 'extra' );

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
	 * The tickets table, once it was asked for; false where its columns are not known.
	 *
	 * @var Table|false|null
	 */
	private $columns = null;

	/**
	 * Where the tickets come from.
	 *
	 * @var string
	 */
	private string $source;

	/**
	 * Fields by column; a column that is not here is the field of its name.
	 *
	 * @var array<string, string>
	 */
	private array $map;

	/**
	 * The text that means NULL; null: none does.
	 *
	 * @var string|null
	 */
	private ?string $null;

	/**
	 * Whether nothing is sent.
	 *
	 * @var bool
	 */
	private bool $is_dry;

	/**
	 * Whether tickets are set that exist with other values.
	 *
	 * @var bool
	 */
	private bool $overwrites;

	/**
	 * Gets what was rejected: place and reason.
	 *
	 * @var callable
	 */
	private $report;

	/**
	 * Tickets to be sent, fields by id.
	 *
	 * @var array<int, array>
	 */
	private array $batch = array();

	/**
	 * Where they stand in the source, by id.
	 *
	 * @var array<int, string>
	 */
	private array $places = array();

	/**
	 * Highest id so far.
	 *
	 * @var int
	 */
	private int $highest = 0;

	/**
	 * Counts of tickets by outcome.
	 *
	 * @var array{created: int, set: int, unchanged: int, refused: int}
	 */
	private array $counts = array(
		'created'   => 0,
		'set'       => 0,
		'unchanged' => 0,
		'refused'   => 0,
	);

	/**
	 * Takes the parts.
	 *
	 * @param Api      $api        The daemon's API.
	 * @param string   $table      Name of the tickets table.
	 * @param string   $source     Where the tickets come from; part of the request ids.
	 * @param array    $map        Fields by column; an empty field: the column is left out.
	 * @param ?string  $null       The text that means NULL; null: none does.
	 * @param bool     $is_dry     Whether nothing is sent.
	 * @param bool     $overwrites Whether tickets are set that exist with other values.
	 * @param callable $report     Gets what was rejected: place and reason.
	 */
	public function __construct(
		Api $api,
		string $table,
		string $source,
		array $map,
		?string $null,
		bool $is_dry,
		bool $overwrites,
		callable $report
	) {
		$this->api        = $api;
		$this->table      = $table;
		$this->source     = $source;
		$this->map        = $map;
		$this->null       = $null;
		$this->is_dry     = $is_dry;
		$this->overwrites = $overwrites;
		$this->report     = $report;
	}

	/**
	 * Takes a ticket.
	 *
	 * @param string $place The place in the source.
	 * @param array  $row   Texts or nulls by column.
	 */
	public function add( string $place, array $row ): void {
		$id     = '';
		$fields = array();
		foreach ( $row as $column => $value ) {
			$name = $this->map[ $column ] ?? trim( (string) $column );
			if ( in_array( $name, self::IDS, true ) ) {
				$id = (string) $value;
			} elseif ( '' !== $name && ! in_array( $name, self::LEFT_OUT, true ) ) {
				$fields[ $name ] = $value === $this->null ? null : $value;
			}
		}
		if ( array() === $fields ) {
			$this->refuse( $place, __( 'There are no fields.', 'ticketd' ) );
		} elseif ( '' === $id ) {
			$this->create( $place, $fields );
		} elseif ( (string) (int) $id !== $id || (int) $id < 1 ) {
			/* translators: %s: a text */
			$this->refuse( $place, sprintf( __( '"%s" is no ticket id.', 'ticketd' ), $id ) );
		} else {
			if ( isset( $this->batch[ (int) $id ] ) || count( $this->batch ) === self::BATCH ) {
				$this->send();
			}
			$this->batch[ (int) $id ]  = $fields;
			$this->places[ (int) $id ] = $place;
			$this->highest             = max( $this->highest, (int) $id );
		}
	}

	/**
	 * Counts a ticket as refused and says why.
	 *
	 * @param string $place  The place in the source.
	 * @param string $reason Why.
	 */
	public function refuse( string $place, string $reason ): void {
		++$this->counts['refused'];
		( $this->report )( $place, $reason );
	}

	/**
	 * Sends what is left.
	 *
	 * @return array{created: int, set: int, unchanged: int, refused: int} Counts of tickets.
	 */
	public function finish(): array {
		$this->send();
		if ( 0 !== $this->highest && ! $this->is_dry ) {
			Sequence::raise( $this->table, $this->highest );
		}
		return $this->counts;
	}

	/**
	 * Makes a ticket.
	 *
	 * @param string $place  The place in the source.
	 * @param array  $fields The fields.
	 */
	private function create( string $place, array $fields ): void {
		$created = $this->is_dry ? array() : $this->api->create( $fields, $this->request_id( $place, $fields ) );
		if ( is_wp_error( $created ) ) {
			$this->refuse( $place, self::reason( $created ) );
		} else {
			++$this->counts['created'];
		}
	}

	/**
	 * Sends the tickets that wait, but for those that exist.
	 */
	private function send(): void {
		$batch       = $this->batch;
		$this->batch = array();
		$existing    = array() === $batch ? array() : $this->api->get_many( array_keys( $batch ) );
		if ( is_wp_error( $existing ) ) {
			$this->record( array_fill_keys( array_keys( $batch ), $existing ) );
		} else {
			$is_new = fn( int $id ): bool => $this->admits( $id, $batch, $existing );
			$this->set( array_filter( $batch, $is_new, ARRAY_FILTER_USE_KEY ) );
		}
		$this->places = array();
	}

	/**
	 * Whether a ticket has to be sent; an unchanged ticket is counted here.
	 *
	 * @param int   $id       The ticket's id.
	 * @param array $batch    Fields by ticket id.
	 * @param array $existing The daemon's tickets, or nulls, by id.
	 */
	private function admits( int $id, array $batch, array $existing ): bool {
		if ( ! isset( $existing[ $id ] ) ) {
			return true;
		}
		$differ = $this->different( $batch[ $id ], $existing[ $id ]['fields'] );
		if ( array() === $differ ) {
			// The revision 1 may mean a plugin's own hash or row: sending the same values makes it a ticket of
			// ticketd.
			$is_set = $existing[ $id ]['revision'] > 1;

			$this->counts['unchanged'] += $is_set ? 1 : 0;
			return ! $is_set;
		}
		if ( ! $this->overwrites ) {
			/* translators: %s: names of fields */
			$text = __( 'The ticket exists and differs in %s; --overwrite sets the imported values.', 'ticketd' );
			$this->refuse( $this->places[ $id ], sprintf( $text, implode( ', ', $differ ) ) );
		}
		return $this->overwrites;
	}

	/**
	 * The fields that a ticket has otherwise.
	 *
	 * @param array $fields Values by field name, as they are sent.
	 * @param array $have   Values by field name, as the daemon has them.
	 * @return string[] Their names.
	 */
	private function different( array $fields, array $have ): array {
		$this->columns ??= Table::describe( $this->table ) ?? false;
		$differ          = array();
		foreach ( $fields as $name => $value ) {
			$had  = isset( $have[ $name ] ) ? (string) $have[ $name ] : null;
			$sent = null === $value ? null : $this->stored( (string) $name, $value );
			if ( $sent !== $had ) {
				$differ[] = (string) $name;
			}
		}
		return $differ;
	}

	/**
	 * A value as the daemon returns it once it is set.
	 *
	 * @param string $field The field's name.
	 * @param string $value The value, as it is sent.
	 */
	private function stored( string $field, string $value ): string {
		try {
			return false === $this->columns ? $value : $this->columns->selectable( $field )->checked( $value );
		} catch ( InputException $e ) { // No such column, or a value that it refuses: the daemon gives the reason.
			return $value;
		}
	}

	/**
	 * Sets tickets.
	 *
	 * @param array $batch Fields by ticket id.
	 */
	private function set( array $batch ): void {
		if ( array() === $batch ) {
			return;
		}
		$outcomes = $this->is_dry
			? array_fill_keys( array_keys( $batch ), 1 )
			: $this->api->set_many( $batch, $this->request_id( (string) array_key_first( $batch ), $batch ) );
		$this->record( is_wp_error( $outcomes ) ? array_fill_keys( array_keys( $batch ), $outcomes ) : $outcomes );
	}

	/**
	 * Counts outcomes.
	 *
	 * @param array<int, int|\WP_Error> $outcomes Revisions or refusals by ticket id.
	 */
	private function record( array $outcomes ): void {
		foreach ( $outcomes as $id => $outcome ) {
			if ( is_wp_error( $outcome ) ) {
				$this->refuse( $this->places[ $id ], self::reason( $outcome ) );
			} else {
				++$this->counts['set'];
			}
		}
	}

	/**
	 * The request id of a call: the same for the same tickets at the same place of the same source.
	 *
	 * @param string $place  Where it stands.
	 * @param array  $fields What is sent.
	 */
	private function request_id( string $place, array $fields ): string {
		return 'import-' . md5( $this->source . "\0" . $place . "\0" . wp_json_encode( $fields ) );
	}

	/**
	 * Why something was refused.
	 *
	 * @param \WP_Error $error The refusal.
	 */
	private static function reason( \WP_Error $error ): string {
		$field = (string) ( $error->get_error_data()['field'] ?? '' );
		return ( '' === $field ? '' : $field . ': ' ) . $error->get_error_message();
	}
}
