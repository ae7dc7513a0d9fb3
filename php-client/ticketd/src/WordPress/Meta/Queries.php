<?php
/**
 * Statements that other code sends.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Looks at each statement before WordPress sends it, and flushes the pending changes first where the statement could
 * miss or overwrite them: it names the metadata's table and a key that ticketd takes, or names rows without saying
 * which key. The filter `query` also sees what is read with suppressed filters, and what other plugins read.
 *
 * Within a transaction everything passes, and writes are left to WordPress: a flush would wait for the locks of the
 * very process that waits for the flush.
 */
final class Queries {

	/** Time in which no second flush is waited for after one that failed, in nanoseconds: a page must end. */
	private const PATIENCE_NS = 5000000000;

	/** Most ids that are flushed by themselves. */
	private const MOST = 1000;

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
	 * Whether statements pass unseen.
	 *
	 * @var bool
	 */
	private bool $is_quiet = false;

	/**
	 * Whether a transaction is open.
	 *
	 * @var bool
	 */
	private bool $is_transaction = false;

	/**
	 * The objects that WordPress itself has changed in the open transaction, as keys.
	 *
	 * @var array<int, bool>
	 */
	private array $through = array();

	/**
	 * Until when no flush is waited for, as hrtime() says.
	 *
	 * @var int
	 */
	private int $stale_until = 0;

	/**
	 * Takes the parts.
	 *
	 * @param Keys   $keys   The keys.
	 * @param Daemon $daemon The daemon.
	 */
	public function __construct( Keys $keys, Daemon $daemon ) {
		$this->keys   = $keys;
		$this->daemon = $daemon;
	}

	/**
	 * Runs statements that need no flush.
	 *
	 * @param callable $run Runs them.
	 * @return mixed What it returns.
	 */
	public function as_they_are( callable $run ) {
		$outer          = $this->is_quiet;
		$this->is_quiet = true;
		try {
			return $run();
		} finally {
			$this->is_quiet = $outer;
		}
	}

	/**
	 * Whether a transaction is open.
	 */
	public function is_transaction(): bool {
		return $this->is_transaction;
	}

	/**
	 * Notes that WordPress changes an object in the open transaction.
	 *
	 * @param int $id The object's id.
	 */
	public function note_through( int $id ): void {
		$this->through[ $id ] = true;
	}

	/**
	 * Looks at a statement: `query`.
	 *
	 * @param mixed $sql The statement.
	 * @return mixed The same.
	 */
	public function look( $sql ) {
		if ( $this->is_quiet || ! is_string( $sql ) ) {
			return $sql;
		}
		$this->follow( $sql );
		if ( $this->is_transaction || false === strpos( $sql, $this->keys->table() ) ) {
			return $sql;
		}
		$ids = $this->concerned( $sql );
		if ( null !== $ids ) {
			$this->refresh( $sql, $ids );
		}
		return $sql;
	}

	/**
	 * Follows transactions.
	 *
	 * @param string $sql The statement.
	 */
	private function follow( string $sql ): void {
		$begin  = '/^\s*(?:START\s+TRANSACTION|BEGIN|SET\s+(?:SESSION\s+)?autocommit\s*=\s*0)\b/i';
		$commit = '/^\s*(?:COMMIT|SET\s+(?:SESSION\s+)?autocommit\s*=\s*1)\b/i';
		$undo   = '/^\s*ROLLBACK\b(?!\s+(?:WORK\s+)?TO\b)/i';
		if ( ! $this->is_transaction ) {
			if ( 1 === preg_match( $begin, $sql ) ) {
				$this->daemon->flush( array() );
				$this->is_transaction = true;
			}
			return;
		}
		$is_undone = 1 === preg_match( $undo, $sql );
		if ( $is_undone || 1 === preg_match( $commit, $sql ) ) {
			$this->is_transaction = false;
			foreach ( array_keys( $is_undone ? $this->through : array() ) as $id ) {
				wp_cache_delete( $id, $this->keys->group() );
			}
			$this->through = array();
		}
	}

	/**
	 * The objects whose pending changes a statement could miss or overwrite.
	 *
	 * @param string $sql A statement that names the table.
	 * @return int[]|null Ids of objects; empty: of any object; null: of no object.
	 */
	private function concerned( string $sql ): ?array {
		if ( 1 !== preg_match( '/^[\s(]*(SELECT|WITH|UPDATE|DELETE|INSERT|REPLACE|TRUNCATE|LOAD)\b/i', $sql, $verb ) ) {
			return null; // SHOW, DESCRIBE and what changes the table itself.
		}
		$bare = preg_replace( array( "/'(?:[^'\\\\]++|\\\\.|'')*+'/s", '/"(?:[^"\\\\]++|\\\\.|"")*+"/s' ), "''", $sql );
		if ( ! is_string( $bare ) ) {
			return array();
		}
		if ( 1 !== preg_match( '/\b' . $this->keys->table() . '\b/', $bare ) ) {
			return null; // A text names the table, or the table is another one.
		}
		$names = 1 === preg_match( $this->keys->pattern(), $sql );
		if ( ! $names ) {
			$is_insert = in_array( strtoupper( $verb[1] ), array( 'INSERT', 'REPLACE' ), true );
			if ( $is_insert && 1 !== preg_match( '/\bSELECT\b/i', $bare ) ) {
				return null;
			}
			// Each mention of the table must come with a key, and ticketd must not manage the key.
			$places = '/(?:\bFROM|\bJOIN|\bINTO|\bUPDATE|,)\s*[`(]?' . $this->keys->table() . '\b/i';
			$tables = preg_match_all( $places, $bare );
			$keys   = preg_match_all( '/\bmeta_key`?\s*(?:=|\bIN\s*\()\s*\'/i', $bare );
			if ( $keys > 0 && $keys >= $tables ) {
				return null;
			}
		}
		return $this->named( $bare );
	}

