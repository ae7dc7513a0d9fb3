<?php
/**
 * The cache entries of metadata.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Fills WordPress' cache entries of metadata: asks the daemon for the pending changes, then reads the rows, lays the
 * changes over the rows, and only then caches. The order is the proof: what is not pending at the daemon's answer is in
 * the database before the rows are read. An entry that was filled from the rows alone would be wrong for ever in a
 * persistent cache, as nothing deletes it at the flush.
 *
 * Where the daemon does not answer, nothing is cached. The values that are known are served to this PHP request alone.
 */
final class Cache {

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
	 * Runs statements that need no flush.
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
	 * Entries that must not be cached, by id.
	 *
	 * @var array<int, array>
	 */
	private array $uncached = array();

	/**
	 * The keys of these entries whose newest value is known: it is pending here.
	 *
	 * @var array<int, array<string, bool>>
	 */
	private array $newest = array();

	/**
	 * Takes the parts.
	 *
	 * @param Keys        $keys        The keys.
	 * @param Daemon      $daemon      The daemon.
	 * @param Queries     $queries     Runs statements that need no flush.
	 * @param Transaction $transaction The transaction of the connection.
	 */
	public function __construct( Keys $keys, Daemon $daemon, Queries $queries, Transaction $transaction ) {
		$this->keys        = $keys;
		$this->daemon      = $daemon;
		$this->queries     = $queries;
		$this->transaction = $transaction;
	}

	/**
	 * Fills entries before WordPress does: `update_{type}_metadata_cache`.
	 *
	 * @param mixed $check Null, unless another plugin has filled them.
	 * @param int[] $ids   Ids of objects.
	 * @return mixed Null: WordPress continues and finds the entries. True: WordPress must not cache the values.
	 */
	public function fill( $check, array $ids ) {
		if ( null !== $check ) {
			return $check;
		}
		$lacking = array_keys( wp_cache_get_multiple( $ids, $this->keys->group() ), false, true );
		$ours    = array_values( array_filter( $lacking, array( $this->keys, 'may_have' ) ) );
		if ( array() === $ours || $this->prime( $ours ) ) {
			return null;
		}
		$others = array_diff( $lacking, $ours );
		if ( array() !== $others ) {
			update_meta_cache( $this->keys->type(), $others );
		}
		return true;
	}

	/**
	 * Serves values that must not be cached: `get_{type}_metadata`. WordPress turns the array back into the value.
	 *
	 * @param mixed  $check  Null, unless another plugin has answered.
	 * @param int    $id     The object's id.
	 * @param string $key    The key; empty: all.
	 * @param mixed  $single Whether a single value is asked for.
	 * @return mixed Null: WordPress reads its cache.
	 */
	public function read( $check, int $id, string $key, $single ) {
		if ( null !== $check || false !== wp_cache_get( $id, $this->keys->group() ) ) {
			return $check;
		}
		if ( ! $this->keys->may_have( $id ) ) {
			return null;
		}
		if ( $this->is_unread( $id ) && $this->prime( array( $id ) ) ) {
			return null;
		}
		$entry = $this->uncached[ $id ];
		if ( '' === $key ) {
			return $single ? array( $entry ) : $entry;
		}
		if ( ! isset( $entry[ $key ] ) ) {
			$default = get_metadata_default( $this->keys->type(), $id, $key, $single );
			return $single && is_array( $default ) ? array( $default ) : $default;
		}
		return array_map( 'maybe_unserialize', $entry[ $key ] );
	}

	/**
	 * The metadata of an object, as the cache holds it: lists of raw strings by key.
	 *
	 * @param int $id The object's id.
	 * @return array<string, array>
	 */
	public function entry( int $id ): array {
		$entry = wp_cache_get( $id, $this->keys->group() );
		if ( is_array( $entry ) ) {
			return $entry;
		}
		if ( $this->is_unread( $id ) && $this->prime( array( $id ) ) ) {
			$entry = wp_cache_get( $id, $this->keys->group() );
		}
		return is_array( $entry ) ? $entry : $this->uncached[ $id ] ?? array();
	}

	/**
	 * Whether the value that entry() has of a key is the newest. While the daemon does not answer, a newer one may be
	 * pending there.
	 *
	 * @param int    $id  The object's id.
	 * @param string $key The key.
	 */
	public function is_newest( int $id, string $key ): bool {
		return ! isset( $this->uncached[ $id ] ) || isset( $this->newest[ $id ][ $key ] );
	}

	/**
	 * Whether an entry must be read. While WordPress caches nothing, as at an import, it is read each time.
	 *
	 * @param int $id The object's id.
	 */
	private function is_unread( int $id ): bool {
		return ! isset( $this->uncached[ $id ] ) || wp_suspend_cache_addition();
	}

