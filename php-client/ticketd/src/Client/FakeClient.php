<?php
/**
 * A client for unit tests.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Keeps tickets in memory and answers as a daemon does: revisions grow, a wrong `if_revision` is a conflict, a deleted
 * ticket is not found, a repeated request id gets the first answer. fail_next() makes a call fail, and calls() tells
 * what was called.
 *
 * The fake knows no table: it refuses what the daemon refuses for any table, and otherwise takes every field and
 * returns values as they were given. Its texts are equal without regard to case, its cursors are its own, and MySQL
 * takes every change.
 */
final class FakeClient implements ClientInterface {

	/**
	 * The tickets.
	 *
	 * @var FakeTickets
	 */
	private FakeTickets $tickets;

	/**
	 * Called at a flush with a ticket's id and its pending values; null: no function.
	 *
	 * @var callable|null
	 */
	private $sink = null;

	/**
	 * What describe() answers.
	 *
	 * @var array
	 */
	private array $description = array( 'kind' => 'table' );

	/**
	 * What was answered under each request id: the request and the answer.
	 *
	 * @var array<string, array>
	 */
	private array $answers = array();

	/**
	 * The failures of the next calls: pairs of a method, or an empty text for every method, and the failure.
	 *
	 * @var array[]
	 */
	private array $failures = array();

	/**
	 * The calls.
	 *
	 * @var array[]
	 */
	private array $calls = array();

	/**
	 * The feed and the history.
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
	 * Makes a client without tickets.
	 *
	 * @param callable|null $now Tells the time in seconds since 1970; null: the system's.
	 */
	public function __construct( ?callable $now = null ) {
		$this->now     = $now ?? 'time';
		$this->feed    = new FakeFeed();
		$this->tickets = new FakeTickets( $this->feed, $this->now );
	}

	/**
	 * Makes the next calls fail.
	 *
	 * @param TicketdException|string $failure What is thrown, or its reason: `timeout`, `lost`, or the protocol's code.
	 * @param int                     $times   How many calls.
	 * @param string                  $method  Only calls of this method of the client; empty: whatever they are.
	 */
	public function fail_next( $failure, int $times = 1, string $method = '' ): void {
		if ( 'timeout' === $failure ) {
			$failure = new TimeoutException( new Deadline( Client::DEFAULT_TIMEOUT_MS, 'a call' ), true );
		} elseif ( 'lost' === $failure ) {
			$failure = new LostException( 'a call' );
		} elseif ( is_string( $failure ) ) {
			$is_retryable = in_array( $failure, Protocol::RETRYABLE_CODES, true );
			$failure      = FakeTickets::error( $failure, 'The fake fails.', $is_retryable );
		}
		array_push( $this->failures, ...array_fill( 0, $times, array( $method, $failure ) ) );
	}

	/**
	 * Puts a function in the database's place.
	 *
	 * @param callable|null $sink Called at a flush with a ticket's id, its pending values by field name, and whether it
	 *                            is deleted.
	 */
	public function flush_into( ?callable $sink ): void {
		$this->sink = $sink;
	}

	/**
	 * Sets what describe() answers.
	 *
	 * @param array $description See Client::describe().
	 */
	public function describe_as( array $description ): void {
		$this->description = $description;
	}

	/**
	 * The calls in their order, those that failed too.
	 *
	 * @return array[] Each the method's name and its arguments.
	 */
	public function calls(): array {
		return $this->calls;
	}

	/**
	 * Names who makes the changes from now on; see Client::sign(). fail_next() does not fail it, as it is no call.
	 *
	 * @param string $by  The user; empty: not named.
	 * @param string $via The part of the client; empty: not named.
	 */
	public function sign( string $by, string $via = '' ): void {
		$this->tickets->sign( $by, $via );
	}

