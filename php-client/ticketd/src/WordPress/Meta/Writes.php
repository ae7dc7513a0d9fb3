<?php
/**
 * Changes of metadata.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

use Ticketd\Client\TicketdException;

defined( 'ABSPATH' ) || exit;

/**
 * Does what add_metadata() and update_metadata() of WordPress do, in their order, with the daemon in the table's place.
 * WordPress does the rest, after a flush of the object: several rows of a key, a value that is
 * compared in another way than byte by byte, a value that the table does not hold, every deletion.
 *
 * No write bypasses the daemon before the object was flushed: an older pending change would overwrite the value. If
 * the flush fails, the change fails.
 */
final class Writes {

	/**
	 * WordPress' own callbacks of the actions, which need no ids of rows.
	 */
	private const OWN_LISTENERS = array( 'wp_cache_set_posts_last_changed', 'wp_cache_set_users_last_changed' );

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
	 * Whether the next addition is a part of update().
	 *
	 * @var bool
	 */
	private bool $is_update = false;

	/**
	 * The changes that WordPress may make within the transaction: by id (0: of all objects) and key how many values the
	 * key has afterwards.
	 *
	 * @var array<int, array<string, int>>
	 */
	private array $expected = array();

	/**
	 * Takes the parts.
	 *
	 * @param Keys        $keys        The keys.
	 * @param Daemon      $daemon      The daemon.
	 * @param Cache       $cache       The cache entries.
	 * @param Queries     $queries     Runs statements that need no flush.
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
	}

	/**
	 * Sets a value: `update_{type}_metadata`.
	 *
	 * @param mixed  $check Null, unless another plugin has done it.
	 * @param int    $id    The object's id.
	 * @param string $key   The key.
	 * @param mixed  $value The value.
	 * @param mixed  $prev  The value that it must have; empty: any.
	 * @return mixed Whether the value was changed; null: WordPress decides.
	 */
	public function update( $check, int $id, string $key, $value, $prev ) {
		if ( null !== $check || ! $this->keys->has( $id, $key ) ) {
			return $check;
		}
		if ( $this->transaction->is_open() ) {
			if ( empty( $prev ) ) {
				// WordPress has nothing to refuse but a value that is the same here; an older one may be pending.
				$decision = $this->within( $id, $key, 1 );
				$this->owe( $id, $key, $value );
				return $decision;
			}
			return $this->within( $id, $key, 1 );
		}
		$type = $this->keys->type();
		if ( empty( $prev ) ) {
			$old    = get_metadata_raw( $type, $id, $key );
			$is_one = is_countable( $old ) && 1 === count( $old );
			if ( $is_one && $old[0] === $value && $this->cache->is_newest( $id, $key ) ) {
				return false;
			}
		}
		$entry = $this->cache->entry( $id );
		if ( self::has_alike( $entry, $key ) ) {
			return $this->leave( $id );
		}
		$rows = $entry[ $key ] ?? array();
		if ( array() === $rows && empty( $prev ) ) {
			$this->is_update = true;
			try {
				// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals, WordPress.NamingConventions.ValidHookName -- WordPress' filter.
				return apply_filters( "add_{$type}_metadata", null, $id, $key, $value, false );
			} finally {
				$this->is_update = false;
			}
		}
		$raw = Values::raw( $value );
		if ( 1 !== count( $rows ) || ! Values::is_sendable( $raw, $this->keys ) ) {
			return $this->leave( $id );
		}
		$revision = 0;
		if ( ! empty( $prev ) ) {
			$revision = $this->daemon->revision_with( $id, $key, (string) Values::raw( $prev ) );
			if ( 0 === $revision ) {
				return $this->leave( $id );
			}
			$rows = array( Values::raw( $prev ) );
		}
		return $this->replace( $id, $key, $value, $rows[0], $revision );
	}

