<?php
/**
 * The client for WordPress code.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Client;
use Ticketd\Client\ClientInterface;
use Ticketd\Client\Protocol;
use Ticketd\Client\TicketdException;

defined( 'ABSPATH' ) || exit;

/**
 * Calls the daemon for the current blog and returns a WP_Error if the client throws. The parameters and values are
 * those of the client's methods.
 *
 * While the daemon is unreachable changes are spooled, see SpoolingClient, and reads are answered by the database and
 * the spool, see Fallback.
 */
final class Api {

	/** The methods of SpoolingClient. */
	private const CHANGES = array(
		'create'   => true,
		'set'      => true,
		'set_many' => true,
		'delete'   => true,
	);

	/** The methods that Client and Fallback have, with the protocol's names of them. */
	private const READS = array(
		'get'              => 'get',
		'get_many'         => 'get_many',
		'list_tickets'     => 'list',
		'count_tickets'    => 'count',
		'count_tickets_by' => 'count',
	);

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * The changes of this PHP request.
	 *
	 * @var OwnChanges
	 */
	private OwnChanges $own;

	/**
	 * The calls of this PHP request.
	 *
	 * @var Calls
	 */
	private Calls $calls;

	/**
	 * The clients of the daemon.
	 *
	 * @var Clients
	 */
	private Clients $clients;

	/**
	 * Takes the settings; the first call connects.
	 *
	 * @param Settings $settings The settings.
	 */
	public function __construct( Settings $settings ) {
		$this->settings = $settings;
		$this->own      = new OwnChanges();
		$this->calls    = new Calls();
		$this->clients  = new Clients( $settings );
	}

	/**
	 * Makes all calls of this PHP request with another client, so that a plugin's tests need no daemon.
	 *
	 * @param ClientInterface|null $client A FakeClient, for instance; null: the daemon's again.
	 */
	public function use_client( ?ClientInterface $client ): void {
		$this->clients->substitute( $client );
		$this->own = new OwnChanges();
	}

	/**
	 * The calls of this PHP request.
	 */
	public function calls(): Calls {
		return $this->calls;
	}

	/**
	 * Makes a ticket.
	 *
	 * @param array  $fields     Values by field name.
	 * @param string $request_id Makes the call repeatable; a random one by default.
	 * @return array{id: int, revision: int}|\WP_Error The revision is 0 where the change was spooled.
	 */
	public function create( array $fields, string $request_id = '' ) {
		$fields = Hooks::fields( $fields, 'create' );
		if ( is_wp_error( $fields ) ) {
			return $fields;
		}
		$created = $this->attempt( 'create', array( $fields, $request_id ) );
		if ( ! is_wp_error( $created ) ) {
			$this->own->add( $this->clients->site(), 'create', $created['id'], $fields );
			Hooks::created( $created['id'], $fields, $created['revision'] );
		}
		return $created;
	}

	/**
	 * Merges fields into a ticket.
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name.
	 * @param int    $if_revision Refuse unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable; a random one by default.
	 * @param bool   $must_exist  Refuse unless the ticket exists; false: make the ticket if it does not exist.
	 * @return int|\WP_Error The new revision; 0 where the change was spooled.
	 */
	public function set(
		int $id,
		array $fields,
		int $if_revision = 0,
		string $request_id = '',
		bool $must_exist = false
	) {
		$fields = Hooks::fields( $fields, 'update', $id );
		if ( is_wp_error( $fields ) ) {
			return $fields;
		}
		$before   = $this->before( array( $id ) );
		$revision = $this->set_one( $id, $fields, $if_revision, $request_id, $must_exist );
		if ( ! is_wp_error( $revision ) ) {
			self::tell( $id, $fields, $before, $revision );
		}
		return $revision;
	}