	/**
	 * Asks whether the daemon is there, and what it can do.
	 */
	public function ping(): array {
		$this->called( 'ping' );
		return array(
			'version'  => 'fake',
			'protocol' => Protocol::VERSION,
			'features' => array( 'by', 'erase', 'feed', 'feed_status', 'history' ),
		);
	}

	/**
	 * Makes a ticket; see Client::create().
	 *
	 * @param array  $fields     Values by field name.
	 * @param string $request_id Makes the call repeatable.
	 * @param int    $id         The ticket's id; 0: the fake takes the next one.
	 */
	public function create( array $fields, string $request_id = '', int $id = 0 ): array {
		$this->called( 'create', $fields, $request_id, $id );
		return $this->once(
			$request_id,
			self::checked( 'create', 0 === $id ? null : $id, $fields, $request_id ),
			0,
			fn(): array => $this->tickets->create( $id, $fields )
		);
	}

	/**
	 * Merges fields into a ticket; see Client::set().
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name.
	 * @param int    $if_revision Refuse unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable.
	 * @param bool   $must_exist  Refuse unless the ticket exists.
	 */
	public function set(
		int $id,
		array $fields,
		int $if_revision = 0,
		string $request_id = '',
		bool $must_exist = false
	): int {
		$this->called( 'set', $id, $fields, $if_revision, $request_id, $must_exist );
		return $this->set_one( $id, $fields, $if_revision, $request_id, $must_exist );
	}

	/**
	 * Merges fields into several tickets; see Client::set_many().
	 *
	 * @param array  $fields_by_id Fields by ticket id.
	 * @param string $request_id   Makes the call repeatable.
	 * @param bool   $must_exist   Refuse each unless the ticket exists.
	 * @throws InputException If the daemon would refuse the call for any table.
	 */
	public function set_many( array $fields_by_id, string $request_id = '', bool $must_exist = false ): array {
		$this->called( 'set_many', $fields_by_id, $request_id, $must_exist );
		array_map( array( Request::class, 'fields' ), $fields_by_id );
		if ( count( $fields_by_id ) > Protocol::MAX_TICKETS ) {
			throw new InputException( sprintf( 'Give at most %d tickets.', Protocol::MAX_TICKETS ), 'tickets' );
		}
		$outcomes = array();
		$place    = 0;
		foreach ( $fields_by_id as $id => $fields ) {
			$own = '' === $request_id ? '' : $request_id . '#' . $place;
			++$place;
			try {
				$outcomes[ $id ] = $this->set_one( $id, $fields, 0, $own, $must_exist );
			} catch ( DaemonException $refusal ) {
				$outcomes[ $id ] = $refusal;
			} catch ( InputException $refusal ) {
				$outcomes[ $id ] = FakeTickets::error( 'invalid', $refusal->getMessage(), false, $refusal->field() );
			}
		}
		return $outcomes;
	}

	/**
	 * Asks what changes would be answered; see Client::check().
	 *
	 * @param array[] $entries The changes.
	 */
	public function check( array $entries ): array {
		$this->called( 'check', $entries );
		$judged = array();
		foreach ( $entries as $entry ) {
			list( $id, $fields ) = $entry;

			$answer   = $this->answers[ $entry[2] ?? '' ][1] ?? null;
			$judged[] = $this->tickets->judged( is_array( $answer ) ? $answer['id'] : $id, $fields );
		}
		return $judged;
	}

	/**
	 * Reads a ticket; see Client::get().
	 *
	 * @param int $id The ticket's id.
	 */
	public function get( int $id ): array {
		$this->called( 'get', $id );
		Door::check_id( $id );
		return $this->tickets->get( $id );
	}

	/**
	 * Reads several tickets; see Client::get_many().
	 *
	 * @param int[] $ids Ticket ids.
	 * @throws InputException If the daemon would refuse the call for any table.
	 */
	public function get_many( array $ids ): array {
		$this->called( 'get_many', $ids );
		$found = array();
		if ( count( $ids ) > Protocol::MAX_TICKETS ) {
			throw new InputException( sprintf( 'Ask for at most %d tickets.', Protocol::MAX_TICKETS ), 'ids' );
		}
		foreach ( Request::ids( $ids ) as $id ) {
			Door::check_id( $id, 'ids' );
			$found[ $id ] = $this->tickets->find( $id );
		}
		return $found;
	}

