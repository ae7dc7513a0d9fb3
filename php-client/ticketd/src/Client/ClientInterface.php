<?php
/**
 * What a client can do.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Calls ticketd. Code that depends on this interface runs with Client, with SpoolingClient, which keeps changes while
 * the daemon is unreachable, and in unit tests with FakeClient, which needs no daemon. ClientFactory makes the first
 * two.
 *
 * Client describes arguments and results. Every method throws a TicketdException when it fails. All times are UTC.
 */
interface ClientInterface {

	/**
	 * Names who makes the changes from now on; see Client::sign().
	 *
	 * @param string $by  Who makes them: 1 to 64 printable characters; empty: the daemon names the user of the process.
	 * @param string $via The part that makes them: 1 to 32 printable characters; empty: none is named.
	 */
	public function sign( string $by, string $via = '' ): void;

	/**
	 * Asks whether the daemon is there, and what it can do.
	 *
	 * @return array{version: string, protocol: int, features: string[]}
	 */
	public function ping(): array;

	/**
	 * Makes a ticket.
	 *
	 * @param array  $fields     Values by field name.
	 * @param string $request_id Makes the call repeatable for a day.
	 * @param int    $id         The ticket's id, taken from the site's sequence; 0: the daemon takes one.
	 * @return array{id: int, revision: int} The revision is 0 where the change was spooled.
	 */
	public function create( array $fields, string $request_id = '', int $id = 0 ): array;

	/**
	 * Merges fields into a ticket; makes the ticket if it does not exist.
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name; null is NULL.
	 * @param int    $if_revision Refuse with `conflict` unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable for a day.
	 * @param bool   $must_exist  Refuse with `not_found` unless the ticket exists.
	 * @return int The ticket's new revision; 0 where the change was spooled.
	 */
	public function set(
		int $id,
		array $fields,
		int $if_revision = 0,
		string $request_id = '',
		bool $must_exist = false
	): int;

	/**
	 * Merges fields into several tickets. A rejected ticket does not stop the rest.
	 *
	 * @param array  $fields_by_id Fields by ticket id, at most 1,000 tickets.
	 * @param string $request_id   Makes the call repeatable for a day.
	 * @param bool   $must_exist   Refuse each with `not_found` unless the ticket exists.
	 * @return array<int, int|TicketdException> By ticket id the new revision, or why that ticket was refused.
	 */
	public function set_many( array $fields_by_id, string $request_id = '', bool $must_exist = false ): array;

	/**
	 * Asks what changes would be answered, without making any.
	 *
	 * @param array[] $entries At most 1,000; see Client::check().
	 * @return array<int, array{id: int|null, revision: int, differs: string[]}|TicketdException>
	 */
	public function check( array $entries ): array;

	/**
	 * Reads a ticket.
	 *
	 * @param int $id The ticket's id.
	 * @return array{id: int, revision: int, fields: array} And `stale`: true where changes may be missing.
	 */
	public function get( int $id ): array;

	/**
	 * Reads several tickets.
	 *
	 * @param int[] $ids Ticket ids, at most 1,000.
	 * @return array<int, array|null> By ticket id what get() returns, or null.
	 */
	public function get_many( array $ids ): array;

	/**
	 * Returns a page of a selection of tickets.
	 *
	 * @param array $args See Client::list_tickets().
	 * @return array{tickets: array[], next: string|null}
	 */
	public function list_tickets( array $args = array() ): array;

	/**
	 * Counts the tickets of a selection.
	 *
	 * @param array $args See Client::count_tickets().
	 */
	public function count_tickets( array $args = array() ): int;

	/**
	 * Counts tickets for each value of a field.
	 *
	 * @param string $field The field's name.
	 * @param array  $args  See Client::count_tickets().
	 * @return array{count: int, groups: array<int, array{value: int|string|null, count: int}>}
	 */
	public function count_tickets_by( string $field, array $args = array() ): array;

	/**
	 * Deletes a ticket. Deleting a deleted ticket is not an error.
	 *
	 * @param int    $id         The ticket's id.
	 * @param string $request_id Makes the call repeatable for a day.
	 * @return int The ticket's new revision; 0 where the change was spooled.
	 */
	public function delete( int $id, string $request_id = '' ): int;