	/**
	 * Adds a value: `add_{type}_metadata`.
	 *
	 * @param mixed  $check     Null, unless another plugin has done it.
	 * @param int    $id        The object's id.
	 * @param string $key       The key.
	 * @param mixed  $value     The value.
	 * @param mixed  $is_unique Whether the object must not have the key.
	 * @return mixed True: it is added, and has no row id yet; false: it is not; null: WordPress decides.
	 */
	public function add( $check, int $id, string $key, $value, $is_unique ) {
		if ( null !== $check || ! $this->keys->has( $id, $key ) ) {
			return $check;
		}
		if ( $this->transaction->is_open() ) {
			return $this->within( $id, $key, isset( $this->cache->entry( $id )[ $key ] ) ? 2 : 1 );
		}
		if ( $this->is_update ) {
			$this->is_update = false; // Whatever another process has added is replaced.
		} else {
			$this->cache->forget( $id ); // If another process has added the key, this is a second row.
		}
		$entry   = $this->cache->entry( $id );
		$has_one = isset( $entry[ $key ] );
		if ( $has_one && $is_unique ) {
			return false;
		}
		$raw     = Values::raw( $value );
		$is_ours = $this->keys->adds_behind() && Values::is_sendable( $raw, $this->keys );
		if ( $has_one || ! $is_ours || self::has_alike( $entry, $key ) ) {
			return $this->leave( $id );
		}
		$type = $this->keys->type();
		// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals, WordPress.NamingConventions.ValidHookName -- WordPress' action.
		do_action( "add_{$type}_meta", $id, $key, $value );
		$row = 0;
		try {
			$this->daemon->set( $id, array( $key => $raw ) );
			$this->cache->put( $id, $key, $raw );
		} catch ( TicketdException $failure ) {
			$row = $this->insert( $id, $key, $raw );
			if ( 0 === $row ) {
				return false;
			}
		}
		// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals, WordPress.NamingConventions.ValidHookName -- WordPress' action.
		do_action( "added_{$type}_meta", $row, $id, $key, $value );
		return 0 === $row ? true : $row;
	}

	/**
	 * Flushes before a deletion: `delete_{type}_metadata`.
	 *
	 * @param mixed  $check  Null, unless another plugin has done it.
	 * @param int    $id     The object's id.
	 * @param string $key    The key.
	 * @param mixed  $value  The value that is to be deleted; WordPress looks for it.
	 * @param mixed  $is_all Whether the key of all objects is deleted.
	 * @return mixed Null: WordPress deletes; false: it must not, as a pending change would restore the value.
	 */
	public function delete( $check, int $id, string $key, $value, $is_all ) {
		if ( null !== $check || '' === $this->keys->field( $key ) ) {
			return $check;
		}
		if ( $is_all ) {
			if ( ! $this->daemon->flush( array(), $this->queries->flush_ms() ) ) {
				return false;
			}
			$this->expected[0][ $key ] = 0;
			return null;
		}
		if ( ! $this->keys->has( $id, $key ) ) {
			return null;
		}
		return $this->transaction->is_open() ? $this->within( $id, $key, 0 ) : $this->leave( $id );
	}

	/**
	 * Leaves a change to WordPress within a transaction. An older change of the key that is pending is flushed first;
	 * if that is not possible, as the daemon is away or the flush waits for this transaction, the new value is sent
	 * when the transaction is committed: done() sees to it, as WordPress may refuse the change. So is a value that a
	 * column of the post shows: the daemon writes columns.
	 *
	 * @param int    $id    The object's id.
	 * @param string $key   The key.
	 * @param int    $count How many values the key has afterwards.
	 * @return null|false Null: WordPress decides; false: it must not, as a pending change would bring the key back.
	 */
	private function within( int $id, string $key, int $count ): ?bool {
		$group      = $this->keys->group();
		$is_settled = $this->transaction->has( $group, $id, $key ); // What is pending then comes after it.
		if ( ! $is_settled && ( 0 === $count || ! isset( $this->transaction->owed( $group, $id )[ $key ] ) ) ) {
			$is_settled = $this->daemon->is_settled( $id, $this->keys->query_wait_ms() );
		}
		if ( $is_settled ) {
			$this->transaction->note( $group, $id, $key );
		} elseif ( 0 === $count ) {
			return false;
		}
		$this->expected[ $id ][ $key ] = $count;
		return null;
	}