	/**
	 * Puts an acknowledged value into this request's entry. A persistent entry is deleted instead, as WordPress does:
	 * two processes that amend it at once could leave the older value.
	 *
	 * @param int         $id  The object's id.
	 * @param string      $key The key.
	 * @param string|null $raw The value.
	 */
	public function put( int $id, string $key, ?string $raw ): void {
		if ( isset( $this->uncached[ $id ] ) ) {
			$this->uncached[ $id ][ $key ] = array( $raw );
			$this->newest[ $id ][ $key ]   = true;
		}
		$group = $this->keys->group();
		$entry = wp_using_ext_object_cache() ? false : wp_cache_get( $id, $group );
		if ( ! is_array( $entry ) ) {
			wp_cache_delete( $id, $group );
			return;
		}
		$entry[ $key ] = array( $raw );
		wp_cache_set( $id, $entry, $group );
	}

	/**
	 * Forgets an entry.
	 *
	 * @param int $id The object's id.
	 */
	public function forget( int $id ): void {
		unset( $this->uncached[ $id ] );
		wp_cache_delete( $id, $this->keys->group() );
	}

	/**
	 * Forgets what was read of an object that WordPress has changed itself: it deletes its own cache entry alone. Of a
	 * key that ticketd takes put() has the new value, unless a transaction is open.
	 *
	 * @param mixed  $row The id of the row; a list after a deletion, which may be one of all objects.
	 * @param int    $id  The object's id.
	 * @param string $key The key.
	 */
	public function changed( $row, int $id, string $key ): void {
		if ( array() === $this->uncached ) {
			return;
		}
		if ( 0 === $id || is_array( $row ) ) {
			$this->forget_uncached();
		} elseif ( $this->transaction->is_open() || ! $this->keys->has( $id, $key ) ) {
			unset( $this->uncached[ $id ] );
		}
	}

	/**
	 * Forgets values that were read while the daemon did not answer.
	 */
	public function forget_uncached(): void {
		$this->uncached = array();
	}

	/**
	 * Reads entries and caches them.
	 *
	 * @param int[] $ids Ids of objects.
	 * @return bool Whether they are cached; otherwise this request alone has them.
	 */
	private function prime( array $ids ): bool {
		list( $pending, $is_all ) = $this->daemon->waiting( $ids );

		$known = $is_all ? array() : array_intersect_key( $this->uncached, array_flip( $ids ) );
		$read  = array_diff( $ids, array_keys( $known ) );
		if ( array() === $read ) {
			return false;
		}
		$entries = $this->rows( $read );
		$is_read = null !== $entries;
		$entries = $entries ?? array_fill_keys( $read, array() );
		foreach ( $pending as $id => $values ) {
			// A value that the transaction has written and owes to the daemon is newer than what is pending.
			$pending[ $id ] = array_diff_key( $values, $this->transaction->owed( $this->keys->group(), $id ) );
			if ( isset( $entries[ $id ] ) ) {
				$entries[ $id ] = self::over( $entries[ $id ], $pending[ $id ] );
			}
		}
		if ( $is_all && $is_read && ! wp_suspend_cache_addition() ) {
			wp_cache_add_multiple( $entries, $this->keys->group() );
			$this->uncached = array_diff_key( $this->uncached, $entries );
			return true;
		}
		$this->uncached = $entries + $this->uncached;
		foreach ( $pending as $id => $values ) {
			$this->newest[ $id ] = array_fill_keys( array_keys( $values ), true );
		}
		return false;
	}

	/**
	 * Reads rows, as WordPress does.
	 *
	 * @param int[] $ids Ids of objects.
	 * @return array<int, array>|null Entries by id; null: the database does not answer.
	 */
	private function rows( array $ids ): ?array {
		global $wpdb;

		$column  = $this->keys->column();
		$entries = array_fill_keys( $ids, array() );
		$sql     = sprintf(
			'SELECT %1$s, meta_key, meta_value FROM %2$s WHERE %1$s IN (%3$s) ORDER BY %4$s ASC',
			$column,
			$this->keys->table(),
			implode( ',', array_map( 'intval', $ids ) ),
			$this->keys->row_column()
		);
		$rows    = $this->queries->as_they_are(
			// phpcs:ignore WordPress.DB.PreparedSQL, WordPress.DB.DirectDatabaseQuery -- Integers alone; it fills the cache.
			static fn() => $wpdb->get_results( $sql, ARRAY_A )
		);
		if ( ! is_array( $rows ) || '' !== $wpdb->last_error ) {
			return null;
		}
		foreach ( $rows as $row ) {
			$entries[ (int) $row[ $column ] ][ $row['meta_key'] ][] = $row['meta_value'];
		}
		return $entries;
	}

	/**
	 * Lays values over an entry: all rows of a key get the value, as at the flush.
	 *
	 * @param array $entry  Lists of raw strings by key.
	 * @param array $values Values by key.
	 */
	private static function over( array $entry, array $values ): array {
		foreach ( $values as $key => $value ) {
			$entry[ $key ] = array_fill( 0, max( 1, count( $entry[ $key ] ?? array() ) ), $value );
		}
		return $entry;
	}
}