	/**
	 * Returns a page of a selection; see Client::list_tickets().
	 *
	 * @param array $args The selection.
	 * @throws InputException If the daemon would refuse the call for any table.
	 */
	public function list_tickets( array $args = array() ): array {
		$this->called( 'list_tickets', $args );
		$found = $this->tickets->selected( new FakeSelection( $args, true ) );
		$args  = Request::query( $args );
		$begin = array_key_exists( 'after', $args ) ? (int) $args['after'] : 0;
		if ( array_key_exists( 'after', $args ) && ( $begin < 1 || (string) $begin !== $args['after'] ) ) {
			throw new InputException( 'It is no cursor: give the next of the page before, unchanged.', 'after' );
		}
		$limit = $args['limit'] ?? Protocol::DEFAULT_LIMIT;
		return array(
			'tickets' => array_slice( $found, $begin, $limit ),
			'next'    => count( $found ) > $begin + $limit ? (string) ( $begin + $limit ) : null,
		);
	}

	/**
	 * Counts the tickets of a selection; see Client::count_tickets().
	 *
	 * @param array $args The selection.
	 */
	public function count_tickets( array $args = array() ): int {
		$this->called( 'count_tickets', $args );
		return count( $this->tickets->selected( new FakeSelection( $args ) ) );
	}

	/**
	 * Counts tickets for each value of a field; see Client::count_tickets_by().
	 *
	 * @param string $field The field's name.
	 * @param array  $args  The selection.
	 */
	public function count_tickets_by( string $field, array $args = array() ): array {
		$this->called( 'count_tickets_by', $field, $args );
		Door::check_name( $field, 'by' );
		$groups = $this->tickets->groups( new FakeSelection( $args ), $field );
		return array(
			'count'  => array_sum( array_column( $groups, 'count' ) ),
			'groups' => $groups,
		);
	}

	/**
	 * Deletes a ticket; see Client::delete().
	 *
	 * @param int    $id         The ticket's id.
	 * @param string $request_id Makes the call repeatable.
	 */
	public function delete( int $id, string $request_id = '' ): int {
		$this->called( 'delete', $id, $request_id );
		return $this->once(
			$request_id,
			self::checked( 'delete', $id, array(), $request_id ),
			0,
			fn(): int => $this->tickets->delete( $id )
		);
	}

	/**
	 * Reads who changed what of a ticket; see Client::history().
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $args `before`, `limit` and `field`.
	 */
	public function history( int $id, array $args = array() ): array {
		$this->called( 'history', $id, $args );
		return $this->feed->history( $id, $args );
	}

	/**
	 * Erases the history of tickets; see Client::erase_history().
	 *
	 * @param int[] $ids Ticket ids.
	 */
	public function erase_history( array $ids ): int {
		$this->called( 'erase_history', $ids );
		return $this->feed->erase( Request::ids( $ids ) );
	}

	/**
	 * Reads the next events of the feed; see Client::feed_read(). It does not wait.
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     `limit` and `lease_ms`.
	 */
	public function feed_read( string $consumer, string $token, array $args = array() ): array {
		$this->called( 'feed_read', $consumer, $token, $args );
		return $this->feed->read( $consumer, $token, $args, ( $this->now )() );
	}

	/**
	 * Moves a consumer's position in the feed; see Client::feed_ack().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     `cursor`, `refused` and `release`.
	 * @throws DaemonException If another process has the position.
	 */
	public function feed_ack( string $consumer, string $token, array $args ): void {
		$this->called( 'feed_ack', $consumer, $token, $args );
		if ( ! $this->feed->ack( $consumer, $token, $args ) ) {
			throw DaemonException::from_wire(
				array(
					'code'    => 'conflict',
					'message' => 'Another process has the position.',
					'field'   => 'token',
				)
			);
		}
	}