	/**
	 * Takes a change that WordPress has made within a transaction: `added_{type}_meta` and its like, which it fires
	 * only if rows were changed.
	 *
	 * @param mixed  $row   The id of the row; a list after a deletion.
	 * @param int    $id    The object's id.
	 * @param string $key   The key.
	 * @param mixed  $value The value.
	 */
	public function done( $row, int $id, string $key, $value ): void {
		if ( ! $this->transaction->is_open() ) {
			$this->expected = array();
			return;
		}
		$is_of_all = is_array( $row ) && isset( $this->expected[0][ $key ] );
		$count     = $this->expected[ $id ][ $key ] ?? null;
		if ( $is_of_all ) {
			unset( $this->expected[0][ $key ] );
			$this->transaction->forgive( $this->keys->group(), 0, $key );
		} elseif ( 1 === $count && ! is_array( $row ) ) {
			$this->owe( $id, $key, $value );
		} elseif ( null !== $count ) {
			$this->transaction->forgive( $this->keys->group(), $id, $key );
		}
	}

	/**
	 * Owes a value to the daemon, if a pending one could overwrite it or a column shows it; otherwise nothing.
	 *
	 * @param int    $id    The object's id.
	 * @param string $key   The key.
	 * @param mixed  $value The value.
	 */
	private function owe( int $id, string $key, $value ): void {
		$group = $this->keys->group();
		$raw   = Values::raw( $value );
		$this->transaction->forgive( $group, $id, $key );
		if ( ! Values::is_sendable( $raw, $this->keys ) ) {
			return;
		}
		if ( $this->transaction->has( $group, $id, $key ) && ! $this->keys->is_shown( $key ) ) {
			return;
		}
		$this->transaction->owe(
			$group,
			$id,
			$key,
			function () use ( $id, $key, $raw ): void {
				try {
					$this->daemon->set( $id, array( $key => $raw ) );
				} catch ( TicketdException $failure ) {
					return; // Neither sent nor spooled: what is pending may overwrite it.
				} finally {
					$this->cache->forget( $id ); // What was read before may lack the value.
				}
			}
		);
	}

	/**
	 * Whether an object has a key that the table takes for the same, as it compares without regard to case and
	 * trailing spaces.
	 *
	 * @param array  $entry The object's metadata by key.
	 * @param string $key   The key.
	 */
	public static function has_alike( array $entry, string $key ): bool {
		foreach ( array_keys( $entry ) as $other ) {
			if ( $key !== (string) $other && 0 === strcasecmp( $key, rtrim( (string) $other ) ) ) {
				return true;
			}
		}
		return false;
	}

	/**
	 * Leaves a change to WordPress.
	 *
	 * @param int $id The object's id.
	 * @return null|false Null: WordPress decides; false: it must not.
	 */
	private function leave( int $id ): ?bool {
		if ( ! $this->daemon->flush( array( $id ) ) ) {
			return false;
		}
		$this->cache->forget( $id );
		return null;
	}

	/**
	 * Replaces the only value of a key.
	 *
	 * @param int         $id       The object's id.
	 * @param string      $key      The key.
	 * @param mixed       $value    The new value.
	 * @param string|null $old      The value that it has.
	 * @param int         $revision Only if the object is at this revision; 0: at any.
	 * @return bool Whether the value was changed.
	 */
	private function replace( int $id, string $key, $value, ?string $old, int $revision ): bool {
		$raw = Values::raw( $value );
		$row = $this->row_id( $id, $key );
		$this->tell( 'update', $row, $id, $key, $value );
		if ( ! isset( $this->cache->entry( $id )[ $key ] ) ) {
			return false; // A listener has deleted the key: the database would find no row.
		}
		if ( $old === $raw && $this->cache->is_newest( $id, $key ) ) {
			return false; // The database would find no row to change.
		}
		try {
			$this->daemon->set( $id, array( $key => $raw ), $revision );
			$this->cache->put( $id, $key, $raw );
		} catch ( TicketdException $failure ) {
			if ( ! $this->write( $id, $key, $raw, 0 === $revision ? array() : array( 'meta_value' => $old ) ) ) {
				return false;
			}
		}
		$this->tell( 'updated', $row, $id, $key, $value );
		return true;
	}

	/**
	 * Fires WordPress' actions of an update.
	 *
	 * @param string     $when  `update` or `updated`.
	 * @param int|string $row   The row's id.
	 * @param int        $id    The object's id.
	 * @param string     $key   The key.
	 * @param mixed      $value The value.
	 */
	public function tell( string $when, $row, int $id, string $key, $value ): void {
		$type = $this->keys->type();
		// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals, WordPress.NamingConventions.ValidHookName -- WordPress' action.
		do_action( "{$when}_{$type}_meta", $row, $id, $key, $value );
		if ( 'post' === $type ) {
			// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals, WordPress.NamingConventions.ValidHookName -- WordPress' action.
			do_action( "{$when}_postmeta", $row, $id, $key, maybe_serialize( $value ) );
		}
	}

