<?php
/**
 * A line of an import.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * A line, row or hash of the source, as fields of a ticket.
 */
final class Line {

	/**
	 * Where the line stands in the source.
	 *
	 * @var string
	 */
	public string $place;

	/**
	 * Which ticket the line is about: lines of the same ticket have the same text.
	 *
	 * @var string
	 */
	public string $ticket = '';

	/**
	 * The ticket's id; 0: it is not known.
	 *
	 * @var int
	 */
	public int $id = 0;

	/**
	 * The source's key of the ticket; may be empty.
	 *
	 * @var string
	 */
	public string $key = '';

	/**
	 * The request id under which the line makes a ticket; empty: it does not.
	 *
	 * @var string
	 */
	public string $request_id = '';

	/**
	 * Values by field.
	 *
	 * @var array<string, string|null>
	 */
	public array $fields;

	/**
	 * The line's values by column.
	 *
	 * @var array<string, string|null>
	 */
	public array $row;

	/**
	 * Takes the line.
	 *
	 * @param string $place  Where it stands.
	 * @param array  $row    Its values by column.
	 * @param array  $fields Values by field.
	 */
	public function __construct( string $place, array $row, array $fields ) {
		$this->place  = $place;
		$this->row    = $row;
		$this->fields = $fields;
	}

	/**
	 * About how many bytes the line takes in a request.
	 */
	public function size(): int {
		return array_sum( array_map( 'strlen', array_map( 'strval', $this->fields ) ) );
	}
}
