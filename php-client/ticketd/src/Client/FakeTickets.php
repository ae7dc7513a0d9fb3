<?php
/**
 * The tickets of the client for unit tests.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Keeps the tickets of a FakeClient, and their changes until a flush.
 */
final class FakeTickets {

	/**
	 * The tickets by id, each with `id`, `revision`, `fields` and `deleted`.
	 *
	 * @var array<int, array>
	 */
	private array $tickets = array();

	/**
	 * The ids of the changed tickets that were not flushed, as keys.
	 *
	 * @var array<int, bool>
	 */
	private array $dirty = array();

	/**
	 * The values that were not flushed, by ticket id and field name.
	 *
	 * @var array<int, array>
	 */
	private array $pending = array();

	/**
	 * The latest revision.
	 *
	 * @var int
	 */
	private int $revision = 0;

	/**
	 * Who makes the changes: `by` and `via`.
	 *
	 * @var array<string, string>
	 */
	private array $signature = array(
		'by'  => '',
		'via' => '',
	);

	/**
	 * Gets every change.
	 *
	 * @var FakeFeed
	 */
	private FakeFeed $feed;

	/**
	 * Tells the time in seconds since 1970.
	 *
	 * @var callable
	 */
	private $now;

	/**
	 * Begins without tickets.
	 *
	 * @param FakeFeed $feed Gets every change.
	 * @param callable $now  Tells the time in seconds since 1970.
	 */
	public function __construct( FakeFeed $feed, callable $now ) {
		$this->feed = $feed;
		$this->now  = $now;
	}

	/**
	 * Names who makes the changes from now on.
	 *
	 * @param string $by  The user; empty: not named.
	 * @param string $via The part of the client; empty: not named.
	 */
	public function sign( string $by, string $via ): void {
		$this->signature = compact( 'by', 'via' );
	}

	/**
	 * Makes a ticket.
	 *
	 * @param int   $id     The ticket's id; 0: the next one.
	 * @param array $fields Values by field name.
	 * @return array `id` and `revision`.
	 * @throws DaemonException If the id is taken.
	 */
	public function create( int $id, array $fields ): array {
		if ( isset( $this->tickets[ $id ] ) ) {
			throw self::error( 'exists', sprintf( 'The id %d is taken.', $id ) );
		}
		$id       = 0 !== $id ? $id : 1 + max( array( 0, ...array_keys( $this->tickets ) ) );
		$revision = $this->change( $id, $fields );
		return compact( 'id', 'revision' );
	}

	/**
	 * Merges fields into a ticket.
	 *
	 * @param int   $id          The ticket's id.
	 * @param array $fields      Values by field name.
	 * @param int   $if_revision The condition; 0: none.
	 * @param bool  $must_exist  Refuse unless the ticket exists.
	 * @return int The new revision.
	 * @throws DaemonException If the ticket is missing or at another revision.
	 */
	public function set( int $id, array $fields, int $if_revision, bool $must_exist ): int {
		if ( $must_exist || 0 !== $if_revision || isset( $this->tickets[ $id ] ) ) {
			$this->require_ticket( $id );
		}
		$have = $this->tickets[ $id ]['revision'] ?? 0;
		if ( 0 !== $if_revision && $have !== $if_revision ) {
			throw DaemonException::from_wire(
				array(
					'code'     => 'conflict',
					'message'  => sprintf( 'The ticket is at revision %d.', $have ),
					'revision' => $have,
				)
			);
		}
		return $this->change( $id, $fields );
	}

	/**
	 * Deletes a ticket; a second deletion changes nothing.
	 *
	 * @param int $id The ticket's id.
	 * @return int The revision of the deletion.
	 * @throws DaemonException If there was never such a ticket.
	 */
	public function delete( int $id ): int {
		if ( ! isset( $this->tickets[ $id ] ) ) {
			$this->require_ticket( $id );
		}
		if ( ! $this->tickets[ $id ]['deleted'] ) {
			$this->change( $id, array(), 'deleted' );
			$this->tickets[ $id ]['deleted'] = true;
		}
		return $this->tickets[ $id ]['revision'];
	}

	/**
	 * The answer of check() to one change.
	 *
	 * @param int|null $id     The ticket's id; null: a new ticket.
	 * @param array    $fields Values by field name.
	 * @return array|DaemonException See Client::check().
	 */
	public function judged( ?int $id, array $fields ) {
		$ticket = $this->tickets[ $id ?? 0 ] ?? null;
		if ( true === ( $ticket['deleted'] ?? false ) ) {
			return self::error( 'not_found', sprintf( 'There is no ticket %d.', $id ) );
		}
		$texts = array_map( 'strval', $ticket['fields'] ?? array() );
		$same  = array_intersect_assoc( array_map( 'strval', $fields ), $texts );
		return array(
			'id'       => $id,
			'revision' => $ticket['revision'] ?? 0,
			'differs'  => array_map( 'strval', array_keys( array_diff_key( $fields, $same ) ) ),
		);
	}

	/**
	 * A ticket as it is returned.
	 *
	 * @param int $id The ticket's id.
	 * @throws DaemonException If the ticket is missing.
	 */
	public function get( int $id ): array {
		$this->require_ticket( $id );
		return self::shown( $this->tickets[ $id ] );
	}