	/**
	 * The id of a key's row, if other code than WordPress listens to it.
	 *
	 * @param int    $id  The object's id.
	 * @param string $key The key.
	 * @return int|string 0: there is no row yet, or no listener; a string, as WordPress passes it.
	 */
	public function row_id( int $id, string $key ) {
		global $wpdb;

		$type = $this->keys->type();
		$old  = 'post' === $type ? array( 'update_postmeta', 'updated_postmeta' ) : array();
		if ( ! self::is_heard( "update_{$type}_meta", "updated_{$type}_meta", ...$old ) ) {
			return 0;
		}
		$sql = sprintf(
			'SELECT %s FROM %s WHERE meta_key = %%s AND %s = %%d',
			$this->keys->row_column(),
			$this->keys->table(),
			$this->keys->column()
		);
		$row = $this->queries->as_they_are(
			// phpcs:ignore WordPress.DB.PreparedSQL, WordPress.DB.DirectDatabaseQuery -- The names are WordPress' own.
			static fn() => $wpdb->get_var( $wpdb->prepare( $sql, $key, $id ) )
		);
		return $row ?? 0;
	}

	/**
	 * Whether other code than WordPress and this listens to an action.
	 *
	 * @param string ...$names The actions' names.
	 */
	private static function is_heard( string ...$names ): bool {
		global $wp_filter;

		foreach ( $names as $name ) {
			foreach ( isset( $wp_filter[ $name ] ) ? $wp_filter[ $name ]->callbacks : array() as $callbacks ) {
				foreach ( $callbacks as $callback ) {
					$call   = $callback['function'];
					$is_own = is_array( $call ) && $call[0] instanceof Adapter;
					if ( ! $is_own && ! in_array( $call, self::OWN_LISTENERS, true ) ) {
						return true;
					}
				}
			}
		}
		return false;
	}

	/**
	 * Writes a row as WordPress does, after a flush.
	 *
	 * @param int         $id   The object's id.
	 * @param string      $key  The key.
	 * @param string|null $raw  The value.
	 * @param array       $only Further columns that the row must have.
	 * @return bool Whether a row was changed.
	 */
	private function write( int $id, string $key, ?string $raw, array $only ): bool {
		global $wpdb;

		if ( false === $this->leave( $id ) ) {
			return false;
		}
		$where = array(
			$this->keys->column() => $id,
			'meta_key'            => $key, // phpcs:ignore WordPress.DB.SlowDBQuery -- As WordPress does.
		) + $only;
		$count = $this->queries->as_they_are(
			// phpcs:ignore WordPress.DB.DirectDatabaseQuery, WordPress.DB.SlowDBQuery -- As WordPress does.
			fn() => $wpdb->update( $this->keys->table(), array( 'meta_value' => $raw ), $where )
		);
		$this->cache->forget( $id );
		return (bool) $count;
	}

	/**
	 * Inserts a row as WordPress does, after a flush.
	 *
	 * @param int         $id  The object's id.
	 * @param string      $key The key.
	 * @param string|null $raw The value.
	 * @return int The row's id; 0: it was not inserted.
	 */
	private function insert( int $id, string $key, ?string $raw ): int {
		global $wpdb;

		if ( false === $this->leave( $id ) ) {
			return 0;
		}
		$row  = array(
			$this->keys->column() => $id,
			'meta_key'            => $key, // phpcs:ignore WordPress.DB.SlowDBQuery -- As WordPress does.
			'meta_value'          => $raw, // phpcs:ignore WordPress.DB.SlowDBQuery -- As WordPress does.
		);
		$done = $this->queries->as_they_are(
			// phpcs:ignore WordPress.DB.DirectDatabaseQuery -- As WordPress does.
			fn() => $wpdb->insert( $this->keys->table(), $row )
		);
		$this->cache->forget( $id );
		return $done ? (int) $wpdb->insert_id : 0;
	}
}
