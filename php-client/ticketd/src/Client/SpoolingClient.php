<?php
/**
 * Changes that get through, with a daemon or without.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

use Psr\Log\LoggerInterface;

/**
 * Makes changes like the client, and spools changes that could not be delivered: no daemon, a full backlog, a passed
 * deadline, a lost connection, or a daemon that answers `overloaded`, `shutting_down` or `unavailable`. Such a failed
 * call had no effect, or the request id prevents a second effect.
 *
 * All other failures are thrown unchanged. A refused change (`invalid`, `forbidden`, `not_found`, `conflict`,
 * `too_large`, `malformed`) would be refused again. After a fault of the daemon (`internal`), or with a server that
 * does not speak the protocol, spooling would hide the fault: a fault without an error message is never repaired. A
 * change with a condition on the revision is not spooled either, because the caller needs the outcome.
 *
 * A spooled change returns the revision 0: accepted, revision not known yet. The daemon has not seen the change and
 * may still refuse it (an unknown column, a text that is too long): the change is then moved to the spool's folder
 * `bad`, with the reason.
 */
final class SpoolingClient implements ClientInterface {

	/** The revision of a change that was spooled. */
	public const UNKNOWN_REVISION = 0;

	/**
	 * The client.
	 *
	 * @var Client
	 */
	private Client $client;

	/**
	 * Returns the spool, which no change needs that the daemon takes.
	 *
	 * @var callable
	 */
	private $spool;

	/**
	 * Gives ids to new tickets while the daemon is unreachable; null: none gets one.
	 *
	 * @var callable|null
	 */
	private $next_id;

	/**
	 * Tells the identity of the site's table; null: it is not known.
	 *
	 * @var callable|null
	 */
	private $identity;

	/**
	 * Gets a warning for each change that is spooled; null: nothing does.
	 *
	 * @var LoggerInterface|null
	 */
	private ?LoggerInterface $logger;

	/**
	 * Takes the parts.
	 *
	 * @param Client               $client   The client.
	 * @param callable             $spool    Returns the spool; called once a change has to be spooled.
	 * @param callable|null        $next_id  Returns an id from the site's own sequence, or 0 where it gives none; null:
	 *                                       new tickets are not spooled unless the caller has given them an id.
	 * @param callable|null        $identity Returns the identity of the site's table, which the spooled change carries,
	 *                                       or an empty string where it is not known.
	 * @param LoggerInterface|null $logger   Gets a warning for each change that is spooled.
	 */
	public function __construct(
		Client $client,
		callable $spool,
		?callable $next_id = null,
		?callable $identity = null,
		?LoggerInterface $logger = null
	) {
		$this->client   = $client;
		$this->spool    = $spool;
		$this->next_id  = $next_id;
		$this->identity = $identity;
		$this->logger   = $logger;
	}

	/**
	 * Makes a ticket; see Client::create().
	 *
	 * @param array  $fields     Values by field name.
	 * @param string $request_id Makes the call repeatable for a day; a random one by default.
	 * @param int    $id         The ticket's id, taken from the site's sequence; 0: the daemon chooses one.
	 * @return array{id: int, revision: int} The revision is 0 where the change was spooled.
	 */
	public function create( array $fields, string $request_id = '', int $id = 0 ): array {
		try {
			return $this->client->create( $fields, $request_id, $id );
		} catch ( TicketdException $failure ) {
			return array(
				'id'       => $this->spool_create( $failure, '' !== $request_id ),
				'revision' => self::UNKNOWN_REVISION,
			);
		}
	}

	/**
	 * Merges fields into a ticket; see Client::set().
	 *
	 * @param int    $id          The ticket's id.
	 * @param array  $fields      Values by field name.
	 * @param int    $if_revision Refuse unless the ticket is at this revision; 0: do not ask.
	 * @param string $request_id  Makes the call repeatable for a day; a random one by default.
	 * @param bool   $must_exist  Refuse unless the ticket exists; one that was spooled is dropped then.
	 * @return int The ticket's new revision; 0 where the change was spooled.
	 */
	public function set(
		int $id,
		array $fields,
		int $if_revision = 0,
		string $request_id = '',
		bool $must_exist = false
	): int {
		try {
			return $this->client->set( $id, $fields, $if_revision, $request_id, $must_exist );
		} catch ( TicketdException $failure ) {
			return $this->spool( $failure, $failure->request() );
		}
	}