	/**
	 * Merges fields into several tickets.
	 *
	 * @param array  $fields_by_id Fields by ticket id.
	 * @param string $request_id   Makes the call repeatable; a random one by default.
	 * @return array<int, int|\WP_Error>|\WP_Error
	 */
	public function set_many( array $fields_by_id, string $request_id = '' ) {
		$refused = array();
		foreach ( $fields_by_id as $id => $fields ) {
			$fields = is_int( $id ) && is_array( $fields ) ? Hooks::fields( $fields, 'update', $id ) : $fields;
			if ( is_wp_error( $fields ) ) {
				$refused[ $id ] = $fields;
			} else {
				$fields_by_id[ $id ] = $fields;
			}
		}
		$accepted = array_diff_key( $fields_by_id, $refused );
		$before   = $this->before( array_keys( $accepted ) );
		$outcomes = array() === $refused || '' === $request_id
			? $this->set_those( $accepted, $request_id )
			: $this->set_each( $accepted, array_flip( array_keys( $fields_by_id ) ), $request_id );
		if ( is_wp_error( $outcomes ) ) {
			return $outcomes;
		}
		foreach ( $outcomes as $id => $outcome ) {
			if ( is_int( $outcome ) ) {
				self::tell( $id, $fields_by_id[ $id ], $before, $outcome );
			}
		}
		// In the order of the call.
		return array_replace( array_intersect_key( $fields_by_id, $outcomes + $refused ), $outcomes, $refused );
	}

	/**
	 * Sets fields of an existing ticket; {@see self::set()} makes a missing ticket.
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name.
	 * @param int    $if_revision Refuse unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable; a random one by default.
	 * @return int|\WP_Error The new revision; 0 where the change was spooled.
	 */
	public function update( int $id, array $fields, int $if_revision = 0, string $request_id = '' ) {
		// A ticket at a revision exists.
		return $this->set( $id, $fields, $if_revision, $request_id, 0 === $if_revision );
	}

	/**
	 * Sets fields of a ticket, and makes a missing ticket. Unlike {@see self::set()}, it tells listeners whether the
	 * ticket is new, at the price of reading the ticket first.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 * @return int|\WP_Error The new revision; 0 where the change was spooled.
	 */
	public function put( int $id, array $fields ) {
		$ticket = $this->get( $id );
		// If ticketd cannot say whether the ticket exists, the change is spooled, and creates the ticket if need be.
		if ( ! is_wp_error( $ticket ) || 'ticketd_not_found' !== $ticket->get_error_code() ) {
			return $this->set( $id, $fields );
		}
		$fields = Hooks::fields( $fields, 'create', $id );
		if ( is_wp_error( $fields ) ) {
			return $fields;
		}
		$revision = $this->set_one( $id, $fields, 0, '' );
		if ( ! is_wp_error( $revision ) ) {
			Hooks::created( $id, $fields, $revision );
		}
		return $revision;
	}

	/**
	 * The tickets before a change, where somebody wants to know their old values.
	 *
	 * @param array $ids Ticket ids; what is no id is left to the change to refuse.
	 * @return array|null By ticket id a ticket or null; null: no hook asks for them.
	 */
	private function before( array $ids ): ?array {
		if ( ! Hooks::needs_old() ) {
			return null;
		}
		$tickets = $this->get_many( array_filter( $ids, 'is_int' ) );
		return is_wp_error( $tickets ) ? array() : $tickets;
	}

	/**
	 * Tells of a change.
	 *
	 * @param int        $id       The ticket's id.
	 * @param array      $fields   The values that were set.
	 * @param array|null $before   What before() returned.
	 * @param int        $revision The new revision; 0: not known yet.
	 */
	private static function tell( int $id, array $fields, ?array $before, int $revision ): void {
		Hooks::updated( $id, $fields, $revision );
		if ( null !== $before ) {
			Hooks::changed( $id, $fields, $before[ $id ] ?? null, $revision );
		}
	}