	/**
	 * Reads who changed what of a ticket, the newest change first; see Client::history().
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $args `before`, `limit` and `field`.
	 * @return array{changes: array[], next: int|null} And `stale`: true where the latest changes may be missing.
	 */
	public function history( int $id, array $args = array() ): array;

	/**
	 * Erases the values in the history and the feed of tickets; who changed them and when stays.
	 *
	 * @param int[] $ids Ticket ids, at most 1,000.
	 * @return int How many changes were erased.
	 */
	public function erase_history( array $ids ): int;

	/**
	 * Reads the next events of the feed for a consumer; see Client::feed_read().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     `limit`, `wait_ms` and `lease_ms`.
	 * @return array{events: array[], busy: bool}
	 */
	public function feed_read( string $consumer, string $token, array $args = array() ): array;

	/**
	 * Moves a consumer's position in the feed; see Client::feed_ack().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     `cursor`, `refused` and `release`.
	 */
	public function feed_ack( string $consumer, string $token, array $args ): void;

	/**
	 * Asks how the feed, its destinations and the history are; see Client::feed_status().
	 */
	public function feed_status(): array;

	/**
	 * Tries, pauses or resumes a destination of the feed.
	 *
	 * @param string $name   The destination's name.
	 * @param string $action `test`, `pause` or `resume`.
	 */
	public function feed_control( string $name, string $action ): void;

	/**
	 * Reads the events that a destination refuses; see Client::feed_dead_list().
	 *
	 * @param string $name  The destination's name.
	 * @param int    $after Only letters behind this id; 0: from the first.
	 * @param int    $limit 1 to 1,000 letters.
	 * @return array[]
	 */
	public function feed_dead_list( string $name, int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array;

	/**
	 * Sends letters again.
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids, at most 1,000; null: all that are given up.
	 * @return int How many.
	 */
	public function feed_dead_retry( string $name, ?array $ids ): int;

	/**
	 * Drops letters, for good.
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids, at most 1,000; null: all that are given up.
	 * @return int How many.
	 */
	public function feed_dead_drop( string $name, ?array $ids ): int;

	/**
	 * Flushes changes to MySQL now and waits until MySQL has them.
	 *
	 * @param int[]         $ids        Ticket ids, at most 1,000; empty: every changed ticket.
	 * @param callable|null $progress   Called with the numbers of tickets done and in total.
	 * @param int           $timeout_ms Time the flush has, in milliseconds.
	 * @return array{flushed: int, dead: int}
	 */
	public function flush(
		array $ids = array(),
		?callable $progress = null,
		int $timeout_ms = Client::FLUSH_TIMEOUT_MS
	): array;

	/**
	 * Reads the pending changes of tickets: only the fields whose values the database does not have yet.
	 *
	 * @param int[] $ids Ticket ids, at most 1,000.
	 * @return array{tickets: array<int, array|null>} By ticket id `revision` and `fields`, or null where no change is
	 *         pending. And `stale`: true where changes may be missing.
	 */
	public function waiting( array $ids ): array;

	/**
	 * Asks what kind of site this is, and for a site of metadata, which keys it has.
	 *
	 * @return array{kind: string, keys: array<string, string>, posts: array<string, string>, post_types: string[],
	 *               adds: string, queries: string, query_wait_ms: int, max_value: int} `keys` has the metadata's key by
	 *         field, `posts` the column of the posts' table.
	 */
	public function describe(): array;

	/**
	 * Reads the dead letters: tickets with changes that MySQL rejects.
	 *
	 * @param int $after Only tickets above this id; 0: from the first.
	 * @param int $limit 1 to 1,000 letters.
	 * @return array[]
	 */
	public function dead_list( int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array;

	/**
	 * Retries dead letters.
	 *
	 * @param int[]|null $ids Ticket ids; null: all.
	 * @return int How many were put back.
	 */
	public function dead_retry( ?array $ids ): int;

	/**
	 * Drops the changes that MySQL rejects, for good.
	 *
	 * @param int[]|null $ids Ticket ids; null: all.
	 * @return int Of how many tickets changes were dropped.
	 */
	public function dead_drop( ?array $ids ): int;

	/**
	 * Asks how the daemon and this site are.
	 */
	public function status(): array;
}
