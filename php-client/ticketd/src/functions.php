<?php
/**
 * The functions that other plugins and themes call.
 *
 * Each of them returns a WP_Error when it fails: its code is `ticketd_` and the protocol's error code (or `timeout`,
 * `lost`, `protocol`), its data holds `status` (for HTTP), `field`, `retryable`, `ambiguous` (the call may have been
 * done nevertheless) and `request_id` (under which it may be repeated). None of them waits longer than one deadline.
 *
 * While the daemon is unreachable, changes are spooled, and reads come from the database:
 *
 * - A spooled change counts as done and returns the revision 0: "accepted, revision not known yet". The daemon has
 *   not seen it. What the daemon rejects later (an unknown column, a text that is too long) it moves with the
 *   reason to the spool's folder `bad`; the caller does not learn of that. A change with $if_revision is
 *   not spooled but fails.
 * - What is read carries `stale`: true. It is the database's row, with this host's own spooled changes over it; pending
 *   changes in the daemon's store are missing, and a ticket without a row in the database is `ticketd_unavailable` (or
 *   null among several).
 *
 * Without a spool folder that PHP can write, changes fail while the daemon is unreachable.
 *
 * @package Ticketd
 */

defined( 'ABSPATH' ) || exit;

/**
 * Makes a ticket.
 *
 * While the daemon is unreachable, the id comes from the table's sequence in the database. That must not be undone: do
 * not call this within a transaction that may be rolled back.
 *
 * @param array  $fields     Values by field name; other fields get the table's defaults.
 * @param string $request_id Makes the call repeatable for a day: the same id, the same ticket. One is made up where
 *                           it is empty, good for ten minutes; it is in the data of a WP_Error.
 * @return int|WP_Error The ticket's id.
 */
function ticketd_create_ticket( array $fields, string $request_id = '' ) {
	$created = Ticketd\WordPress\Plugin::instance()->api()->create( $fields, $request_id );
	return is_wp_error( $created ) ? $created : $created['id'];
}

/**
 * Merges fields into a ticket; makes the ticket if it does not exist, unless `$must_exist` forbids that.
 *
 * @param int    $id          The ticket's id.
 * @param array  $fields      Values by field name; null is NULL. Other fields keep their values.
 * @param int    $if_revision Refuse with `ticketd_conflict` unless the ticket is at this revision; 0: do not ask.
 * @param string $request_id  Makes the call repeatable for a day; a random one by default.
 * @param bool   $must_exist  Refuse with `ticketd_not_found` unless there is the ticket. While the daemon is
 *                            unreachable the change is accepted, and dropped later if the ticket does not exist.
 * @return int|WP_Error The ticket's new revision; 0: accepted, not known yet.
 */
function ticketd_set_ticket(
	int $id,
	array $fields,
	int $if_revision = 0,
	string $request_id = '',
	bool $must_exist = false
) {
	return Ticketd\WordPress\Plugin::instance()->api()->set( $id, $fields, $if_revision, $request_id, $must_exist );
}

/**
 * Merges fields into several tickets. A rejected ticket does not stop the rest.
 *
 * @param array  $fields_by_id Fields by ticket id, at most 1,000 tickets.
 * @param string $request_id   Makes the call repeatable for a day; a random one by default.
 * @return array<int, int|WP_Error>|WP_Error By ticket id the new revision (0: accepted, not known yet), or why
 *         that ticket was refused.
 */
function ticketd_set_tickets( array $fields_by_id, string $request_id = '' ) {
	return Ticketd\WordPress\Plugin::instance()->api()->set_many( $fields_by_id, $request_id );
}

/**
 * Reads a ticket.
 *
 * @param int $id The ticket's id.
 * @return array{id: int, revision: int, fields: array}|WP_Error And `stale`: true where changes may be missing.
 */
function ticketd_get_ticket( int $id ) {
	return Ticketd\WordPress\Plugin::instance()->api()->get( $id );
}

/**
 * Reads several tickets.
 *
 * @param int[] $ids Ticket ids, at most 1,000.
 * @return array<int, array|null>|WP_Error By ticket id what ticketd_get_ticket() returns; null: no ticket.
 */
function ticketd_get_tickets( array $ids ) {
	return Ticketd\WordPress\Plugin::instance()->api()->get_many( $ids );
}

/**
 * Returns a page of a selection of tickets; every change that was acknowledged before is in it.
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
 * @return array{tickets: array[], next: string|null}|WP_Error Tickets as ticketd_get_ticket() returns them; `next` is
 *         null on the last page, and `stale` true where changes may be missing.
 */
function ticketd_list_tickets( array $args = array() ) {
	return Ticketd\WordPress\Plugin::instance()->api()->list_tickets( $args );
}