	/**
	 * Merges fields into several tickets, one after another, without filters and actions. Each keeps its request id
	 * by its place among all tickets of the call: if a filter has refused some, later tickets must not get the ids of
	 * the refused.
	 *
	 * @param array  $fields_by_id Fields by ticket id.
	 * @param int[]  $places       The tickets' places in the call by ticket id, from 0.
	 * @param string $request_id   The call's request id.
	 * @return array<int, int|\WP_Error>
	 */
	private function set_each( array $fields_by_id, array $places, string $request_id ): array {
		$outcomes = array();
		foreach ( $fields_by_id as $id => $fields ) {
			$outcomes[ $id ] = $this->set_one( $id, $fields, 0, $request_id . '#' . $places[ $id ] );
		}
		return $outcomes;
	}

	/**
	 * Merges fields into a ticket, without filters and actions.
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name.
	 * @param int    $if_revision Refuse unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable; a random one by default.
	 * @param bool   $must_exist  Refuse unless the ticket exists.
	 * @return int|\WP_Error
	 */
	private function set_one( int $id, array $fields, int $if_revision, string $request_id, bool $must_exist = false ) {
		$revision = $this->attempt( 'set', array( $id, $fields, $if_revision, $request_id, $must_exist ) );
		if ( ! is_wp_error( $revision ) ) {
			$this->own->add( $this->clients->site(), 'set', $id, $fields );
		}
		return $revision;
	}

	/**
	 * Merges fields into several tickets, without filters and actions.
	 *
	 * @param array  $fields_by_id Fields by ticket id.
	 * @param string $request_id   Makes the call repeatable; a random one by default.
	 * @return array<int, int|\WP_Error>|\WP_Error
	 */
	private function set_those( array $fields_by_id, string $request_id ) {
		$outcomes = $this->attempt( 'set_many', array( $fields_by_id, $request_id ) );
		if ( is_wp_error( $outcomes ) ) {
			return $outcomes;
		}
		foreach ( $outcomes as $id => $outcome ) {
			if ( $outcome instanceof TicketdException ) {
				$outcomes[ $id ] = Errors::from_exception( $outcome );
			} else {
				$this->own->add( $this->clients->site(), 'set', $id, $fields_by_id[ $id ] );
			}
		}
		return $outcomes;
	}

	/**
	 * Asks what changes would be answered, by the filter and the daemon, without making any.
	 *
	 * @param array[] $entries See Client::check().
	 * @return array<int, array{id: int|null, revision: int, differs: string[]}|\WP_Error>|\WP_Error In their order.
	 */
	public function check( array $entries ) {
		$outcomes = array();
		foreach ( $entries as $index => $entry ) {
			$fields = Hooks::fields( $entry[1], null === $entry[0] ? 'create' : 'update', (int) $entry[0] );
			if ( is_wp_error( $fields ) ) {
				$outcomes[ $index ] = $fields;
				unset( $entries[ $index ] );
			} else {
				$entries[ $index ][1] = $fields;
			}
		}
		$judged = $this->attempt( 'check', array( $entries ) );
		if ( is_wp_error( $judged ) ) {
			return $judged;
		}
		foreach ( array_combine( array_keys( $entries ), $judged ) as $index => $judgement ) {
			$outcomes[ $index ] = $judgement instanceof TicketdException
				? Errors::from_exception( $judgement )
				: $judgement;
		}
		ksort( $outcomes );
		return $outcomes;
	}

	/**
	 * Reads a ticket.
	 *
	 * @param int $id The ticket's id.
	 * @return array{id: int, revision: int, fields: array}|\WP_Error
	 */
	public function get( int $id ) {
		return $this->attempt( 'get', array( $id ) );
	}

	/**
	 * Reads several tickets.
	 *
	 * @param int[] $ids Ticket ids.
	 * @return array<int, array|null>|\WP_Error
	 */
	public function get_many( array $ids ) {
		return $this->attempt( 'get_many', array( $ids ) );
	}

	/**
	 * Returns a page of a selection of tickets.
	 *
	 * @param array $args The arguments of the client's list_tickets().
	 * @return array{tickets: array[], next: string|null}|\WP_Error
	 */
	public function list_tickets( array $args = array() ) {
		return $this->attempt( 'list_tickets', array( $args ) );
	}

