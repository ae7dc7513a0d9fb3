<?php
/**
 * Changes of a help desk plugin.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Mirror;

use Ticketd\WordPress\Api;

defined( 'ABSPATH' ) || exit;

/**
 * Collects the ids of the tickets that a help desk plugin writes, and copies them when the page ends: what the tables
 * have then is copied, whatever the statements were. The ids are those of the plugin's own statements, which pass by
 * the filter `query`: the plugin has actions for some of its writes alone. A statement that names no ids makes the
 * watchdog compare all tickets.
 */
final class Collector {

	/** Most ids that a page's end copies; after more, the watchdog compares all tickets. */
	private const MOST = 5000;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The tables' names by blog.
	 *
	 * @var array<int, string[]>
	 */
	private array $tables = array();

	/**
	 * Whether tables() is under way, which may send statements itself.
	 *
	 * @var bool
	 */
	private bool $is_asking = false;

	/**
	 * The ids by blog, as keys.
	 *
	 * @var array<int, array<int, bool>>
	 */
	private array $ids = array();

	/**
	 * The blog of an INSERT that is under way; 0: none is.
	 *
	 * @var int
	 */
	private int $inserting = 0;

	/**
	 * Takes the API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Adds the hooks.
	 */
	public function register(): void {
		add_filter( 'query', array( $this, 'look' ), PHP_INT_MAX );
		add_action( 'shutdown', array( $this, 'copy' ), PHP_INT_MAX );
	}

	/**
	 * Looks at a statement: `query`.
	 *
	 * @param mixed $sql The statement.
	 * @return mixed The same.
	 */
	public function look( $sql ) {
		$blog = get_current_blog_id();
		if ( $this->is_within_insert( $sql, $blog ) ) {
			return $sql;
		}
		$this->take_inserted();

		foreach ( is_string( $sql ) ? $this->tables( $blog ) : array() as $table ) {
			if ( false !== strpos( $sql, $table ) ) {
				$this->take( $sql, $table, $blog );
				return $sql;
			}
		}
		return $sql;
	}

	/**
	 * Copies the tickets that were written.
	 */
	public function copy(): void {
		$this->take_inserted();
		$all       = $this->ids;
		$this->ids = array();
		foreach ( $all as $blog => $ids ) {
			$is_other = is_multisite() && get_current_blog_id() !== $blog;
			$is_other && switch_to_blog( $blog );
			$mirror = Mirror::of_blog( $this->api );
			unset( $ids[0] );
			if ( null !== $mirror && count( $ids ) <= self::MOST ) {
				$problems = $mirror->copy( array_keys( $ids ) )['problems'];
				if ( array() !== $problems ) {
					$text = (string) wp_json_encode( array_slice( $problems, 0, 10, true ) );
					// phpcs:ignore WordPress.PHP.DevelopmentFunctions, Generic.PHP.ForbiddenFunctions -- The log has the reason.
					error_log( 'ticketd: tickets were not mirrored: ' . $text );
				}
			}
			if ( isset( $all[ $blog ][0] ) || count( $ids ) > self::MOST ) {
				Mirror::look_at_all();
			}
			$is_other && restore_current_blog();
		}
	}

	/**
	 * The tables of the current blog's source.
	 *
	 * @param int $blog The current blog.
	 * @return string[]
	 */
	private function tables( int $blog ): array {
		if ( isset( $this->tables[ $blog ] ) || $this->is_asking ) {
			return $this->tables[ $blog ] ?? array();
		}
		$this->is_asking = true;
		try {
			$mirror = Mirror::of_blog( $this->api );
			$tables = null === $mirror ? array() : $mirror->source()->tables();
		} finally {
			$this->is_asking = false;
		}
		// Before wp_loaded, a plugin or theme may still add a source.
		if ( array() !== $tables || 0 !== did_action( 'wp_loaded' ) ) {
			$this->tables[ $blog ] = $tables;
		}
		return $tables;
	}

	/**
	 * Whether WordPress asks for a table's columns before it sends the INSERT that it has just announced.
	 *
	 * @param mixed $sql  The statement.
	 * @param int   $blog The current blog.
	 */
	private function is_within_insert( $sql, int $blog ): bool {
		return $this->inserting === $blog && is_string( $sql )
			&& 1 === preg_match( '/^SHOW FULL COLUMNS FROM `?(\w+)/', $sql, $found )
			&& in_array( $found[1], $this->tables[ $blog ] ?? array(), true );
	}

	/**
	 * Takes the id of the row that the last statement made.
	 */
	private function take_inserted(): void {
		global $wpdb;

		if ( 0 !== $this->inserting ) {
			// $wpdb->insert() has reset $wpdb->insert_id if it is the one that sends the next statement.
			$id = $wpdb->dbh instanceof \mysqli ? (int) $wpdb->dbh->insert_id : 0;
			$id = 0 === $id ? (int) $wpdb->insert_id : $id;

			$this->ids[ $this->inserting ][ $id ] = true; // 0, of a statement that failed: all.

			$this->inserting = 0;
		}
	}

	/**
	 * Takes the ids of a statement.
	 *
	 * @param string $sql   A statement that names a table of the source.
	 * @param string $table The table.
	 * @param int    $blog  The blog.
	 */
	private function take( string $sql, string $table, int $blog ): void {
		$verbs = '/^[\s(]*(?:INSERT|REPLACE|UPDATE|DELETE|TRUNCATE|LOAD)\b';
		if ( 0 === preg_match( $verbs . '/i', $sql ) ) {
			return;
		}
		$texts = array( "/'(?:[^'\\\\]++|\\\\.|'')*+'/s", '/"(?:[^"\\\\]++|\\\\.|"")*+"/s' );
		// Numbers in quotes stay: $wpdb->update() writes an id in quotes where no format says otherwise.
		$bare  = preg_replace_callback(
			$texts,
			static function ( array $text ): string {
				return 1 === preg_match( '/^.(\d+).$/', $text[0], $number ) ? $number[1] : "''";
			},
			$sql
		);
		$named = '[^;]*?(?<!\w)' . preg_quote( $table, '/' ) . '(?!\w)/is';
		$found = null === $bare ? false : preg_match( $verbs . $named, $bare );
		if ( 0 === $found ) {
			return; // A text names the table, or the table is another one.
		}
		if ( false === $found ) { // PCRE's limits, for a long text.
			$this->ids[ $blog ][0] = true;
			return;
		}
		$list = '/\bWHERE\b.*?(?<!\w)`?id`?\s*(?:=|\bIN\s*\()\s*(\d+(?:\s*,\s*\d+)*)/is';
		if ( 1 === preg_match( $list, $bare, $found ) && 0 === preg_match( '/\bWHERE\b.*\bOR\b/is', $bare ) ) {
			foreach ( explode( ',', $found[1] ) as $id ) {
				$this->ids[ $blog ][ (int) $id ] = true;
			}
			return;
		}
		$is_insert = 1 === preg_match( '/^\s*(?:INSERT|REPLACE)\b/i', $bare );
		if ( $is_insert && 0 === preg_match( '/\bSELECT\b|\)\s*,\s*\(/i', $bare ) ) {
			$this->inserting = $blog;
			return;
		}
		$this->ids[ $blog ][0] = true;
	}
}