/**
 * Counts the tickets of a selection.
 *
 * @param array $args `where`, `contains`, `created_at`, `updated_at`,
 *                    `deleted` and `fresh` as ticketd_list_tickets() takes them.
 * @return int|WP_Error
 */
function ticketd_count_tickets( array $args = array() ) {
	return Ticketd\WordPress\Plugin::instance()->api()->count_tickets( $args );
}

/**
 * Counts tickets for each value of a field.
 *
 * @param string $field The field's name; it has a column of its own, and at most 1,000 values among these tickets.
 * @param array  $args  What ticketd_count_tickets() takes.
 * @return array{count: int, groups: array<int, array{value: int|string|null, count: int}>}|WP_Error The largest group
 *         first; they add up to count. `stale` is true where changes may be missing.
 */
function ticketd_count_tickets_by( string $field, array $args = array() ) {
	return Ticketd\WordPress\Plugin::instance()->api()->count_tickets_by( $field, $args );
}

/**
 * Deletes a ticket. Deleting it again is no error.
 *
 * @param int    $id         The ticket's id.
 * @param string $request_id Makes the call repeatable for a day; a random one by default.
 * @return int|WP_Error The ticket's new revision; 0: accepted, not known yet.
 */
function ticketd_delete_ticket( int $id, string $request_id = '' ) {
	return Ticketd\WordPress\Plugin::instance()->api()->delete( $id, $request_id );
}

/**
 * Reads who changed what of a ticket, the newest change first. The daemon keeps a history where `[sites.NAME.history]`
 * is enabled.
 *
 * @param int   $id   The ticket's id.
 * @param array $args All optional: `before` (only changes below this revision: the `next` of the page before), `limit`
 *                    (1 to 1,000, 20 by default) and `field` (only changes of this field).
 * @return array{changes: array[], next: int|null}|WP_Error Each change has `revision`, `kind` (`created`, `updated`,
 *         `deleted`, `dropped`), `at_us` (microseconds since 1970), `by` (`user:3`; may be empty), `via`, `changes` (by
 *         field name a list: the old and the new value, or the new value alone, or nothing where the values were erased
 *         or are not kept), `erased`, and `gap`: whether changes directly before it may be missing. `stale` is true
 *         where the latest changes may be missing.
 */
function ticketd_ticket_history( int $id, array $args = array() ) {
	return Ticketd\WordPress\Plugin::instance()->api()->history( $id, $args );
}

/**
 * Flushes changes to MySQL now and waits, up to half a minute, until MySQL has them.
 *
 * @param int[] $ids Ticket ids, at most 1,000; empty: every changed ticket.
 * @return array{flushed: int, dead: int}|WP_Error Tickets flushed, and tickets that MySQL rejected.
 */
function ticketd_flush( array $ids = array() ) {
	return Ticketd\WordPress\Plugin::instance()->api()->flush( $ids );
}

/**
 * Reads the dead letters: tickets with changes that MySQL rejects. They stay until they are retried, dropped, or
 * changed by another write.
 *
 * @param int $after Only tickets above this id: that of the last letter of the page before; 0: from the first.
 * @param int $limit 1 to 1,000 letters. Fewer are the last ones.
 * @return array[]|WP_Error By ticket id: `id`, `revision`, `code` and `reason` (MySQL's), `at_ms` (since 1970),
 *         `deleted` (what is refused is the ticket's deletion), `fields` (whose change MySQL does not have).
 */
function ticketd_list_dead_letters( int $after = 0, int $limit = 50 ) {
	return Ticketd\WordPress\Plugin::instance()->api()->dead_list( $after, $limit );
}

/**
 * Puts dead letters back into the queue, to be flushed at once. What MySQL still refuses becomes a dead letter again.
 *
 * @param int[]|null $ids Ticket ids, at most 1,000; null: every dead letter.
 * @return int|WP_Error How many were put back.
 */
function ticketd_retry_dead_letters( ?array $ids ) {
	return Ticketd\WordPress\Plugin::instance()->api()->dead_retry( $ids );
}

/**
 * Gives up for good the changes that MySQL refuses: the tickets are again what MySQL has of them.
 *
 * @param int[]|null $ids Ticket ids, at most 1,000; null: every dead letter.
 * @return int|WP_Error Of how many tickets changes were dropped.
 */
function ticketd_drop_dead_letters( ?array $ids ) {
	return Ticketd\WordPress\Plugin::instance()->api()->dead_drop( $ids );
}

/**
 * Asks how the daemon and this site are.
 *
 * @return array|WP_Error The protocol's status map: `strategy`, `dirty`, `dead`, `oldest_dirty_ms`, `warnings` and
 *         more.
 */
function ticketd_status() {
	return Ticketd\WordPress\Plugin::instance()->api()->status();
}
