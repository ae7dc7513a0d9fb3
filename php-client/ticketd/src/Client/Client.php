<?php
/**
 * The client: a PHP method per method of the protocol.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

use Psr\Log\LoggerInterface;

/**
 * Calls ticketd. The client needs only PHP: no WordPress, no extension.
 *
 * Every method throws a TicketdException when it fails.
 */
final class Client implements ClientInterface {

	/** Time a call has, in milliseconds, by default. */
	public const DEFAULT_TIMEOUT_MS = Protocol::TIMEOUT_MS;

	/** Time a flush has, in milliseconds, by default: a flush waits for MySQL. */
	public const FLUSH_TIMEOUT_MS = 30000;


	/**
	 * How long the daemon remembers a request id that was made up here, in seconds: as long as a call that was lost is
	 * repeated, or waits in the spool while the daemon is restarted.
	 */
	public const REMEMBER_SECONDS = 600;

	/**
	 * Makes the calls.
	 *
	 * @var Caller
	 */
	private Caller $caller;

	/**
	 * The site's name in the daemon's configuration; empty where this user may use exactly one, or the table tells.
	 *
	 * @var string
	 */
	private string $site;

	/**
	 * The table that this site's tickets are in, as `database.table`; empty: not known.
	 *
	 * @var string
	 */
	private string $table;

	/**
	 * Time a call has, in milliseconds.
	 *
	 * @var int
	 */
	private int $timeout_ms;

	/**
	 * Who makes the changes: `by` and `via`, each only where it is named.
	 *
	 * @var array<string, string>
	 */
	private array $signature = array();

	/**
	 * Makes a client; the first call connects.
	 *
	 * @param Connection           $connection The connection to use; clients of several sites may share one.
	 * @param string               $site       The site's name; empty where this user may use exactly one.
	 * @param int                  $timeout_ms Time a call has, in milliseconds; at least 1.
	 * @param Codec|null           $codec      Null: the extension where it is loaded, PHP otherwise.
	 * @param Breaker|null         $breaker    The breaker; null: this client's own.
	 * @param string               $table      The table of the tickets, as `database.table`: the daemon finds the site
	 *                                         by it and refuses what is meant for another. Empty: it is not compared.
	 * @param LoggerInterface|null $logger     Gets a notice where a call is sent again, and a warning where the daemon
	 *                                         hangs.
	 */
	public function __construct(
		Connection $connection,
		string $site = '',
		int $timeout_ms = self::DEFAULT_TIMEOUT_MS,
		?Codec $codec = null,
		?Breaker $breaker = null,
		string $table = '',
		?LoggerInterface $logger = null
	) {
		$codec            = $codec ?? ( ExtCodec::is_available() ? new ExtCodec() : new PureCodec() );
		$this->caller     = new Caller( $connection, $codec, $breaker ?? new Breaker(), $logger );
		$this->site       = $site;
		$this->table      = $table;
		$this->timeout_ms = $timeout_ms;
	}

	/**
	 * Names who makes the changes from now on: the feed and a ticket's history say so. A daemon that does not know this
	 * (`by` is not among the features of ping()) refuses such a change; the client then repeats it without, and names
	 * nobody from then on. What was spooled meanwhile stays as it is: ask ping() before, where changes are spooled.
	 *
	 * @param string $by  Who makes them, like `user:3`: 1 to 64 printable characters; empty: the daemon names the user
	 *                    of the process.
	 * @param string $via The part that makes them, like `crm`: 1 to 32 printable characters; empty: none is named.
	 */
	public function sign( string $by, string $via = '' ): void {
		$this->signature = array_filter( compact( 'by', 'via' ), 'strlen' );
	}

	/**
	 * Asks whether the daemon is there, and what it can do.
	 *
	 * @return array{version: string, protocol: int, features: string[]} An older daemon names no features.
	 */
	public function ping(): array {
		return $this->call( $this->request( 'ping', array() ), 'pong' );
	}

