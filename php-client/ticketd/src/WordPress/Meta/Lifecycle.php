<?php
/**
 * Deletions, and the end of an outage.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Flushes before a post gets a type that ticketd does not take, as WordPress writes its metadata then. Flushes before a
 * post or user is deleted, so that WordPress deletes all rows, and reports the deletion to the daemon afterwards,
 * so that no late change restores a row. Forgets the cache entries of an outage when it ends.
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
	 * The transaction of the connection.
	 *
	 * @var Transaction
	 */
	private Transaction $transaction;

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
	 * @param Queries     $queries     The queries.
	 * @param Transaction $transaction The transaction of the connection.
	 */
	public function __construct(
		Keys $keys,
		Daemon $daemon,
		Cache $cache,
		Queries $queries,
		Transaction $transaction
	) {
		$this->keys        = $keys;
		$this->daemon      = $daemon;
		$this->cache       = $cache;
		$this->queries     = $queries;
		$this->transaction = $transaction;
		$daemon->when_back( array( $this, 'back' ) );
	}

	/**
	 * Flushes an object that is about to be deleted: `before_delete_post`, `delete_user`.
	 *
	 * @param int   $id   The object's id.
	 * @param mixed $post The post, whose type may_have() knows only from the cache.
	 */
	public function before_delete( int $id, $post = null ): void {
		$is_other = $post instanceof \WP_Post && ! $this->keys->has_type( $post->post_type );
		if ( $is_other || ! $this->keys->may_have( $id ) ) {
			return;
		}
		$this->ending[ $id ] = true;
		if ( ! $this->transaction->is_open() ) {
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
			$this->cache->forget( $id );
		}
	}

	/**
	 * Flushes a post that is about to get another type, which WordPress writes itself: `pre_post_update`.
	 *
	 * @param int   $id   The post's id.
	 * @param mixed $data Its columns.
	 */
	public function before_update( int $id, $data = array() ): void {
		$type = is_array( $data ) ? (string) ( $data['post_type'] ?? '' ) : '';
		if ( '' === $type || $this->keys->has_type( $type ) ) {
			return;
		}
		if ( $this->keys->has_type( (string) get_post_type( $id ) ) ) {
			$this->daemon->flush( array( $id ), $this->queries->flush_ms() );
			$this->cache->forget( $id );
		}
	}

	/**
	 * Looks at a statement for the one of set_post_type(), which calls no hook before.
	 *
	 * @param string $sql The statement, from its first word on.
	 */
	public function look( string $sql ): void {
		global $wpdb;

		if ( 'post' !== $this->keys->type() || false === strpos( substr( $sql, 0, 200 ), 'post_type' ) ) {
			return;
		}
		$pattern = "/^UPDATE\s+`?{$wpdb->posts}`?\s+SET\s+`?post_type`?\s*=\s*'([^']*)'"
			. '\s+WHERE\s+`?ID`?\s*=\s*\'?(\d+)\'?\s*$/i';
		if ( 1 === preg_match( $pattern, $sql, $found ) ) {
			$this->before_update( (int) $found[2], array( 'post_type' => $found[1] ) );
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
