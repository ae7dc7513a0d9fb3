<?php
/**
 * The daemon's calls for the metadata of one type.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

use Ticketd\Client\ClientInterface;
use Ticketd\Client\TicketdException;
use Ticketd\WordPress\Clients;
use Ticketd\WordPress\OwnChanges;

defined( 'ABSPATH' ) || exit;

/**
 * Calls the daemon for the metadata of one type, and remembers whether it answers. A post's or user's id is the
 * ticket's.
 */
final class Daemon {

	/** Time that a flush has before a statement that must not meet pending changes, in milliseconds. */
	public const FLUSH_MS = 5000;

	/** Most ids of a call. */
	private const MOST = 1000;

	/** Group of the object cache for facts that all processes share. */
	private const GROUP = 'ticketd';

	/**
	 * The clients.
	 *
	 * @var Clients
	 */
	private Clients $clients;

	/**
	 * The keys.
	 *
	 * @var Keys
	 */
	private Keys $keys;

	/**
	 * The changes of this PHP request.
	 *
	 * @var OwnChanges
	 */
	private OwnChanges $own;

	/**
	 * Called with the ids of the objects whose changes were spooled, once the daemon answers again.
	 *
	 * @var callable|null
	 */
	private $when_back = null;

	/**
	 * Whether a call of this request was answered after the last one that was not; null before the first call.
	 *
	 * @var bool|null
	 */
	private ?bool $answers = null;

	/**
	 * Asks the daemon for the keys again; called with the meta type.
	 *
	 * @var callable
	 */
	private $relearn;

	/**
	 * Takes the parts.
	 *
	 * @param Clients  $clients The clients.
	 * @param Keys     $keys    The keys.
	 * @param callable $relearn Asks the daemon for the keys again; called with the meta type.
	 */
	public function __construct( Clients $clients, Keys $keys, callable $relearn ) {
		$this->relearn = $relearn;
		$this->clients = $clients;
		$this->keys    = $keys;
		$this->own     = new OwnChanges();
	}

	/**
	 * Sets the callback for the moment when the daemon answers again.
	 *
	 * @param callable $call Called with a list of ids.
	 */
	public function when_back( callable $call ): void {
		$this->when_back = $call;
	}

	/**
	 * Reads pending changes.
	 *
	 * @param int[] $ids Ids of objects.
	 * @return array{0: array<int, array>, 1: bool} By id the pending values by key, and whether they are all: false
	 *         where the daemon, or the store that holds the changes, does not answer. Then those that are known here.
	 */
	public function waiting( array $ids ): array {
		$pending = array();
		try {
			foreach ( array_chunk( $ids, self::MOST ) as $some ) {
				$answer   = $this->client()->waiting( $some );
				$pending += array_filter( $answer['tickets'] );
				if ( isset( $answer['stale'] ) ) {
					return array( $this->with_known( $ids, $pending ), false );
				}
			}
		} catch ( TicketdException $failure ) {
			$this->answers = false;
			return array( $this->with_known( $ids, $pending ), false );
		}
		$this->answered();
		return array( array_map( fn( array $ticket ): array => $this->by_key( $ticket['fields'] ), $pending ), true );
	}

	/**
	 * Sends a change, or spools it.
	 *
	 * @param int   $id          The object's id.
	 * @param array $values      Values by key: strings or null.
	 * @param int   $if_revision Refuse unless the object is at this revision; 0: do not ask.
	 * @throws TicketdException If the change is neither sent nor spooled.
	 */
	public function set( int $id, array $values, int $if_revision = 0 ): void {
		$fields = array();
		foreach ( $values as $key => $value ) {
			$fields[ $this->keys->field( (string) $key ) ] = $value;
		}
		$this->set_fields( $id, $fields, $if_revision );
	}