	/**
	 * A ticket as it is returned.
	 *
	 * @param int $id The ticket's id.
	 * @return array|null Null: the ticket is missing.
	 */
	public function find( int $id ): ?array {
		return $this->exists( $id ) ? self::shown( $this->tickets[ $id ] ) : null;
	}

	/**
	 * The tickets of a selection, in its order.
	 *
	 * @param FakeSelection $selection The selection.
	 * @return array[] The tickets as they are returned.
	 */
	public function selected( FakeSelection $selection ): array {
		return array_map( array( self::class, 'shown' ), $selection->sorted( $this->tickets ) );
	}

	/**
	 * Counts the tickets of a selection for each value of a field.
	 *
	 * @param FakeSelection $selection The selection.
	 * @param string        $field     The field's name.
	 * @return array[] Each `value` and `count`, the largest first.
	 */
	public function groups( FakeSelection $selection, string $field ): array {
		$groups = array();
		foreach ( $selection->sorted( $this->tickets ) as $ticket ) {
			$value = $ticket['fields'][ $field ] ?? null;
			$key   = null === $value ? 'null' : 'is ' . $value;

			$groups[ $key ] = array(
				'value' => $value,
				'count' => 1 + ( $groups[ $key ]['count'] ?? 0 ),
			);
		}
		usort( $groups, static fn( array $a, array $b ): int => $b['count'] <=> $a['count'] );
		return $groups;
	}

	/**
	 * Flushes changes.
	 *
	 * @param int[]         $ids  Ticket ids; empty: every changed ticket.
	 * @param callable|null $sink Called with a ticket's id, its pending values, and whether it is deleted.
	 * @return int How many tickets were flushed.
	 */
	public function flush( array $ids, ?callable $sink ): int {
		$flushed     = array() === $ids ? $this->dirty : array_intersect_key( $this->dirty, array_flip( $ids ) );
		$this->dirty = array_diff_key( $this->dirty, $flushed );
		foreach ( array_keys( $flushed ) as $id ) {
			if ( null !== $sink ) {
				$sink( $id, $this->pending[ $id ] ?? array(), $this->tickets[ $id ]['deleted'] );
			}
			unset( $this->pending[ $id ] );
		}
		return count( $flushed );
	}

	/**
	 * The number of changed tickets that were not flushed.
	 */
	public function backlog(): int {
		return count( $this->dirty );
	}

	/**
	 * The pending changes of a ticket.
	 *
	 * @param int $id The ticket's id.
	 * @return array|null `revision` and `fields`; null: without pending changes.
	 */
	public function waiting( int $id ): ?array {
		return ! isset( $this->pending[ $id ] ) ? null : array(
			'revision' => $this->tickets[ $id ]['revision'],
			'fields'   => $this->pending[ $id ],
		);
	}

	/**
	 * An error as the daemon answers with.
	 *
	 * @param string $code      The code.
	 * @param string $message   The text for people.
	 * @param bool   $retryable Whether the same call may succeed later.
	 * @param string $field     The field to blame.
	 */
	public static function error(
		string $code,
		string $message,
		bool $retryable = false,
		string $field = ''
	): DaemonException {
		return DaemonException::from_wire( compact( 'code', 'message', 'retryable', 'field' ) );
	}

	/**
	 * Changes a ticket, which is made if it is missing.
	 *
	 * @param int    $id     The ticket's id.
	 * @param array  $fields Values by field name.
	 * @param string $kind   The kind of the event, for an existing ticket: `updated` or `deleted`.
	 * @return int The new revision.
	 */
	private function change( int $id, array $fields, string $kind = 'updated' ): int {
		$seconds = ( $this->now )();
		$now     = gmdate( 'Y-m-d H:i:s', $seconds );
		$before  = $this->tickets[ $id ] ?? null;
		foreach ( $fields as $name => $value ) {
			$fields[ $name ] = is_bool( $value ) ? (int) $value : $value;
		}
		$old = $this->tickets[ $id ]['fields'] ?? array( 'created_at' => $now );

		$this->pending[ $id ] = array_merge( $this->pending[ $id ] ?? array(), $fields );
		$this->dirty[ $id ]   = true;
		$this->tickets[ $id ] = array(
			'id'       => $id,
			'revision' => ++$this->revision,
			'fields'   => array_merge( $old, array( 'updated_at' => $now ), $fields ),
			'deleted'  => false,
		);

		$more = array( 'at_us' => $seconds * 1000000 ) + $this->signature;
		$this->feed->add( null === $before ? 'created' : $kind, $this->tickets[ $id ], $before, $fields, $more );
		return $this->revision;
	}

	/**
	 * Whether there is a ticket.
	 *
	 * @param int $id The ticket's id.
	 */
	private function exists( int $id ): bool {
		return false === ( $this->tickets[ $id ]['deleted'] ?? true );
	}

	/**
	 * Refuses a call for a missing ticket.
	 *
	 * @param int $id The ticket's id.
	 * @throws DaemonException If the ticket is missing.
	 */
	private function require_ticket( int $id ): void {
		if ( ! $this->exists( $id ) ) {
			throw self::error( 'not_found', sprintf( 'There is no ticket %d.', $id ) );
		}
	}

	/**
	 * A ticket as it is returned.
	 *
	 * @param array $ticket The ticket.
	 */
	private static function shown( array $ticket ): array {
		unset( $ticket['deleted'] );
		return $ticket;
	}
}