	/**
	 * The objects that a statement names.
	 *
	 * @param string $sql The statement without its texts.
	 * @return int[]|null Ids of objects; empty: the statement names no object; null: no named object has such metadata.
	 */
	private function named( string $sql ): ?array {
		if ( 1 === preg_match( '/\b(?:JOIN|OR|UNION)\b|\|\||\bWHERE\b.*\bWHERE\b/is', $sql ) ) {
			return array();
		}
		$column = $this->keys->column();
		$insert = '/^\s*(?:INSERT|REPLACE)\b[^(]*\(\s*`?' . $column . '`?\s*,.*?\bVALUES\s*\(\s*(\d+)/is';
		if ( 1 === preg_match( $insert, $sql, $found ) ) {
			return 1 === preg_match( '/\)\s*,\s*\(/', $sql ) ? array() : $this->among( $found[1] );
		}
		$list = '`?\s*(?:=|\bIN\s*\()\s*(\d+(?:\s*,\s*\d+)*)/is';
		if ( 1 === preg_match( '/\bWHERE\b.*\b' . $column . $list, $sql, $found ) ) {
			return $this->among( $found[1] );
		}
		if ( 1 === preg_match( '/\bWHERE\b.*\b' . $this->keys->row_column() . $list, $sql, $found ) ) {
			return $this->owners( array_map( 'intval', explode( ',', $found[1] ) ) );
		}
		return array();
	}

	/**
	 * The objects of a list that may have such metadata.
	 *
	 * @param string $found Ids, separated by commas.
	 * @return int[]|null Ids of objects; empty: too many; null: none.
	 */
	private function among( string $found ): ?array {
		$ids = array_unique( array_map( 'intval', explode( ',', $found ) ) );
		$ids = array_values( array_filter( $ids, array( $this->keys, 'may_have' ) ) );
		if ( array() === $ids ) {
			return null;
		}
		return count( $ids ) > self::MOST ? array() : $ids;
	}

	/**
	 * The objects of rows whose keys ticketd takes.
	 *
	 * @param int[] $rows Ids of rows.
	 * @return int[]|null Ids of objects; empty: of any object; null: of no object.
	 */
	private function owners( array $rows ): ?array {
		global $wpdb;

		if ( array() === $rows || count( $rows ) > self::MOST ) {
			return array();
		}
		$sql   = sprintf(
			'SELECT %1$s AS `id`, meta_key FROM %2$s WHERE %3$s IN (%4$s)',
			$this->keys->column(),
			$this->keys->table(),
			$this->keys->row_column(),
			implode( ',', $rows )
		);
		$found = $this->as_they_are(
			// phpcs:ignore WordPress.DB.PreparedSQL, WordPress.DB.DirectDatabaseQuery -- Integers alone, for the next statement.
			static fn() => $wpdb->get_results( $sql, ARRAY_A )
		);
		$ids = array();
		foreach ( (array) $found as $row ) {
			if ( '' !== $this->keys->field( (string) $row['meta_key'] ) ) {
				$ids[ (int) $row['id'] ] = true;
			}
		}
		return array() === $ids ? null : array_keys( $ids );
	}

	/**
	 * Flushes before a statement.
	 *
	 * @param string $sql The statement.
	 * @param int[]  $ids Ids of objects; empty: all.
	 */
	private function refresh( string $sql, array $ids ): void {
		$is_read = 1 === preg_match( '/^[\s(]*(?:SELECT|WITH)\b/i', $sql );
		$stale   = $this->keys->queries_may_be_stale();
		/**
		 * Filters whether a query may be answered from what the database has, without the changes that ticketd has not
		 * flushed yet. WordPress does not keep such an answer.
		 *
		 * @param bool   $stale Whether it may.
		 * @param string $sql   The query.
		 */
		if ( $is_read && true === apply_filters( 'ticketd_query_may_be_stale', $stale, $sql ) ) {
			$this->forget_answers();
			return;
		}
		$is_late = hrtime( true ) < $this->stale_until;
		if ( ! $is_late && $this->daemon->flush( $ids, $is_read ? $this->keys->query_wait_ms() : Daemon::FLUSH_MS ) ) {
			return;
		}
		$this->stale_until = $is_late ? $this->stale_until : hrtime( true ) + self::PATIENCE_NS;
		$this->forget_answers();
		if ( ! $is_late && false !== has_action( 'ticketd_stale_query' ) ) {
			/**
			 * Fires before a statement that meets a database without all acknowledged changes, as the flush failed or
			 * took too long. It fires once in five seconds.
			 *
			 * @param string $sql    The statement.
			 * @param int    $age_ms Age of the oldest pending change in milliseconds; -1: the daemon does not answer.
			 */
			do_action( 'ticketd_stale_query', $sql, $this->daemon->oldest_ms() );
		}
	}

	/**
	 * Makes WordPress forget the answer that it is about to keep: it keeps answers under the time of the last change
	 * that it has read before the query.
	 */
	public function forget_answers(): void {
		wp_cache_set( 'last_changed', microtime(), $this->keys->type() . 's' );
	}
}
