<?php
/**
 * A stand-in for $wpdb with the rows of wp_postmeta.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * Keeps rows of metadata and answers the statements that wp-includes/meta.php and the adapter send.
 */
final class Rows {

	/**
	 * The blog's prefix.
	 *
	 * @var string
	 */
	public string $prefix = 'wp_';

	/**
	 * Name of the table.
	 *
	 * @var string
	 */
	public string $postmeta = 'wp_postmeta';

	/**
	 * Name of the users' table, whose statements find the same rows.
	 *
	 * @var string
	 */
	public string $usermeta = 'wp_usermeta';

	/**
	 * Name of the posts table.
	 *
	 * @var string
	 */
	public string $posts = 'wp_posts';

	/**
	 * Name of the options table.
	 *
	 * @var string
	 */
	public string $options = 'wp_options';

	/**
	 * Error of the last statement.
	 *
	 * @var string
	 */
	public string $last_error = '';

	/**
	 * Id of the last row.
	 *
	 * @var int
	 */
	public int $insert_id = 0;

	/**
	 * The rows by id: post_id, meta_key, meta_value.
	 *
	 * @var array<int, array>
	 */
	public array $rows = array();

	/**
	 * Whether the option that is to be deleted is autoloaded.
	 *
	 * @var string
	 */
	public string $autoload = 'yes';

	/**
	 * The columns of posts that were written last, by the post's id.
	 *
	 * @var array<int, array>
	 */
	public array $columns = array();

	/**
	 * The statements so far.
	 *
	 * @var string[]
	 */
	public array $statements = array();

	/**
	 * Makes a flush: what the daemon does.
	 *
	 * @param array<string, string> $keys The keys by field.
	 * @return callable For FakeClient::flush_into().
	 */
	public function sink( array $keys ): callable {
		return function ( int $id, array $fields, bool $is_deleted ) use ( $keys ): void {
			foreach ( $fields as $field => $value ) {
				$keys += array( $field => '_' . $field );
				$found = array_keys( $this->where( $id, $keys[ $field ] ) );
				foreach ( $found as $row ) {
					$this->rows[ $row ]['meta_value'] = $value;
				}
				if ( array() === $found && ! $is_deleted ) {
					$this->put( $id, $keys[ $field ], $value );
				}
			}
		};
	}

	/**
	 * Adds a row.
	 *
	 * @param int         $id    The post's id.
	 * @param string      $key   The key.
	 * @param string|null $value The value.
	 */
	public function put( int $id, string $key, ?string $value ): int {
		$this->insert_id = 1 + (int) max( array( 0, $this->insert_id, ...array_keys( $this->rows ) ) );

		$this->rows[ $this->insert_id ] = array(
			'post_id'    => (string) $id,
			'meta_key'   => $key,
			'meta_value' => $value,
		);
		return $this->insert_id;
	}

	/**
	 * The values of a key.
	 *
	 * @param int    $id  The post's id.
	 * @param string $key The key.
	 */
	public function values( int $id, string $key ): array {
		return array_column( $this->where( $id, $key ), 'meta_value' );
	}

	/**
	 * How many statements changed the table.
	 */
	public function writes(): int {
		return count( preg_grep( '/^(INSERT|UPDATE|DELETE)/', $this->statements ) );
	}

	/**
	 * Inserts a row, as wpdb does.
	 *
	 * @param string $table The table.
	 * @param array  $row   The columns.
	 */
	public function insert( string $table, array $row ) {
		if ( ! in_array( $table, array( $this->postmeta, $this->usermeta ), true ) ) {
			return 1;
		}
		$row += array( 'post_id' => $row['user_id'] ?? 0 );
		$this->sent( sprintf( "INSERT INTO `%s` (`post_id`, `meta_key`, `meta_value`) VALUES (%d, '%s', 'x')", $table, $row['post_id'], $row['meta_key'] ) );
		$value = $row['meta_value'];
		$this->put( (int) $row['post_id'], $row['meta_key'], null === $value ? null : (string) $value );
		return 1;
	}

	/**
	 * Updates rows, as wpdb does.
	 *
	 * @param string $table The table.
	 * @param array  $set   The columns.
	 * @param array  $where The conditions.
	 */
	public function update( string $table, array $set, array $where ) {
		if ( $table === $this->posts ) {
			$this->columns[ $where['ID'] ] = $set;
		}
		if ( ! in_array( $table, array( $this->postmeta, $this->usermeta ), true ) ) {
			return 1;
		}
		$where += array( 'post_id' => $where['user_id'] ?? 0 );
		$this->sent( sprintf( "UPDATE `%s` SET `meta_value` = 'x' WHERE `post_id` = %d AND `meta_key` = '%s'", $table, $where['post_id'], $where['meta_key'] ) );
		$value = null === $set['meta_value'] ? null : (string) $set['meta_value'];
		$count = 0;
		foreach ( $this->where( (int) $where['post_id'], $where['meta_key'] ) as $row => $have ) {
			$is_it  = ! array_key_exists( 'meta_value', $where )
				|| 0 === strcasecmp( (string) $have['meta_value'], (string) $where['meta_value'] );
			$count += $is_it && $have['meta_value'] !== $value ? 1 : 0;
			if ( $is_it ) {
				$this->rows[ $row ]['meta_value'] = $value;
			}
		}
		return $count;
	}