	/**
	 * Counts the tickets of a selection.
	 *
	 * @param array $args The arguments of the client's count_tickets().
	 * @return int|\WP_Error
	 */
	public function count_tickets( array $args = array() ) {
		return $this->attempt( 'count_tickets', array( $args ) );
	}

	/**
	 * Counts tickets for each value of a field.
	 *
	 * @param string $field The field's name.
	 * @param array  $args  The arguments of the client's count_tickets().
	 * @return array{count: int, groups: array[]}|\WP_Error
	 */
	public function count_tickets_by( string $field, array $args = array() ) {
		return $this->attempt( 'count_tickets_by', array( $field, $args ) );
	}

	/**
	 * Deletes a ticket.
	 *
	 * @param int    $id         The ticket's id.
	 * @param string $request_id Makes the call repeatable; a random one by default.
	 * @return int|\WP_Error The new revision; 0 where the change was spooled.
	 */
	public function delete( int $id, string $request_id = '' ) {
		$revision = $this->attempt( 'delete', array( $id, $request_id ) );
		if ( ! is_wp_error( $revision ) ) {
			$this->own->add( $this->clients->site(), 'delete', $id );
			Hooks::deleted( $id, $revision );
		}
		return $revision;
	}

	/**
	 * Reads who changed what of a ticket, the newest change first.
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $args The arguments of the client's history().
	 * @return array{changes: array[], next: int|null}|\WP_Error
	 */
	public function history( int $id, array $args = array() ) {
		return $this->attempt( 'history', array( $id, $args ) );
	}

	/**
	 * Erases the values in the history and the feed of tickets.
	 *
	 * @param int[] $ids Ticket ids.
	 * @return int|\WP_Error How many changes were erased.
	 */
	public function erase_history( array $ids ) {
		return $this->attempt( 'erase_history', array( $ids ) );
	}

	/**
	 * Reads the next events of the feed for a consumer.
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     The arguments of the client's feed_read().
	 * @return array{events: array[], busy: bool}|\WP_Error
	 */
	public function feed_read( string $consumer, string $token, array $args = array() ) {
		return $this->attempt( 'feed_read', array( $consumer, $token, $args ) );
	}

	/**
	 * Moves a consumer's position in the feed.
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     The arguments of the client's feed_ack().
	 * @return \WP_Error|null
	 */
	public function feed_ack( string $consumer, string $token, array $args ): ?\WP_Error {
		return $this->attempt( 'feed_ack', array( $consumer, $token, $args ) );
	}

	/**
	 * Asks how the feed, its destinations and the history are.
	 *
	 * @return array|\WP_Error
	 */
	public function feed_status() {
		return $this->attempt( 'feed_status' );
	}

	/**
	 * Tries, pauses or resumes a destination of the feed.
	 *
	 * @param string $name   The destination's name.
	 * @param string $action `test`, `pause` or `resume`.
	 * @return \WP_Error|null
	 */
	public function feed_control( string $name, string $action ): ?\WP_Error {
		return $this->attempt( 'feed_control', array( $name, $action ) );
	}

	/**
	 * Reads the events that a destination of the feed refuses.
	 *
	 * @param string $name  The destination's name.
	 * @param int    $after Only letters behind this id.
	 * @param int    $limit 1 to 1,000 letters.
	 * @return array[]|\WP_Error
	 */
	public function feed_dead_list( string $name, int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ) {
		return $this->attempt( 'feed_dead_list', array( $name, $after, $limit ) );
	}

	/**
	 * Sends letters of a destination again.
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids; null: all that are given up.
	 * @return int|\WP_Error How many.
	 */
	public function feed_dead_retry( string $name, ?array $ids ) {
		return $this->attempt( 'feed_dead_retry', array( $name, $ids ) );
	}

	/**
	 * Drops letters of a destination, for good.
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids; null: all that are given up.
	 * @return int|\WP_Error How many.
	 */
	public function feed_dead_drop( string $name, ?array $ids ) {
		return $this->attempt( 'feed_dead_drop', array( $name, $ids ) );
	}