	/**
	 * Merges fields into several tickets; see Client::set_many(). Each change is spooled separately, also if the
	 * daemon accepted only some of the changes.
	 *
	 * @param array  $fields_by_id Fields by ticket id.
	 * @param string $request_id   Makes the call repeatable for a day; a random one by default.
	 * @param bool   $must_exist   Refuse each unless the ticket exists; see set().
	 * @return array<int, int|TicketdException> By ticket id the new revision, 0 where the change was spooled, or why
	 *         that ticket was refused.
	 * @throws TicketdException If the whole call fails.
	 * @throws InputException If these are too many tickets to spool.
	 */
	public function set_many( array $fields_by_id, string $request_id = '', bool $must_exist = false ): array {
		try {
			$outcomes = $this->client->set_many( $fields_by_id, $request_id, $must_exist );
			foreach ( $outcomes as $id => $outcome ) {
				if ( $outcome instanceof TicketdException ) {
					$outcomes[ $id ] = $this->spool_pair( $outcome, $outcome->request() );
				}
			}
			return $outcomes;
		} catch ( TicketdException $failure ) {
			if ( ! $failure->is_outage() ) {
				throw $failure;
			}
			if ( ! $this->opened()->exists() ) {
				throw $this->unspooled( $failure );
			}
		}
		if ( count( $fields_by_id ) > Protocol::MAX_TICKETS ) {
			throw new InputException( sprintf( 'Give at most %d tickets.', Protocol::MAX_TICKETS ), 'tickets' );
		}
		$outcomes = array();
		foreach ( $failure->request()->pairs() as $pair ) {
			$outcomes[ $pair->param( 'id' ) ] = $this->spool_pair( $failure, $pair );
		}
		if ( in_array( $failure, $outcomes, true ) && ! in_array( self::UNKNOWN_REVISION, $outcomes, true ) ) {
			throw $failure; // The folder cannot be written: to say so once is enough.
		}
		return $outcomes;
	}

	/**
	 * Deletes a ticket; see Client::delete().
	 *
	 * @param int    $id         The ticket's id.
	 * @param string $request_id Makes the call repeatable for a day; a random one by default.
	 * @return int The ticket's new revision; 0 where the change was spooled.
	 */
	public function delete( int $id, string $request_id = '' ): int {
		try {
			return $this->client->delete( $id, $request_id );
		} catch ( TicketdException $failure ) {
			return $this->spool( $failure, $failure->request() );
		}
	}

	/**
	 * Names who makes the changes from now on; see Client::sign(). Spooled changes carry it, too.
	 *
	 * @param string $by  Who makes them; empty: the daemon names the user of the process.
	 * @param string $via The part that makes them; empty: none is named.
	 */
	public function sign( string $by, string $via = '' ): void {
		$this->client->sign( $by, $via );
	}

	/**
	 * Asks whether the daemon is there; see Client::ping().
	 */
	public function ping(): array {
		return $this->client->ping();
	}

	/**
	 * Asks what changes would be answered; see Client::check().
	 *
	 * @param array[] $entries The changes.
	 */
	public function check( array $entries ): array {
		return $this->client->check( $entries );
	}

	/**
	 * Reads a ticket; see Client::get().
	 *
	 * @param int $id The ticket's id.
	 */
	public function get( int $id ): array {
		return $this->client->get( $id );
	}

	/**
	 * Reads several tickets; see Client::get_many().
	 *
	 * @param int[] $ids Ticket ids.
	 */
	public function get_many( array $ids ): array {
		return $this->client->get_many( $ids );
	}

	/**
	 * Returns a page of a selection; see Client::list_tickets().
	 *
	 * @param array $args The selection.
	 */
	public function list_tickets( array $args = array() ): array {
		return $this->client->list_tickets( $args );
	}

	/**
	 * Counts the tickets of a selection; see Client::count_tickets().
	 *
	 * @param array $args The selection.
	 */
	public function count_tickets( array $args = array() ): int {
		return $this->client->count_tickets( $args );
	}

