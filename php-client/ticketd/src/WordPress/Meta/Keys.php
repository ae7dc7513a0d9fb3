<?php
/**
 * The keys that ticketd takes.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Knows which metadata of one type, of posts or of users, ticketd takes, and under which names. The daemon's
 * configuration says it; see Client::describe().
 */
final class Keys {

	/** The kinds of a daemon's site, by meta type. */
	public const KINDS = array(
		'post' => 'postmeta',
		'user' => 'usermeta',
	);

	/** Most bytes of a value where the daemon names no bound. */
	private const MAX_VALUE = 1000000;

	/**
	 * `post` or `user`.
	 *
	 * @var string
	 */
	private string $type;

	/**
	 * The daemon's description.
	 *
	 * @var array
	 */
	private array $description;

	/**
	 * The fields by key.
	 *
	 * @var array<string, string>
	 */
	private array $fields;

	/**
	 * The post types, as keys.
	 *
	 * @var array<string, int>
	 */
	private array $post_types;

	/**
	 * A pattern of all keys in quotes.
	 *
	 * @var string
	 */
	private string $pattern;

	/**
	 * Takes a description.
	 *
	 * @param string $type        `post` or `user`.
	 * @param array  $description What the daemon described.
	 */
	public function __construct( string $type, array $description ) {
		$this->type = $type;
		$this->take( $description );
	}

	/**
	 * Takes another description, as the daemon's configuration has changed.
	 *
	 * @param array $description What the daemon described.
	 */
	public function take( array $description ): void {
		$this->pattern     = '';
		$this->description = $description;
		$this->fields      = array_map( 'strval', array_flip( $description['keys'] ) );
		$this->post_types  = array_flip( $description['post_types'] );
	}

	/**
	 * The meta type: `post` or `user`.
	 */
	public function type(): string {
		return $this->type;
	}

	/**
	 * The group of the object cache.
	 */
	public function group(): string {
		return $this->type . '_meta';
	}

	/**
	 * The table's name in the current blog.
	 */
	public function table(): string {
		return (string) _get_meta_table( $this->type );
	}

	/**
	 * The client's name for the table, which each request carries.
	 */
	public function full_table(): string {
		return defined( 'DB_NAME' ) && '' !== DB_NAME ? DB_NAME . '.' . $this->table() : '';
	}

	/**
	 * The column with the object's id.
	 */
	public function column(): string {
		return $this->type . '_id';
	}

	/**
	 * The column with the row's id.
	 */
	public function row_column(): string {
		return 'user' === $this->type ? 'umeta_id' : 'meta_id';
	}

	/**
	 * The field of a key; an empty string where ticketd does not take the key.
	 *
	 * @param string $key The key, byte by byte.
	 */
	public function field( string $key ): string {
		return $this->fields[ $key ] ?? '';
	}

	/**
	 * The key of a field; an empty string where the field has none.
	 *
	 * @param string $field The field's name.
	 */
	public function key( string $field ): string {
		return $this->description['keys'][ $field ] ?? '';
	}

	/**
	 * The columns of the post that a flush also changes.
	 *
	 * @return array<string, string> Columns by field.
	 */
	public function columns(): array {
		return $this->description['posts'] ?? array();
	}

	/**
	 * The values of fields by key. Fields that the description does not have are left out.
	 *
	 * @param array $fields Values by field name, as the daemon returns them.
	 * @return array<string, string|null>
	 */
	public function by_key( array $fields ): array {
		$values = array();
		foreach ( $fields as $field => $value ) {
			$key = $this->description['keys'][ $field ] ?? null;
			if ( null !== $key ) {
				$values[ $key ] = null === $value ? null : (string) $value;
			}
		}
		return $values;
	}

	/**
	 * Whether all fields are in the description; otherwise the description is out of date.
	 *
	 * @param array $fields Values by field name.
	 */
	public function knows( array $fields ): bool {
		$known = $this->description['keys'] + $this->columns();
		return array() === array_diff_key( $fields, $known );
	}

	/**
	 * A pattern of all keys in quotes. The table compares keys without regard to case and trailing spaces.
	 */
	public function pattern(): string {
		if ( '' === $this->pattern ) {
			$keys = array();
			foreach ( $this->description['keys'] as $key ) {
				$keys[] = (string) $key;
				$keys[] = addslashes( (string) $key );
				$keys[] = str_replace( "'", "''", (string) $key );
			}
			$quote         = static fn( string $key ): string => preg_quote( $key, '/' );
			$keys          = array_map( $quote, array_unique( $keys ) );
			$this->pattern = '/[\'"](?:' . implode( '|', $keys ) . ')\s*[\'"]/i';
		}
		return $this->pattern;
	}

	/**
	 * Whether an object may have such metadata, as far as can be said without a query.
	 *
	 * @param int $id The object's id.
	 * @return bool False: it is a post of another type. True: it may.
	 */
	public function may_have( int $id ): bool {
		if ( 'post' !== $this->type || array() === $this->post_types ) {
			return true;
		}
		$post = wp_cache_get( $id, 'posts' );
		return ! is_object( $post ) || isset( $this->post_types[ $post->post_type ?? '' ] );
	}

	/**
	 * Whether ticketd takes a key of an object.
	 *
	 * @param int    $id  The object's id.
	 * @param string $key The key.
	 */
	public function has( int $id, string $key ): bool {
		if ( '' === $this->field( $key ) ) {
			return false;
		}
		// WordPress has just loaded the post, to ask for its subtype.
		$has = 'post' !== $this->type || $this->has_type( (string) get_post_type( $id ) );
		/**
		 * Filters whether ticketd takes a key of a post or user. Answer the same for all time: a key that was taken
		 * once is read from ticketd in any case.
		 *
		 * @param bool   $has  Whether ticketd takes it.
		 * @param int    $id   The id of the post or user.
		 * @param string $key  The key.
		 * @param string $type `post` or `user`.
		 */
		return (bool) apply_filters( 'ticketd_meta_managed', $has, $id, $key, $this->type );
	}

	/**
	 * Whether a post's type is one of those that ticketd takes; an existing post of any type where none is named.
	 *
	 * @param string $post_type The type; empty where there is no such post.
	 */
	public function has_type( string $post_type ): bool {
		return '' !== $post_type && ( array() === $this->post_types || isset( $this->post_types[ $post_type ] ) );
	}

	/**
	 * Whether first rows are written by ticketd; otherwise WordPress writes them at once.
	 */
	public function adds_behind(): bool {
		return 'through' !== $this->description['adds'];
	}

	/**
	 * Whether queries are answered without a flush.
	 */
	public function queries_may_be_stale(): bool {
		return 'stale' === $this->description['queries'];
	}

	/**
	 * The most bytes of a value that the daemon takes.
	 */
	public function max_value(): int {
		$most = (int) ( $this->description['max_value'] ?? 0 );
		return $most > 0 ? $most : self::MAX_VALUE;
	}

	/**
	 * Whether a flush also changes columns of the posts themselves.
	 */
	public function has_columns(): bool {
		return array() !== $this->columns();
	}

	/**
	 * Whether a column of the post shows a key.
	 *
	 * @param string $key The key.
	 */
	public function is_shown( string $key ): bool {
		return isset( $this->description['posts'][ $this->field( $key ) ] );
	}

	/**
	 * How long a query waits for a flush, in milliseconds.
	 */
	public function query_wait_ms(): int {
		return max( 1, (int) $this->description['query_wait_ms'] );
	}
}