	/**
	 * Flushes changes to MySQL now.
	 *
	 * @param int[]         $ids        Ticket ids; empty: every changed ticket.
	 * @param callable|null $progress   Called with the numbers of tickets done and in total.
	 * @param int           $timeout_ms Time the flush has, in milliseconds.
	 * @return array{flushed: int, dead: int}|\WP_Error
	 */
	public function flush(
		array $ids = array(),
		?callable $progress = null,
		int $timeout_ms = Client::FLUSH_TIMEOUT_MS
	) {
		return $this->attempt( 'flush', array( $ids, $progress, $timeout_ms ) );
	}

	/**
	 * Returns dead letters.
	 *
	 * @param int $after Only tickets above this id.
	 * @param int $limit 1 to 1,000 letters.
	 * @return array[]|\WP_Error
	 */
	public function dead_list( int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ) {
		return $this->attempt( 'dead_list', array( $after, $limit ) );
	}

	/**
	 * Retries dead letters: their changes are pending again.
	 *
	 * @param int[]|null $ids Ticket ids; null: every dead letter.
	 * @return int|\WP_Error The number of dead letters.
	 */
	public function dead_retry( ?array $ids ) {
		return $this->attempt( 'dead_retry', array( $ids ) );
	}

	/**
	 * Drops the changes of dead letters, for good.
	 *
	 * @param int[]|null $ids Ticket ids; null: every dead letter.
	 * @return int|\WP_Error The number of dead letters.
	 */
	public function dead_drop( ?array $ids ) {
		return $this->attempt( 'dead_drop', array( $ids ) );
	}

	/**
	 * Asks what the daemon can do, and remembers it. Without an answer the last one counts. The watchdog asks every
	 * five minutes, so that an upgrade of the daemon is noticed, and a downgrade.
	 */
	public function learn(): void {
		$answer = $this->attempt( 'ping' );
		if ( ! is_wp_error( $answer ) ) {
			Clients::remember( $answer['features'] );
		}
	}

	/**
	 * Whether the daemon has a feature, as far as the current blog knows.
	 *
	 * @param string $feature Its name: `by`, `feed`, `history`.
	 */
	public function can( string $feature ): bool {
		return Clients::can( $feature );
	}

	/**
	 * Asks how the daemon and this site are.
	 *
	 * @return array|\WP_Error
	 */
	public function status() {
		return $this->attempt( 'status' );
	}

	/**
	 * Makes a call. The deadline also holds for queries of the database.
	 *
	 * @param string $name The method of the client: of SpoolingClient for a change, of Client otherwise.
	 * @param array  $args Its arguments.
	 * @return mixed The value of the method, or a WP_Error.
	 */
	private function attempt( string $name, array $args = array() ) {
		$outer  = Database::begin( $this->settings->timeout_ms() );
		$begin  = microtime( true );
		$method = self::READS[ $name ] ?? $name;
		try {
			$client = isset( self::CHANGES[ $name ] ) ? $this->clients->spooling() : $this->clients->current();
			$answer = $client->$name( ...$args );
			$this->calls->add( $method, $begin, '' );
			return $answer;
		} catch ( TicketdException $failure ) {
			$this->calls->add( $method, $begin, $failure->reason() );
			return $this->without( $name, $args, $failure );
		} finally {
			Database::end( $outer );
		}
	}

	/**
	 * Answers a call that failed: a read while the daemon is unreachable from the database and the spool.
	 *
	 * @param string           $name    The method of the client.
	 * @param array            $args    Its arguments.
	 * @param TicketdException $failure The failure.
	 * @return mixed The value of the method, or a WP_Error.
	 */
	private function without( string $name, array $args, TicketdException $failure ) {
		if ( ! isset( self::READS[ $name ] ) || ! $failure->is_outage() ) {
			return Errors::from_exception( $failure );
		}
		try {
			$fallback = new Fallback( $this->clients->spool(), $this->own, $this->settings );
			return $fallback->$name( ...$args ) ?? Errors::from_exception( $failure );
		} catch ( TicketdException $refusal ) {
			return Errors::from_exception( $refusal );
		}
	}
}