	/**
	 * Makes a ticket.
	 *
	 * @param array  $fields     Values by field name.
	 * @param string $request_id Makes the call repeatable for a day: the same id, the same ticket. One is made up
	 *                           where it is empty, for ten minutes; a failure's request_id() tells it.
	 * @param int    $id         The ticket's id, which the caller has taken from the site's sequence; 0: the daemon
	 *                           takes one.
	 * @return array{id: int, revision: int}
	 */
	public function create( array $fields, string $request_id = '', int $id = 0 ): array {
		$params  = ( 0 === $id ? array() : array( 'id' => $id ) )
			+ array( 'fields' => Request::fields( $fields ) )
			+ self::repeatable( $request_id );
		$request = $this->request( 'create', $params );
		return $this->change( $request, 'created' );
	}

	/**
	 * Merges fields into a ticket; makes the ticket if it does not exist.
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name; null is NULL. Other fields keep their values.
	 * @param int    $if_revision Refuse with `conflict` unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable for a day; a random one by default.
	 * @param bool   $must_exist  Refuse with `not_found` unless the ticket exists.
	 * @return int The ticket's new revision.
	 */
	public function set(
		int $id,
		array $fields,
		int $if_revision = 0,
		string $request_id = '',
		bool $must_exist = false
	): int {
		$params = array(
			'id'     => $id,
			'fields' => Request::fields( $fields ),
		) + self::repeatable( $request_id );
		if ( 0 !== $if_revision ) {
			$params['if_revision'] = $if_revision;
		}
		if ( $must_exist ) {
			$params['must_exist'] = true;
		}
		$request = $this->request( 'set', $params );
		return $this->change( $request, 'revision' );
	}

	/**
	 * Merges fields into several tickets. A rejected ticket does not stop the rest.
	 *
	 * @param array  $fields_by_id Fields by ticket id, at most 1,000 tickets.
	 * @param string $request_id   Makes the call repeatable for a day; a random one by default.
	 * @param bool   $must_exist   Refuse each with `not_found` unless the ticket exists.
	 * @return array<int, int|DaemonException> By ticket id the new revision, or why that ticket was refused.
	 * @throws InputException If the argument is not fields by ticket id.
	 */
	public function set_many( array $fields_by_id, string $request_id = '', bool $must_exist = false ): array {
		if ( array() === $fields_by_id ) {
			return array();
		}
		$tickets = array();
		foreach ( $fields_by_id as $id => $fields ) {
			if ( ! is_int( $id ) || ! is_array( $fields ) ) {
				throw new InputException( 'Give arrays of fields by ticket id.', 'tickets' );
			}
			$tickets[] = array( $id, Request::fields( $fields ) );
		}
		$params = array( 'tickets' => $tickets ) + self::repeatable( $request_id );
		if ( $must_exist ) {
			$params['must_exist'] = true;
		}
		$request  = $this->request( 'set_many', $params );
		$outcomes = $this->change( $request, 'outcomes' );
		$pairs    = array(); // Rarely needed.
		foreach ( $outcomes as $index => $outcome ) {
			if ( $outcome instanceof DaemonException ) {
				$pairs = array() === $pairs ? $request->pairs() : $pairs;
				$outcome->set_request( $pairs[ $index ] );
			}
		}
		return array_combine( array_keys( $fields_by_id ), $outcomes );
	}

	/**
	 * Asks what changes would be answered, without making any.
	 *
	 * @param array[] $entries At most 1,000; each a ticket's id and the fields to set, or null and the fields of a new
	 *                         ticket, and after those, for a new ticket, the request id under which it is to be made.
	 * @return array<int, array{id: int|null, revision: int, differs: string[]}|DaemonException> In the order of the
	 *         entries: the ticket, null for one that would be made; its revision, 0 where there is no such ticket; the
	 *         names of the fields that would get another value. Or why the change would be refused.
	 * @throws InputException If an entry is none.
	 */
	public function check( array $entries ): array {
		if ( array() === $entries ) {
			return array();
		}
		$sent = array();
		foreach ( $entries as $entry ) {
			if ( ! is_array( $entry ) || ! is_array( $entry[1] ?? null ) ) {
				throw new InputException( 'Give arrays of an id or null and fields.', 'entries' );
			}
			$entry[1] = Request::fields( $entry[1] );
			$sent[]   = $entry;
		}
		return $this->call( $this->request( 'check', array( 'entries' => $sent ) ), 'judgements' );
	}