	/**
	 * Counts tickets for each value of a field; see Client::count_tickets_by().
	 *
	 * @param string $field The field's name.
	 * @param array  $args  The selection.
	 */
	public function count_tickets_by( string $field, array $args = array() ): array {
		return $this->client->count_tickets_by( $field, $args );
	}

	/**
	 * Reads who changed what of a ticket; see Client::history().
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $args `before`, `limit` and `field`.
	 */
	public function history( int $id, array $args = array() ): array {
		return $this->client->history( $id, $args );
	}

	/**
	 * Erases the history of tickets; see Client::erase_history().
	 *
	 * @param int[] $ids Ticket ids.
	 */
	public function erase_history( array $ids ): int {
		return $this->client->erase_history( $ids );
	}

	/**
	 * Reads the next events of the feed; see Client::feed_read().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     `limit`, `wait_ms` and `lease_ms`.
	 */
	public function feed_read( string $consumer, string $token, array $args = array() ): array {
		return $this->client->feed_read( $consumer, $token, $args );
	}

	/**
	 * Moves a consumer's position in the feed; see Client::feed_ack().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    Names this process.
	 * @param array  $args     `cursor`, `refused` and `release`.
	 */
	public function feed_ack( string $consumer, string $token, array $args ): void {
		$this->client->feed_ack( $consumer, $token, $args );
	}

	/**
	 * Asks how the feed is; see Client::feed_status().
	 */
	public function feed_status(): array {
		return $this->client->feed_status();
	}

	/**
	 * Tries, pauses or resumes a destination of the feed; see Client::feed_control().
	 *
	 * @param string $name   The destination's name.
	 * @param string $action `test`, `pause` or `resume`.
	 */
	public function feed_control( string $name, string $action ): void {
		$this->client->feed_control( $name, $action );
	}

