<?php
/**
 * Deletions, and the end of an outage.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Flushes before a post or user is deleted, so that WordPress deletes all rows, and reports the deletion to the
 * daemon afterwards, so that no late change restores a row. Forgets the cache entries of an outage when it ends.
 */
final class Lifecycle {

	/**
	 * The keys.
	 *
	 * @var Keys
	 */
	private Keys $keys;

	/**
	 * The daemon.
	 *
	 * @var Daemon
	 */
	private Daemon $daemon;

	/**
	 * The cache entries.
	 *
	 * @var Cache
	 */
	private Cache $cache;

	/**
	 * The queries.
	 *
	 * @var Queries
	 */
	private Queries $queries;

	/**
	 * The objects that are being deleted, as keys.
	 *
	 * @var array<int, bool>
	 */
	private array $ending = array();

	/**
	 * Takes the parts.
	 *
	 * @param Keys    $keys    The keys.
	 * @param Daemon  $daemon  The daemon.
	 * @param Cache   $cache   The cache entries.
	 * @param Queries $queries The queries.
	 */
	public function __construct( Keys $keys, Daemon $daemon, Cache $cache, Queries $queries ) {
		$this->keys    = $keys;
		$this->daemon  = $daemon;
		$this->cache   = $cache;
		$this->queries = $queries;
		$daemon->when_back( array( $this, 'back' ) );
	}

	/**
	 * Flushes an object that is about to be deleted: `before_delete_post`, `delete_user`.
	 *
	 * @param int $id The object's id.
	 */
	public function before_delete( int $id ): void {
		if ( ! $this->keys->may_have( $id ) ) {
			return;
		}
		$this->ending[ $id ] = true;
		if ( ! $this->queries->is_transaction() ) {
			$this->daemon->flush( array( $id ) );
		}
	}

	/**
	 * Reports a deleted object to the daemon: `deleted_post`, `deleted_user`.
	 *
	 * @param int $id The object's id.
	 */
	public function deleted( int $id ): void {
		if ( isset( $this->ending[ $id ] ) ) {
			unset( $this->ending[ $id ] );
			$this->daemon->delete( $id );
		}
	}

	/**
	 * Forgets values that were read while the daemon did not answer.
	 *
	 * @param int[] $ids Ids of the objects whose changes were in this host's spool.
	 */
	public function back( array $ids ): void {
		$this->cache->forget_uncached();
		foreach ( $ids as $id ) {
			$this->cache->forget( (int) $id );
		}
		$this->queries->forget_answers();
	}
}