	/**
	 * Asks how the feed is; see Client::feed_status(). The fake's destinations are those who have called feed_read().
	 */
	public function feed_status(): array {
		$this->called( 'feed_status' );
		return $this->feed->status();
	}

	/**
	 * Tries, pauses or resumes a destination of the feed; see Client::feed_control().
	 *
	 * @param string $name   The destination's name.
	 * @param string $action `test`, `pause` or `resume`.
	 * @throws DaemonException If there is no such destination.
	 */
	public function feed_control( string $name, string $action ): void {
		$this->called( 'feed_control', $name, $action );
		if ( ! $this->feed->control( $name, $action ) ) {
			throw DaemonException::from_wire(
				array(
					'code'    => 'not_found',
					'message' => sprintf( 'There is no destination %s.', $name ),
					'field'   => 'name',
				)
			);
		}
	}

	/**
	 * Reads the events that a consumer has refused, or that were delivered too often; see Client::feed_dead_list().
	 *
	 * @param string $name  The consumer's name.
	 * @param int    $after Only letters behind this id.
	 * @param int    $limit 1 to 1,000 letters.
	 */
	public function feed_dead_list( string $name, int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array {
		$this->called( 'feed_dead_list', $name, $after, $limit );
		return $this->feed->letters( $name, $after, $limit );
	}

	/**
	 * Sends letters again; see Client::feed_dead_retry(). The fake only forgets them.
	 *
	 * @param string     $name The consumer's name.
	 * @param int[]|null $ids  Letters' ids; null: all.
	 */
	public function feed_dead_retry( string $name, ?array $ids ): int {
		$this->called( 'feed_dead_retry', $name, $ids );
		return $this->feed->forget( $name, $ids );
	}

	/**
	 * Drops letters; see Client::feed_dead_drop().
	 *
	 * @param string     $name The consumer's name.
	 * @param int[]|null $ids  Letters' ids; null: all.
	 */
	public function feed_dead_drop( string $name, ?array $ids ): int {
		$this->called( 'feed_dead_drop', $name, $ids );
		return $this->feed->forget( $name, $ids );
	}

	/**
	 * Flushes changes; see Client::flush().
	 *
	 * @param int[]         $ids        Ticket ids; empty: every changed ticket.
	 * @param callable|null $progress   Called with the numbers of tickets done and in total.
	 * @param int           $timeout_ms Time the flush has, in milliseconds.
	 */
	public function flush(
		array $ids = array(),
		?callable $progress = null,
		int $timeout_ms = Client::FLUSH_TIMEOUT_MS
	): array {
		$this->called( 'flush', $ids, $timeout_ms );
		$flushed = $this->tickets->flush( $ids, $this->sink );
		if ( null !== $progress ) {
			$progress( $flushed, $flushed );
		}
		return array(
			'flushed' => $flushed,
			'dead'    => 0,
		);
	}

	/**
	 * Reads the pending changes of tickets; see Client::waiting().
	 *
	 * @param int[] $ids Ticket ids.
	 */
	public function waiting( array $ids ): array {
		$this->called( 'waiting', $ids );
		$tickets = array();
		foreach ( Request::ids( $ids ) as $id ) {
			$tickets[ $id ] = $this->tickets->waiting( $id );
		}
		return array( 'tickets' => $tickets );
	}

	/**
	 * Asks what kind of site this is; see Client::describe().
	 */
	public function describe(): array {
		$this->called( 'describe' );
		return Result::description( $this->description );
	}

	/**
	 * Reads the dead letters: the fake has none.
	 *
	 * @param int $after Only tickets above this id.
	 * @param int $limit 1 to 1,000 letters.
	 */
	public function dead_list( int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array {
		$this->called( 'dead_list', $after, $limit );
		return array();
	}

	/**
	 * Retries dead letters: the fake has none.
	 *
	 * @param int[]|null $ids Ticket ids; null: all.
	 */
	public function dead_retry( ?array $ids ): int {
		$this->called( 'dead_retry', $ids );
		return 0;
	}

	/**
	 * Drops dead letters: the fake has none.
	 *
	 * @param int[]|null $ids Ticket ids; null: all.
	 */
	public function dead_drop( ?array $ids ): int {
		$this->called( 'dead_drop', $ids );
		return 0;
	}

	/**
	 * Asks how the daemon and this site are.
	 */
	public function status(): array {
		$this->called( 'status' );
		return array(
			'version'         => 'fake',
			'site'            => 'fake',
			'backend'         => 'journal',
			'strategy'        => 'event',
			'dirty'           => $this->tickets->backlog(),
			'dead'            => 0,
			'oldest_dirty_ms' => 0,
			'warnings'        => array(),
		);
	}

	/**
	 * Notes a call, and fails it if it is to fail.
	 *
	 * @param string $method  The method.
	 * @param mixed  ...$args Its arguments.
	 * @throws TicketdException The next of the failures.
	 */
	private function called( string $method, ...$args ): void {
		$this->calls[] = array( $method, $args );
		foreach ( $this->failures as $index => list( $failing, $failure ) ) {
			if ( '' === $failing || $failing === $method ) {
				unset( $this->failures[ $index ] );
				throw $failure;
			}
		}
	}

	/**
	 * Does a change, or returns the answer of the request that it repeats.
	 *
	 * @param string   $request_id  The request id; empty: none.
	 * @param array    $request     What must be the same in a repetition, with the condition.
	 * @param int      $if_revision The condition; 0: none.
	 * @param callable $change      Does the change and returns the answer.
	 * @return mixed The answer.
	 * @throws DaemonException If the id belongs to another request.
	 */
	private function once( string $request_id, array $request, int $if_revision, callable $change ) {
		$request[] = $if_revision;
		$known     = $this->answers[ $request_id ] ?? null;
		if ( null !== $known && $known[0] !== $request ) {
			throw DaemonException::from_wire(
				array(
					'code'    => 'invalid',
					'message' => 'The request id was used for another request.',
					'field'   => 'request_id',
				)
			);
		}
		if ( null !== $known ) {
			return $known[1];
		}
		$answer = $change();
		if ( '' !== $request_id ) {
			$this->answers[ $request_id ] = array( $request, $answer );
		}
		return $answer;
	}

	/**
	 * Refuses a change that the daemon refuses for any table.
	 *
	 * @param string   $method     The method.
	 * @param int|null $id         The ticket's id; null: the fake takes one.
	 * @param array    $fields     Values by field name.
	 * @param string   $request_id The request id; empty: none.
	 * @return array What must be the same in a repetition.
	 * @throws InputException If it is refused.
	 */
	private static function checked( string $method, ?int $id, array $fields, string $request_id ): array {
		$params               = compact( 'id' ) + array( 'fields' => Request::fields( $fields ) );
		$params['request_id'] = '' === $request_id ? 'none' : $request_id;
		Door::check( new Request( $method, $params ) );
		return array( $method, $id, $fields );
	}

	/**
	 * Merges fields into a ticket.
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name.
	 * @param int    $if_revision The condition; 0: none.
	 * @param string $request_id  The request id; empty: none.
	 * @param bool   $must_exist  Refuse unless the ticket exists.
	 */
	private function set_one( int $id, array $fields, int $if_revision, string $request_id, bool $must_exist ): int {
		return $this->once(
			$request_id,
			self::checked( 'set', $id, $fields, $request_id ),
			$if_revision,
			fn(): int => $this->tickets->set( $id, $fields, $if_revision, $must_exist )
		);
	}
}