	/**
	 * Sends a change of fields, or spools it.
	 *
	 * @param int   $id          The object's id.
	 * @param array $fields      Values by field name: strings or null.
	 * @param int   $if_revision Refuse unless the object is at this revision; 0: do not ask.
	 * @throws TicketdException If the change is neither sent nor spooled.
	 */
	public function set_fields( int $id, array $fields, int $if_revision = 0 ): void {
		$revision = $this->spooling()->set( $id, $fields, $if_revision );
		$this->own->add( '', 'set', $id, $fields );
		0 === $revision ? $this->note_spooled( $id ) : $this->answered();
	}

	/**
	 * Reads the fields of an object: the rows, with the pending changes laid over them.
	 *
	 * @param int $id The object's id.
	 * @return array<string, string|int|null> Values by field name.
	 * @throws TicketdException If the daemon does not answer.
	 */
	public function read( int $id ): array {
		$ticket = $this->client()->get( $id );
		$this->answered();
		return array_merge( $ticket['fields'], $this->spooled( $id ) );
	}

	/**
	 * The changes of an object that are in this host's spool.
	 *
	 * @param int $id The object's id.
	 * @return array<string, string|null> Values by field name.
	 */
	public function spooled( int $id ): array {
		$fields = array();
		foreach ( $this->clients->spool()->waiting( array( $id ) )[ $id ] ?? array() as list( , $request ) ) {
			if ( 'set' === $request->method() && $request->is_of( '', $this->keys->full_table() ) ) {
				$fields = array_merge( $fields, (array) $request->param( 'fields' ) );
			}
		}
		return $fields;
	}

	/**
	 * The revision at which a key has a value.
	 *
	 * @param int    $id  The object's id.
	 * @param string $key The key.
	 * @param string $raw The value.
	 * @return int The revision; 0: the key has another value, the daemon has not seen this object, or does not answer.
	 */
	public function revision_with( int $id, string $key, string $raw ): int {
		try {
			$ticket = $this->client()->get( $id );
		} catch ( TicketdException $failure ) {
			return 0;
		}
		$value = $this->keys->by_key( $ticket['fields'] )[ $key ] ?? null;
		return $value === $raw && ! isset( $ticket['stale'] ) ? $ticket['revision'] : 0;
	}

	/**
	 * Flushes.
	 *
	 * @param int[] $ids Ids of objects; empty: all.
	 * @param int   $ms  Time that the flush has, in milliseconds.
	 * @return bool Whether the database has all changes that were acknowledged before.
	 */
	public function flush( array $ids, int $ms = self::FLUSH_MS ): bool {
		global $wpdb;

		$chunks = array() === $ids ? array( array() ) : array_chunk( $ids, self::MOST );
		$begin  = hrtime( true );
		try {
			foreach ( $chunks as $some ) {
				$left = $ms - intdiv( hrtime( true ) - $begin, 1000000 );
				$done = $this->client()->flush( $some, null, max( 1, $left ) );
				if ( $done['dead'] > 0 ) {
					return false;
				}
			}
		} catch ( TicketdException $failure ) {
			return false;
		}
		if ( method_exists( $wpdb, 'send_reads_to_masters' ) ) {
			$wpdb->send_reads_to_masters(); // HyperDB: a replica may not have the flush yet.
		}
		foreach ( $this->keys->has_columns() ? $ids : array() as $id ) {
			clean_post_cache( $id ); // No filter could lay a pending value over a cached post.
		}
		$this->answered();
		return true;
	}

	/**
	 * Makes sure that no change of an object is pending, and flushes only if one is.
	 *
	 * @param int $id The object's id.
	 * @param int $ms Time that the flush has, in milliseconds.
	 * @return bool Whether none is pending.
	 */
	public function is_settled( int $id, int $ms ): bool {
		list( $pending, $is_all ) = $this->waiting( array( $id ) );
		return ( $is_all && array() === $pending ) || ( $is_all && $this->flush( array( $id ), $ms ) );
	}

