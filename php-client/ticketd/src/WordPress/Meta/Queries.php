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
 * Within a transaction queries pass, and writes are left to WordPress: a flush would wait for the locks of the very
 * process that waits for the flush. It is tried for a short time before a change that an older one would overwrite.
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
	 * The transaction of the connection.
	 *
	 * @var Transaction
	 */
	private Transaction $transaction;

	/**
	 * Until when no flush is waited for, as hrtime() says: before changes, and before reads, whose flush has less time.
	 *
	 * @var int[]
	 */
	private array $stale_until = array( 0, 0 );

	/**
	 * Takes the parts.
	 *
	 * @param Keys        $keys        The keys.
	 * @param Daemon      $daemon      The daemon.
	 * @param Transaction $transaction The transaction of the connection.
	 */
	public function __construct( Keys $keys, Daemon $daemon, Transaction $transaction ) {
		$this->keys        = $keys;
		$this->daemon      = $daemon;
		$this->transaction = $transaction;
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
	 * A statement from its first word on: without the comments and parentheses before it.
	 *
	 * @param string $sql The statement.
	 */
	public static function from_verb( string $sql ): string {
		if ( '' === $sql || ctype_alpha( $sql[0] ) ) {
			return $sql;
		}
		return preg_replace( '~^(?:[\s(;]++|/\*M?!\d*|/\*.*?\*/|(?:--(?=\s)|\#)[^\n]*+)+~s', '', $sql ) ?? $sql;
	}

	/**
	 * Looks at a statement: `query`.
	 *
	 * @param string $sql The statement, from its first word on.
	 */
	public function look( string $sql ): void {
		if ( $this->is_quiet || false === strpos( $sql, $this->keys->table() ) ) {
			return;
		}
		$is_read = 1 === preg_match( '/^(?:SELECT|WITH|TABLE)\b/i', $sql );
		if ( $is_read && $this->transaction->is_open() ) {
			return;
		}
		$ids = $this->concerned( $sql );
		if ( null !== $ids && ! $this->is_own( $ids ) ) {
			$this->refresh( $sql, $ids, $is_read );
		}
	}

	/**
	 * Time that a flush has before a change, in milliseconds: short within a transaction, which it may wait for.
	 */
	public function flush_ms(): int {
		return $this->transaction->is_open() ? $this->keys->query_wait_ms() : Daemon::FLUSH_MS;
	}

	/**
	 * Whether the open transaction has changed all of these objects itself: nothing older is pending for them.
	 *
	 * @param int[] $ids Ids of objects; empty: all.
	 */
	private function is_own( array $ids ): bool {
		foreach ( $ids as $id ) {
			if ( ! $this->transaction->has( $this->keys->group(), $id ) ) {
				return false;
			}
		}
		return array() !== $ids && $this->transaction->is_open();
	}

	/**
	 * The objects whose pending changes a statement could miss or overwrite.
	 *
	 * @param string $sql A statement that names the table.
	 * @return int[]|null Ids of objects; empty: of any object; null: of no object.
	 */
	private function concerned( string $sql ): ?array {
		$verbs = '/^(SELECT|WITH|TABLE|UPDATE|DELETE|INSERT|REPLACE|TRUNCATE|LOAD|CREATE|SET|DO)\b/i';
		if ( 1 !== preg_match( $verbs, $sql, $verb ) ) {
			return null; // SHOW, DESCRIBE and what changes the table itself.
		}
		$bare = self::bare( $sql );
		if ( null === $bare ) {
			return array();
		}
		if ( 1 !== preg_match( '/\b' . $this->keys->table() . '\b/', $bare ) ) {
			return null; // A text names the table, or the table is another one.
		}
		$has_query = 1 === preg_match( '/\bSELECT\b/i', $bare );
		if ( ! $has_query && in_array( strtoupper( $verb[1] ), array( 'CREATE', 'SET', 'DO' ), true ) ) {
			return null;
		}
		if ( 1 !== preg_match( $this->keys->pattern(), $sql ) ) {
			$is_insert = in_array( strtoupper( $verb[1] ), array( 'INSERT', 'REPLACE' ), true );
			if ( ( $is_insert && ! $has_query ) || $this->is_of_others( $bare ) ) {
				return null;
			}
		}
		return $this->named( $bare );
	}

	/**
	 * A statement without its comments and the texts in quotes.
	 *
	 * @param string $sql The statement.
	 * @return string|null Null where it is too much for the regular expression.
	 */
	private static function bare( string $sql ): ?string {
		$texts    = "'(?:[^'\\\\]++|\\\\.|'')*+'|\"(?:[^\"\\\\]++|\\\\.|\"\")*+\"";
		$comments = '/\*(?!M?!).*?\*/|(?:--(?=\s)|\#)[^\n]*+';
		return preg_replace_callback(
			"~$texts|$comments~s",
			static fn( array $found ): string => "'" === $found[0][0] || '"' === $found[0][0] ? "''" : ' ',
			$sql
		);
	}

	/**
	 * Whether a statement that names no key of ours can find rows of other keys alone: the table comes with a key each
	 * time, and nothing but the key decides.
	 *
	 * @param string $bare The statement without its texts.
	 */
	private function is_of_others( string $bare ): bool {
		$places = '/(?:\bFROM|\bJOIN|\bINTO|\bUPDATE|,)\s*[`(]?' . $this->keys->table() . '\b/i';
		$by_key = '/\bmeta_key`?\s*(?:=\s*\'|IN\s*\(\s*\'\'(?:\s*,\s*\'\')*\s*\))/i';
		$keys   = preg_match_all( $by_key, $bare );
		$unless = '/\b(?:WHEN\b|IF\s*\(|NOT\b)[\s(]*(?:`?\w+`?\.)?`?meta_key\b/i';
		if ( 0 === $keys || $keys < preg_match_all( $places, $bare ) || 1 === preg_match( $unless, $bare ) ) {
			return false;
		}
		// Each branch of an OR that looks at the table's columns must name a key, too.
		$owner   = $this->keys->column() . '\b(?!`?\s+IS\s+NULL)';
		$columns = '/\b(?:meta_key|meta_value|' . $this->keys->row_column() . "|$owner)\b/i";
		$ways    = preg_split( '/\bX?OR\b|\|\|/i', $bare );
		$ways[0] = preg_replace( '/^.*?\bWHERE\b/is', '', $ways[0], 1 );
		foreach ( count( $ways ) > 1 ? $ways : array() as $way ) {
			if ( 1 === preg_match( $columns, $way ) && 1 !== preg_match( $by_key, $way ) ) {
				return false;
			}
		}
		return true;
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
	 * @param string $sql     The statement.
	 * @param int[]  $ids     Ids of objects; empty: all.
	 * @param bool   $is_read Whether it changes nothing.
	 */
	public function refresh( string $sql, array $ids, bool $is_read ): void {
		$stale = $this->keys->queries_may_be_stale();
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
		$is_late = hrtime( true ) < $this->stale_until[ (int) $is_read ];
		if ( ! $is_late && $this->daemon->flush( $ids, $is_read ? $this->keys->query_wait_ms() : $this->flush_ms() ) ) {
			return;
		}
		$this->forget_answers();
		if ( $is_late ) {
			return;
		}
		$this->stale_until[ (int) $is_read ] = hrtime( true ) + self::PATIENCE_NS;
		if ( false !== has_action( 'ticketd_stale_query' ) ) {
			/**
			 * Fires before a statement that meets a database without all acknowledged changes, as the flush failed or
			 * took too long. It fires once in five seconds for reads, and once for changes.
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