	/**
	 * Reads a ticket.
	 *
	 * @param int $id The ticket's id.
	 * @return array{id: int, revision: int, fields: array} All fields of the ticket, by name. `stale` is true where
	 *         changes may be missing, as the store that holds them did not answer.
	 */
	public function get( int $id ): array {
		return $this->call( $this->request( 'get', array( 'id' => $id ) ), 'ticket' );
	}

	/**
	 * Reads several tickets.
	 *
	 * @param int[] $ids Ticket ids, at most 1,000.
	 * @return array<int, array|null> By ticket id what get() returns, or null where there is no such ticket, or none
	 *         that is known while the store that holds the latest changes does not answer.
	 */
	public function get_many( array $ids ): array {
		if ( array() === $ids ) {
			return array();
		}
		$ids = Request::ids( $ids );
		return array_combine( $ids, $this->call( $this->request( 'get_many', array( 'ids' => $ids ) ), 'tickets' ) );
	}

	/**
	 * Returns a page of a selection of tickets, pending changes included.
	 *
	 * @param array $args {
	 *     All optional; what is asked for must hold altogether.
	 *
	 *     @type array  $where      By field name, `ticket_id` or `revision`: a value, or a list of values of which the
	 *                              ticket must have one; or comparisons by operator: `=`, `!=`, `<`, `<=`, `>`, `>=`.
	 *                              Null is NULL. Only fields with a column of their own.
	 *     @type array  $created_at `from` (inclusive) and `before` (exclusive), or one of them; times in UTC.
	 *     @type array  $updated_at Likewise.
	 *     @type array  $contains   By field name a text that the field must contain. No index helps there.
	 *     @type bool   $deleted    Deleted tickets too. Default false.
	 *     @type bool   $fresh      False: what MySQL has, without flushing pending changes first.
	 *     @type string $sort       `ticket_id` (the default), `created_at`, `updated_at`, `priority` or `status`.
	 *     @type string $order      `asc` or `desc` (the default).
	 *     @type int    $limit      1 to 1,000 tickets; 50 by default.
	 *     @type string $after      The `next` of the page before.
	 * }
	 * @return array{tickets: array[], next: string|null} Tickets as get() returns them; next is null on the last page.
	 *         `stale` is true where changes may be missing.
	 */
	public function list_tickets( array $args = array() ): array {
		return $this->call( $this->request( 'list', Request::query( $args ) ), 'page' );
	}

	/**
	 * Counts the tickets of a selection.
	 *
	 * @param array $args `where`, `contains`, `created_at`, `updated_at`,
	 *                    `deleted` and `fresh` as list_tickets() takes them.
	 */
	public function count_tickets( array $args = array() ): int {
		return $this->call( $this->request( 'count', Request::query( $args ) ), 'counted' );
	}

	/**
	 * Counts tickets for each value of a field.
	 *
	 * @param string $field The field's name; it has a column of its own, and at most 1,000 values among these tickets.
	 * @param array  $args  The arguments of count_tickets().
	 * @return array{count: int, groups: array<int, array{value: int|string|null, count: int}>} The largest group
	 *         first; they add up to count. `stale` is true where changes may be missing.
	 */
	public function count_tickets_by( string $field, array $args = array() ): array {
		$params = Request::query( $args ) + array( 'by' => $field );
		return $this->call( $this->request( 'count', $params ), 'groups' );
	}

	/**
	 * Deletes a ticket. Deleting a deleted ticket is not an error.
	 *
	 * @param int    $id         The ticket's id.
	 * @param string $request_id Makes the call repeatable for a day; a random one by default.
	 * @return int The ticket's new revision.
	 */
	public function delete( int $id, string $request_id = '' ): int {
		$params  = array( 'id' => $id ) + self::repeatable( $request_id );
		$request = $this->request( 'delete', $params );
		return $this->change( $request, 'revision' );
	}