	/**
	 * Deletes an object in the daemon, which drops the object's pending changes.
	 *
	 * @param int $id The object's id.
	 */
	public function delete( int $id ): void {
		try {
			$this->spooling()->delete( $id );
		} catch ( TicketdException $failure ) {
			// `not_found`: the daemon has never seen the object. Otherwise a late flush makes orphans at worst.
			return;
		}
	}

	/**
	 * Asks which keys the daemon takes.
	 *
	 * @return array See Client::describe().
	 * @throws TicketdException If the daemon does not answer.
	 */
	public function describe(): array {
		return $this->client()->describe();
	}

	/**
	 * How old the oldest pending change is, in milliseconds; -1: the daemon does not answer.
	 */
	public function oldest_ms(): int {
		try {
			return (int) ( $this->client()->status()['oldest_dirty_ms'] ?? 0 );
		} catch ( TicketdException $failure ) {
			return -1;
		}
	}

	/**
	 * The client.
	 */
	private function client(): ClientInterface {
		return $this->clients->of( '', $this->keys->full_table() );
	}

	/**
	 * The client with the spool behind it.
	 */
	private function spooling(): ClientInterface {
		return $this->clients->spooling_of( '', $this->keys->full_table() );
	}

	/**
	 * Adds the changes that are known in this process and in this host's spool.
	 *
	 * @param int[]             $ids     Ids of objects.
	 * @param array<int, array> $pending What the daemon answered.
	 * @return array<int, array> Pending values by id and key.
	 */
	private function with_known( array $ids, array $pending ): array {
		$values = array_map( fn( array $ticket ): array => $this->by_key( $ticket['fields'] ), $pending );
		$known  = $this->own->among( $ids, $this->clients->spool()->waiting( $ids ) );
		foreach ( $known as $id => $changes ) {
			foreach ( $changes as list( , $request ) ) {
				if ( ! $request->is_of( '', $this->keys->full_table() ) ) {
					continue;
				}
				if ( 'delete' === $request->method() ) {
					$values[ $id ] = array();
				} elseif ( 'set' === $request->method() ) {
					$changed       = $this->by_key( (array) $request->param( 'fields' ) );
					$values[ $id ] = $changed + ( $values[ $id ] ?? array() );
				}
			}
		}
		return $values;
	}

	/**
	 * Values by key. A field that the description lacks makes the description anew: the daemon's configuration has
	 * changed.
	 *
	 * @param array $fields Values by field name.
	 */
	private function by_key( array $fields ): array {
		if ( ! $this->keys->knows( $fields ) ) {
			( $this->relearn )( $this->keys->type() );
		}
		return $this->keys->by_key( $fields );
	}

	/**
	 * Notes for all processes that share the object cache that a change is only in this host's spool.
	 *
	 * @param int $id The object's id.
	 */
	private function note_spooled( int $id ): void {
		$this->answers = false;
		$name          = $this->note();
		$ids           = wp_cache_get( $name, self::GROUP );
		$ids           = is_array( $ids ) ? $ids : array();
		if ( ! isset( $ids[ $id ] ) && count( $ids ) < 10000 ) {
			wp_cache_set( $name, $ids + array( $id => true ), self::GROUP );
		}
	}

	/**
	 * Notes that the daemon answers, and calls when_back() after an outage.
	 */
	private function answered(): void {
		if ( true === $this->answers ) {
			return;
		}
		$is_after_failure = false === $this->answers;
		$this->answers    = true;

		$ids = wp_cache_get( $this->note(), self::GROUP );
		if ( is_array( $ids ) ) {
			wp_cache_delete( $this->note(), self::GROUP );
		}
		if ( null !== $this->when_back && ( $is_after_failure || is_array( $ids ) ) ) {
			( $this->when_back )( array_keys( is_array( $ids ) ? $ids : array() ) );
		}
	}

	/**
	 * Name of the note of this host's spool.
	 */
	private function note(): string {
		return 'spooled:' . $this->keys->type() . ':' . php_uname( 'n' );
	}
}