	/**
	 * Reads the events that a destination refuses; see Client::feed_dead_list().
	 *
	 * @param string $name  The destination's name.
	 * @param int    $after Only letters behind this id.
	 * @param int    $limit 1 to 1,000 letters.
	 */
	public function feed_dead_list( string $name, int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array {
		return $this->client->feed_dead_list( $name, $after, $limit );
	}

	/**
	 * Sends letters again; see Client::feed_dead_retry().
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids; null: all.
	 */
	public function feed_dead_retry( string $name, ?array $ids ): int {
		return $this->client->feed_dead_retry( $name, $ids );
	}

	/**
	 * Drops letters; see Client::feed_dead_drop().
	 *
	 * @param string     $name The destination's name.
	 * @param int[]|null $ids  Letters' ids; null: all.
	 */
	public function feed_dead_drop( string $name, ?array $ids ): int {
		return $this->client->feed_dead_drop( $name, $ids );
	}

	/**
	 * Flushes changes to MySQL; see Client::flush().
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
		return $this->client->flush( $ids, $progress, $timeout_ms );
	}

	/**
	 * Reads the pending changes of tickets; see Client::waiting().
	 *
	 * @param int[] $ids Ticket ids.
	 */
	public function waiting( array $ids ): array {
		return $this->client->waiting( $ids );
	}

	/**
	 * Asks what kind of site this is; see Client::describe().
	 */
	public function describe(): array {
		return $this->client->describe();
	}

	/**
	 * Reads the dead letters; see Client::dead_list().
	 *
	 * @param int $after Only tickets above this id.
	 * @param int $limit 1 to 1,000 letters.
	 */
	public function dead_list( int $after = 0, int $limit = Protocol::DEFAULT_LIMIT ): array {
		return $this->client->dead_list( $after, $limit );
	}

	/**
	 * Retries dead letters; see Client::dead_retry().
	 *
	 * @param int[]|null $ids Ticket ids; null: all.
	 */
	public function dead_retry( ?array $ids ): int {
		return $this->client->dead_retry( $ids );
	}

	/**
	 * Drops dead letters; see Client::dead_drop().
	 *
	 * @param int[]|null $ids Ticket ids; null: all.
	 */
	public function dead_drop( ?array $ids ): int {
		return $this->client->dead_drop( $ids );
	}

	/**
	 * Asks how the daemon and this site are; see Client::status().
	 */
	public function status(): array {
		return $this->client->status();
	}

	/**
	 * The spool.
	 */
	private function opened(): Spool {
		return ( $this->spool )();
	}

	/**
	 * Spools a change that failed.
	 *
	 * @param TicketdException $failure The failure.
	 * @param Request|null     $request The change.
	 * @return int The revision to return.
	 * @throws TicketdException If the change is not to be spooled or cannot be spooled: the failure itself, or the
	 *                          fault in the change or the spool.
	 */
	private function spool( TicketdException $failure, ?Request $request ): int {
		if ( ! $failure->is_outage() || null === $request || null !== $request->param( 'if_revision' ) ) {
			throw $failure;
		}
		try {
			Door::check( $request );
			$identity = null === $this->identity ? '' : ( $this->identity )();
			if ( $this->opened()->write( $request->with_identity( $identity ) ) ) {
				if ( null !== $this->logger ) {
					$this->logger->warning(
						'ticketd is unreachable ({reason}): {method} of ticket {ticket} was spooled.',
						$failure->context( $request )
					);
				}
				return self::UNKNOWN_REVISION;
			}
		} catch ( TicketdException $refusal ) {
			$refusal->set_request( $request, $failure->ambiguous() );
			throw $refusal;
		}
		throw $this->unspooled( $failure );
	}

	/**
	 * A failure, with the reason why the change could not be spooled.
	 *
	 * @param TicketdException $failure Why the change failed.
	 */
	private function unspooled( TicketdException $failure ): TicketdException {
		$trouble = $this->opened()->trouble();
		// Several changes may share the failure.
		if ( '' !== $trouble && false === strpos( $failure->getMessage(), $trouble ) ) {
			$failure->add( $trouble );
		}
		return $failure;
	}

	/**
	 * Spools a change of several changes.
	 *
	 * @param TicketdException $failure The failure.
	 * @param Request          $request The change.
	 * @return int|TicketdException The revision, or why the change was not spooled.
	 */
	private function spool_pair( TicketdException $failure, Request $request ) {
		try {
			return $this->spool( $failure, $request );
		} catch ( TicketdException $refusal ) {
			return $refusal;
		}
	}

	/**
	 * Spools a failed create. The daemon may have made the ticket, under an id that no caller received: the request
	 * id identifies that ticket, and the daemon removes it.
	 *
	 * @param TicketdException $failure   The failure.
	 * @param bool             $is_chosen Whether the caller has chosen the request id: this may be a repetition.
	 * @return int The ticket's id.
	 * @throws TicketdException As spool() does; `unavailable` where no id is available.
	 */
	private function spool_create( TicketdException $failure, bool $is_chosen ): int {
		$request = $failure->request();
		if ( ! $failure->is_outage() || null === $request ) {
			throw $failure;
		}
		if ( ! $this->opened()->exists() ) {
			throw $this->unspooled( $failure );
		}
		$id = (int) $request->param( 'id' );
		if ( 0 !== $id ) {
			$this->spool( $failure, $request );
			return $id;
		}
		$id = $is_chosen ? $this->opened()->created( $request ) : 0;
		if ( 0 !== $id ) {
			return $id;
		}
		$id = $this->take_id( $failure );
		$this->spool( $failure, $request->with_id( $id ) );
		return $id;
	}

	/**
	 * Takes an id for a new ticket.
	 *
	 * @param TicketdException $failure Why the daemon gave none.
	 * @throws LocalException If no id is available.
	 */
	private function take_id( TicketdException $failure ): int {
		Door::check( $failure->request() );
		try {
			$id = null === $this->next_id ? 0 : ( $this->next_id )();
			if ( $id > 0 ) {
				return $id;
			}
			$none = new LocalException(
				'unavailable',
				'Neither ticketd nor the database gives the new ticket an id: ' . $failure->getMessage(),
				true
			);
		} catch ( LocalException $refusal ) {
			$none = $refusal;
		}
		$none->set_request( $failure->request(), $failure->ambiguous() );
		throw $none;
	}
}