	/**
	 * Deletes rows by id.
	 *
	 * @param string $sql The statement.
	 */
	public function query( string $sql ) {
		$sql = $this->sent( $sql );
		if ( 1 !== preg_match( '/^DELETE FROM wp_postmeta WHERE meta_id IN\(([^)]+)\)/', $sql, $found ) ) {
			return 1;
		}
		$ids        = array_flip( array_map( 'intval', explode( ',', $found[1] ) ) );
		$count      = count( array_intersect_key( $this->rows, $ids ) );
		$this->rows = array_diff_key( $this->rows, $ids );
		return $count;
	}

	/**
	 * Reads rows by the ids of posts or rows.
	 *
	 * @param string $sql The statement.
	 */
	public function get_results( string $sql ): array {
		$sql     = $this->sent( $sql );
		$is_rows = 1 === preg_match( '/WHERE meta_id IN \(([^)]+)\)/', $sql, $found );
		$is_rows || preg_match( '/WHERE post_id IN \(([^)]+)\)/', $sql, $found );
		$ids  = explode( ',', $found[1] ?? '' );
		$list = array();
		foreach ( $this->rows as $row => $have ) {
			if ( in_array( (string) ( $is_rows ? $row : $have['post_id'] ), $ids, true ) ) {
				$list[] = $have + array(
					'id'      => $have['post_id'],
					'user_id' => $have['post_id'],
				);
			}
		}
		return $list;
	}

	/**
	 * Reads ids of rows.
	 *
	 * @param string $sql The statement.
	 */
	public function get_col( string $sql ): array {
		return array_map( 'strval', array_keys( $this->found( $sql ) ) );
	}

	/**
	 * Reads a count, or an id.
	 *
	 * @param string $sql The statement.
	 */
	public function get_var( string $sql ): ?string {
		$found = $this->found( $sql );
		$first = array_keys( $found )[0] ?? null;
		return 0 === strpos( $sql, 'SELECT COUNT' ) ? (string) count( $found ) : ( null === $first ? null : (string) $first );
	}

	/**
	 * Finds only the row of an option that is to be deleted.
	 *
	 * @param string $sql The statement.
	 */
	public function get_row( string $sql ): ?object {
		return 0 === strpos( $sql, 'SELECT autoload' ) ? (object) array( 'autoload' => $this->autoload ) : null;
	}

	/**
	 * Puts values into a statement.
	 *
	 * @param string $sql       The statement.
	 * @param mixed  ...$values The values.
	 */
	public function prepare( string $sql, ...$values ): string {
		$values = array_map( static fn( $value ) => is_int( $value ) ? $value : addslashes( (string) $value ), $values );
		return vsprintf( str_replace( '%s', "'%s'", $sql ), $values );
	}

	/**
	 * The column takes every text.
	 *
	 * @param string $table  The table.
	 * @param string $column The column.
	 * @param string $text   The text.
	 */
	public function strip_invalid_text_for_column( string $table, string $column, string $text ): string {
		return $text;
	}

	/**
	 * All other methods: results are empty.
	 *
	 * @param string $method    The method.
	 * @param array  $arguments Its arguments.
	 */
	public function __call( string $method, array $arguments ) {
		return 0 === strpos( $method, 'get_' ) ? null : 1;
	}

	/**
	 * The rows that a statement by key finds.
	 *
	 * @param string $sql The statement.
	 */
	private function found( string $sql ): array {
		$sql = $this->sent( $sql );
		preg_match( "/meta_key = '([^']*)'(?: AND post_id = (\\d+))?(?: AND meta_value = '((?:[^'\\\\\\\\]|\\\\\\\\.)*)')?/", $sql, $part );
		$found = array();
		foreach ( $this->rows as $row => $have ) {
			if ( 0 === strcasecmp( $have['meta_key'], $part[1] )
				&& in_array( $part[2] ?? '', array( '', $have['post_id'] ), true )
				&& ( ! isset( $part[3] ) || 0 === strcasecmp( stripslashes( $part[3] ), (string) $have['meta_value'] ) )
			) {
				$found[ $row ] = $have;
			}
		}
		return $found;
	}

	/**
	 * The rows of a key.
	 *
	 * @param int    $id  The post's id.
	 * @param string $key The key.
	 */
	private function where( int $id, string $key ): array {
		return array_filter(
			$this->rows,
			static fn( array $row ): bool => (string) $id === $row['post_id'] && 0 === strcasecmp( $key, $row['meta_key'] )
		);
	}

	/**
	 * Sends a statement through WordPress' filter, as wpdb does.
	 *
	 * @param string $sql The statement.
	 * @return string The same, for the posts' table.
	 */
	private function sent( string $sql ): string {
		$this->statements[] = apply_filters( 'query', $sql );

		$names = array( 'umeta_id' => 'meta_id', 'user_id' => 'post_id', 'wp_usermeta' => 'wp_postmeta' );
		return strtr( $sql, $names );
	}
}