	/**
	 * Reads who changed what of a ticket, the newest change first. The site's history must be switched on.
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $args {
	 *     All optional.
	 *
	 *     @type int    $before Only changes below this revision: the `next` of the page before.
	 *     @type int    $limit  1 to 1,000 changes; 20 by default.
	 *     @type string $field  Only changes of this field.
	 * }
	 * @return array{changes: array[], next: int|null} Each change has `revision`; `kind` (`created`, `updated`,
	 *         `deleted`, `dropped`, …); `at_us` (microseconds since 1970); `by` and `via`, which may be empty;
	 *         `changes`, by field name a list: the old and the new value, or the new value alone where the old one is
	 *         not known, or nothing where the values were erased or are not kept; `erased`; and `gap`: whether changes
	 *         directly before it may be missing. `next` is null on the last page. `stale` is true where the latest
	 *         changes may be missing.
	 */
	public function history( int $id, array $args = array() ): array {
		return $this->call( $this->request( 'history', array( 'id' => $id ) + Request::query( $args ) ), 'history' );
	}

	/**
	 * Erases the values in the history and the feed of tickets; who changed them and when stays. Destinations that have
	 * the changes already are told that the tickets were erased.
	 *
	 * @param int[] $ids Ticket ids, at most 1,000.
	 * @return int How many changes were erased.
	 */
	public function erase_history( array $ids ): int {
		if ( array() === $ids ) {
			return 0;
		}
		return $this->call( $this->request( 'erase_history', array( 'ids' => Request::ids( $ids ) ) ), 'counted' );
	}

	/**
	 * Reads the next events of the feed for a consumer, whose position the daemon keeps. Reading does not move it: the
	 * same events come again until feed_ack(). The position belongs to one process at a time.
	 *
	 * @param string $consumer The consumer's name: 1 to 64 characters. A name that is new begins at the feed's end.
	 * @param string $token    Names this process: 1 to 64 characters, different for each.
	 * @param array  $args {
	 *     All optional.
	 *
	 *     @type int $limit    1 to 1,000 events; 100 by default.
	 *     @type int $wait_ms  How long the daemon waits for an event, in milliseconds; 0 by default.
	 *     @type int $lease_ms How long the position stays this process' own without a call, in milliseconds; 10,000 by
	 *                         default.
	 * }
	 * @return array{events: array[], busy: bool} The events, each with `id`, `kind`, `ticket`, `revision`, `previous`
	 *         (0: not known), `fields`, `was`, `omitted`, `by`, `via`, `at_us`, `recorded_us`, `cursor`, `delivery` and
	 *         what else its kind has. `busy`: another process has the position, so there are none.
	 */
	public function feed_read( string $consumer, string $token, array $args = array() ): array {
		$request = $this->request( 'feed_read', compact( 'consumer', 'token' ) + $args );
		return $this->call( $request, 'events', $this->timeout_ms + ( $args['wait_ms'] ?? 0 ) );
	}

	/**
	 * Moves a consumer's position in the feed.
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process. If another one has the position, the error is `conflict`.
	 * @param array  $args {
	 *     At least one of these.
	 *
	 *     @type string $cursor  The `cursor` of the event that is done.
	 *     @type string $refused Why the event cannot be taken: it becomes a letter with this reason.
	 *     @type bool   $release Whether another process may have the position now.
	 * }
	 */
	public function feed_ack( string $consumer, string $token, array $args ): void {
		$this->call( $this->request( 'feed_ack', compact( 'consumer', 'token' ) + $args ), 'status' );
	}

	/**
	 * Asks how the feed, its destinations and the history are.
	 *
	 * @return array{enabled: bool, backlog: int, backlog_bytes: int, destinations: array[], history: array} Each
	 *         destination has `name`, `kind`, `state` (`up`, `retrying`, `paused`: it takes no events, `stopped`: by an
	 *         operator, `elsewhere`: another host serves it, `waiting`: the store or MySQL is away), `reason`,
	 *         `since_ms`, `lag_events`, `lag_ms`, `held` (events that it refuses and that are still tried), `letters`
	 *         (events that are given up), `gaps` and `sent`. The history has `enabled`, `rows`, `bytes`, `lag_ms` and
	 *         `keep_ms`.
	 */
	public function feed_status(): array {
		return $this->call( $this->request( 'feed_status', array() ), 'feed' );
	}

	/**
	 * Tries, pauses or resumes a destination of the feed.
	 *
	 * @param string $name   The destination's name.
	 * @param string $action `test`: send a test event. `pause`: events wait. `resume`: events are sent again.
	 */
	public function feed_control( string $name, string $action ): void {
		$this->call( $this->request( 'feed_control', compact( 'name', 'action' ) ), 'status' );
	}

	/**
	 * Reads the events that a destination of the feed refuses, the oldest first.
	 *
	 * @param string $name  The destination's name.
	 * @param int    $after Only letters behind this id: that of the last letter of the page before; 0: from the first.
	 * @param int    $limit 1 to 1,000 letters.
	 * @return array[] Each with `id` (the letter's own), `kind`, `ticket`, `revision`, `fields`, `since_us` and `at_us`
	 *         (the first and the last refusal), `tries`, `held` (whether the event is still tried), `reason` and
	 *         `answer` (the destination's).
	 */
	public function feed_dead_list( string $name, int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array {
		$params = compact( 'name', 'limit' ) + ( 0 === $after ? array() : array( 'after' => $after ) );
		return $this->call( $this->request( 'feed_dead_list', $params ), 'feed_letters' );
	}

	/**
	 * Sends letters of a destination again.
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids, at most 1,000; null: all that are given up.
	 * @return int How many.
	 */
	public function feed_dead_retry( string $name, ?array $ids ): int {
		return $this->dead( 'feed_dead_retry', $ids, array( 'name' => $name ) );
	}

	/**
	 * Drops letters of a destination, for good.
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids, at most 1,000; null: all that are given up.
	 * @return int How many.
	 */
	public function feed_dead_drop( string $name, ?array $ids ): int {
		return $this->dead( 'feed_dead_drop', $ids, array( 'name' => $name ) );
	}

	/**
	 * Flushes changes to MySQL now and waits until MySQL has them.
	 *
	 * @param int[]         $ids        Ticket ids, at most 1,000; empty: every changed ticket.
	 * @param callable|null $progress   Called with the numbers of tickets done and in total, at most ten times a
	 *                                  second.
	 * @param int           $timeout_ms Time the flush has, in milliseconds.
	 * @return array{flushed: int, dead: int} Tickets flushed, and tickets that MySQL rejected: dead letters.
	 */
	public function flush(
		array $ids = array(),
		?callable $progress = null,
		int $timeout_ms = self::FLUSH_TIMEOUT_MS
	): array {
		$params = array() === $ids ? array() : array( 'ids' => Request::ids( $ids ) );
		return $this->call( $this->request( 'flush', $params ), 'flushed', $timeout_ms, $progress );
	}

	/**
	 * Reads the pending changes of tickets: only the fields whose values the database does not have yet. What is
	 * pending nowhere at the answer was in the database before: who reads the rows after it misses nothing.
	 *
	 * @param int[] $ids Ticket ids, at most 1,000.
	 * @return array{tickets: array<int, array{revision: int, fields: array}|null>} By ticket id the pending values, or
	 *         null where no change is pending. And `stale`: true where changes may be missing, as the store that holds
	 *         them did not answer.
	 */
	public function waiting( array $ids ): array {
		if ( array() === $ids ) {
			return array( 'tickets' => array() );
		}
		$ids     = Request::ids( $ids );
		$pending = $this->call( $this->request( 'waiting', array( 'ids' => $ids ) ), 'pending' );

		$pending['tickets'] = array_combine( $ids, $pending['tickets'] );
		return $pending;
	}

	/**
	 * Asks what kind of site this is, and for a site of metadata, which keys it has.
	 *
	 * @return array{kind: string, keys: array<string, string>, posts: array<string, string>, post_types: string[],
	 *               adds: string, queries: string, query_wait_ms: int, max_value: int} `keys` has the metadata's key by
	 *         field, `posts` the column of the posts' table.
	 */
	public function describe(): array {
		return $this->call( $this->request( 'describe', array() ), 'description' );
	}

	/**
	 * Reads the dead letters: tickets with changes that MySQL rejects.
	 *
	 * @param int $after Only tickets above this id: that of the last letter of the page before; 0: from the first.
	 * @param int $limit 1 to 1,000 letters. Fewer are the last ones.
	 * @return array[] By ticket id, ascending: `id`, `revision`, `code` and `reason` (MySQL's), `at_ms`, `deleted`,
	 *         `fields`.
	 */
	public function dead_list( int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array {
		$params = array( 'limit' => $limit ) + ( 0 === $after ? array() : array( 'after' => $after ) );
		return $this->call( $this->request( 'dead_list', $params ), 'letters' );
	}

	/**
	 * Retries dead letters: their changes are pending again, and due at once.
	 *
	 * @param int[]|null $ids Ticket ids, at most 1,000; those that are no dead letters are passed over. Null: all.
	 * @return int How many were put back.
	 */
	public function dead_retry( ?array $ids ): int {
		return $this->dead( 'dead_retry', $ids );
	}

	/**
	 * Drops the changes that MySQL rejects, for good.
	 *
	 * @param int[]|null $ids Ticket ids, at most 1,000; those that are no dead letters are passed over. Null: all.
	 * @return int Of how many tickets changes were dropped.
	 */
	public function dead_drop( ?array $ids ): int {
		return $this->dead( 'dead_drop', $ids );
	}

	/**
	 * Asks how the daemon and this site are.
	 *
	 * @return array The protocol's status map.
	 */
	public function status(): array {
		return $this->call( $this->request( 'status', array() ), 'status' );
	}

	/**
	 * Calls a method for dead letters.
	 *
	 * @param string     $method The method's name.
	 * @param int[]|null $ids    Ids; null: all.
	 * @param array      $params Further parameters by name.
	 */
	private function dead( string $method, ?array $ids, array $params = array() ): int {
		if ( array() === $ids ) {
			return 0;
		}
		$params += null === $ids ? array( 'all' => true ) : array( 'ids' => Request::ids( $ids ) );
		return $this->call( $this->request( $method, $params ), 'counted' );
	}

	/**
	 * Makes a request to this site.
	 *
	 * @param string $method The method's name.
	 * @param array  $params Its parameters by name.
	 */
	private function request( string $method, array $params ): Request {
		if ( '' !== $this->site ) {
			$params += array( 'site' => $this->site );
		}
		if ( '' !== $this->table ) {
			$params += array( 'table' => $this->table );
		}
		return new Request( $method, $params );
	}

	/**
	 * Makes a change, signed where the client is to name who makes it. A daemon that knows no signature refuses the
	 * parameter and changes nothing. A field of the ticket may be called `by`, too: only if the change without the
	 * signature gets through was the signature to blame.
	 *
	 * @param Request $request The request; afterwards the one that was sent last.
	 * @param string  $read    The method of Result that makes the return value of the result's map.
	 * @return mixed The value of that method.
	 * @throws DaemonException If the daemon refuses the change.
	 */
	private function change( Request &$request, string $read ) {
		$plain   = $request;
		$request = $plain->with( $this->signature );
		try {
			return $this->call( $request, $read );
		} catch ( DaemonException $refusal ) {
			if ( 'invalid' !== $refusal->reason() || ! isset( $this->signature[ $refusal->field() ] ) ) {
				throw $refusal;
			}
			$request         = $plain;
			$answer          = $this->call( $request, $read );
			$this->signature = array();
			return $answer;
		}
	}

	/**
	 * Makes a call.
	 *
	 * @param Request       $request    The request.
	 * @param string        $read       The method of Result that makes the return value of the result's map.
	 * @param int           $timeout_ms Time the call has, in milliseconds; 0: the client's.
	 * @param callable|null $progress   Called with the numbers done and in total of a progress message.
	 * @return mixed The value of that method.
	 */
	private function call( Request $request, string $read, int $timeout_ms = 0, ?callable $progress = null ) {
		$deadline = new Deadline( 0 !== $timeout_ms ? $timeout_ms : $this->timeout_ms, $request->method() );
		return $this->caller->call( $request, $deadline, $read, $progress );
	}

	/**
	 * The parameters that make a change repeatable, after a connection that was lost or out of the spool.
	 *
	 * @param string $request_id The request id; empty: one is made up.
	 */
	private static function repeatable( string $request_id ): array {
		if ( '' !== $request_id ) {
			return array( 'request_id' => $request_id );
		}
		return array(
			'request_id' => bin2hex( random_bytes( 16 ) ),
			'remember'   => self::REMEMBER_SECONDS,
		);
	}
}
