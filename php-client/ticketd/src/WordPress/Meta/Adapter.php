<?php
/**
 * Takes metadata of WordPress.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

use Ticketd\Client\ClientInterface;
use Ticketd\Client\TicketdException;
use Ticketd\WordPress\Clients;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Adds the hooks for the metadata that the daemon's configuration names. The keys are kept in an option, so that a page
 * needs no call for the keys, also while the daemon does not answer. Without the option no hook is added.
 */
final class Adapter {

	/** Option with the descriptions by meta type; autoloaded. */
	public const OPTION = 'ticketd_meta';

	/**
	 * The instance.
	 *
	 * @var self|null
	 */
	private static ?self $instance = null;

	/**
	 * The clients.
	 *
	 * @var Clients
	 */
	private Clients $clients;

	/**
	 * The parts by blog and meta type.
	 *
	 * @var array<int, array<string, object[]>>
	 */
	private array $blogs = array();

	/**
	 * The parts of the current blog by meta type.
	 *
	 * @var array<string, object[]>
	 */
	private array $current = array();

	/**
	 * The meta types whose keys were asked for again in this request, by blog.
	 *
	 * @var array<int, array<string, bool>>
	 */
	private array $relearnt = array();

	/**
	 * The transaction of the connection.
	 *
	 * @var Transaction
	 */
	private Transaction $transaction;

	/**
	 * The meta types whose hooks were added, as keys.
	 *
	 * @var array<string, bool>
	 */
	private array $hooked = array();

	/**
	 * Makes the adapter; the first call connects.
	 */
	private function __construct() {
		$this->clients     = new Clients( new Settings() );
		$this->transaction = new Transaction();
	}

	/**
	 * The instance of this request.
	 */
	public static function instance(): self {
		self::$instance = self::$instance ?? new self();
		return self::$instance;
	}

	/**
	 * Adds the hooks; a second call does nothing.
	 */
	public function register(): void {
		if ( false !== has_action( 'switch_blog', array( $this, 'turn' ) ) ) {
			return;
		}
		add_action( 'switch_blog', array( $this, 'turn' ) );
		add_filter( 'query', array( $this, 'look' ), PHP_INT_MAX );
		add_action( 'update_option_' . self::OPTION, array( $this, 'reload' ) );
		add_action( 'add_option_' . self::OPTION, array( $this, 'reload' ) );
		add_action( 'delete_option_' . self::OPTION, array( $this, 'reload' ) );
		add_action( 'update_site_option_' . self::OPTION, array( $this, 'reload' ) );
		add_action( 'add_site_option_' . self::OPTION, array( $this, 'reload' ) );
		add_action( 'delete_site_option_' . self::OPTION, array( $this, 'reload' ) );
		$this->turn();
	}

	/**
	 * Makes all calls with another client, for a test.
	 *
	 * @param ClientInterface|null $client The client; null: the daemon's again.
	 */
	public function use_client( ?ClientInterface $client ): void {
		$this->clients->substitute( $client );
		$this->blogs    = array();
		$this->relearnt = array();

		$this->transaction = new Transaction();
		$this->turn();
	}

	/**
	 * Takes the current blog's keys.
	 */
	public function turn(): void {
		$blog = get_current_blog_id();
		if ( ! isset( $this->blogs[ $blog ] ) ) {
			$this->blogs[ $blog ] = array();
			$this->reload();
			return;
		}
		$this->current = $this->blogs[ $blog ];
		foreach ( array_keys( $this->current ) as $type ) {
			if ( ! isset( $this->hooked[ $type ] ) ) {
				$this->hooked[ $type ] = true;
				$this->hook( $type );
			}
		}
	}

	/**
	 * Looks at a statement: `query`.
	 *
	 * @param mixed $sql The statement.
	 * @return mixed The same.
	 */
	public function look( $sql ) {
		if ( ! is_string( $sql ) || array() === $this->current ) {
			return $sql;
		}
		$from_verb = Queries::from_verb( $sql );
		$event     = $this->transaction->follow( $from_verb );
		if ( Transaction::ENDS === $event ) {
			$this->transaction->end();
		} elseif ( Transaction::UNDOES === $event || Transaction::RETURNS === $event ) {
			Transaction::UNDOES === $event && $this->transaction->undo();
			foreach ( $this->blogs as $types ) {
				foreach ( $types as $parts ) {
					$parts['cache']->forget_uncached();
				}
			}
		}
		foreach ( $this->current as $parts ) {
			if ( Transaction::BEGINS === $event ) {
				$parts['queries']->refresh( $from_verb, array(), true ); // The last time before its queries.
			}
			$parts['queries']->look( $from_verb );
			$parts['life']->look( $from_verb );
		}
		return $sql;
	}

	/**
	 * Reads the keys again after a change of the option. The parts stay: a part may have caused the change.
	 */
	public function reload(): void {
		$blog         = get_current_blog_id();
		$descriptions = self::descriptions();
		$known        = array_intersect_key( $this->blogs[ $blog ] ?? array(), $descriptions );
		foreach ( $descriptions as $type => $description ) {
			if ( isset( $known[ $type ] ) ) {
				$known[ $type ]['keys']->take( $description );
			} else {
				$known[ $type ] = $this->parts( new Keys( $type, $description ) );
			}
		}
		$this->blogs[ $blog ] = $known;
		$this->turn();
	}

	/**
	 * Takes the keys anew once in a request, as the daemon has a field that the option lacks.
	 *
	 * @param string $type `post` or `user`.
	 */
	public function relearn( string $type ): void {
		$blog = get_current_blog_id();
		if ( ! isset( $this->relearnt[ $blog ][ $type ] ) ) {
			$this->relearnt[ $blog ][ $type ] = true;
			$this->learn( $type );
		}
	}

	/**
	 * Asks the daemon for the keys, and keeps them.
	 *
	 * @param string $type `post` or `user`.
	 * @return array|\WP_Error The description; `ticketd_kind` where the daemon takes no such metadata.
	 */
	public function learn( string $type ) {
		try {
			$description = $this->daemon( self::no_keys( $type ) )->describe();
		} catch ( TicketdException $failure ) {
			return new \WP_Error( 'ticketd_' . $failure->reason(), $failure->getMessage() );
		}
		if ( Keys::KINDS[ $type ] !== $description['kind'] ) {
			/* translators: %s: name of a table */
			$text = __( 'The daemon does not take the metadata of %s: its configuration has no such site.', 'ticketd' );
			return new \WP_Error( 'ticketd_kind', sprintf( $text, self::no_keys( $type )->full_table() ) );
		}
		$description['table'] = self::no_keys( $type )->full_table();
		self::autoload();
		self::keep( array( $type => $description ) + self::descriptions() );
		return $description;
	}

	/**
	 * Asks the daemon again for the keys of all meta types that it took before. A type that it takes no longer is kept
	 * until the adapter ends, as its changes may be pending.
	 *
	 * @return array<string, string> By meta type why they could not be learnt.
	 */
	public function refresh(): array {
		$problems = array();
		foreach ( array_keys( self::descriptions() ) as $type ) {
			$learnt = $this->learn( $type );
			if ( is_wp_error( $learnt ) ) {
				$problems[ $type ] = $learnt->get_error_message();
			}
		}
		return $problems;
	}

	/**
	 * Takes no more metadata: the current blog's pending changes are flushed.
	 *
	 * @return string Why changes may be pending; empty if none are. Then the option is kept.
	 */
	public function end(): string {
		self::autoload();
		$before = self::descriptions();
		if ( is_multisite() && ! is_main_site() ) {
			unset( $before['user'] ); // The network's.
		}
		if ( array() === $before ) {
			self::keep( array_diff_key( self::descriptions(), $before ) ); // What is kept may be another database's.
			return '';
		}
		// Most is flushed before, as WordPress must not write what an older pending change would overwrite; then the
		// option goes, so that other requests make no further changes that would be pending; then the rest is flushed.
		$is_flushed = $this->is_flushed( $before );
		if ( $is_flushed ) {
			self::keep( array_diff_key( self::descriptions(), $before ) );
			$is_flushed = $this->is_flushed( $before );
			if ( ! $is_flushed ) {
				self::keep( $before + self::descriptions() );
			}
		}
		return $is_flushed ? '' : __( 'The pending changes of metadata could not be flushed.', 'ticketd' );
	}

	/**
	 * Flushes meta types.
	 *
	 * @param array<string, array> $descriptions Their descriptions.
	 * @return bool Whether the database has all changes.
	 */
	private function is_flushed( array $descriptions ): bool {
		foreach ( $descriptions as $type => $description ) {
			if ( ! $this->daemon( new Keys( $type, $description ) )->flush( array(), Daemon::FLUSH_MS ) ) {
				return false;
			}
		}
		return true;
	}

	/**
	 * Keeps descriptions. All blogs of a network share the users, and so the description of their metadata.
	 *
	 * @param array<string, array> $descriptions By meta type.
	 */
	private static function keep( array $descriptions ): void {
		if ( is_multisite() ) {
			$shared = array_intersect_key( $descriptions, array( 'user' => true ) );
			if ( array() === $shared ) {
				delete_network_option( get_main_network_id(), self::OPTION );
			} else {
				update_network_option( get_main_network_id(), self::OPTION, $shared );
			}
			unset( $descriptions['user'] );
		}
		if ( array() === $descriptions ) {
			delete_option( self::OPTION );
		} else {
			update_option( self::OPTION, $descriptions, true );
		}
	}

	/**
	 * Makes sure that the option is autoloaded, as it is not seen otherwise: some tools change that.
	 */
	public static function autoload(): void {
		$stored = isset( wp_load_alloptions()[ self::OPTION ] ) ? null : get_option( self::OPTION );
		if ( is_array( $stored ) ) {
			delete_option( self::OPTION );
			add_option( self::OPTION, $stored, '', true );
		}
	}

	/**
	 * The current blog's descriptions by meta type. A copy of the database under another name, as for a test site, has
	 * the original's option: the original's daemon does not serve it, so WordPress writes all metadata there.
	 *
	 * @return array<string, array>
	 */
	public static function descriptions(): array {
		// get_option() asks the database for an option that is not there.
		$stored = isset( wp_load_alloptions()[ self::OPTION ] ) ? get_option( self::OPTION ) : array();
		$stored = is_array( $stored ) ? $stored : array();
		if ( is_multisite() ) {
			$shared = get_network_option( get_main_network_id(), self::OPTION );
			unset( $stored['user'] );
			$stored += is_array( $shared ) ? $shared : array();
		}
		foreach ( array_intersect_key( $stored, Keys::KINDS ) as $type => $description ) {
			$table = self::no_keys( $type )->full_table();
			if ( ( $description['table'] ?? $table ) !== $table ) {
				unset( $stored[ $type ] );
			}
		}
		return array_intersect_key( $stored, Keys::KINDS );
	}

	/**
	 * The posts by the names of their fields; null where ticketd takes no metadata of posts.
	 */
	public function posts(): ?Posts {
		$parts = $this->current['post'] ?? null;
		if ( null === $parts ) {
			return null;
		}
		return new Posts( $parts['keys'], $parts['daemon'], $parts['cache'], $this->transaction, $parts['writes'] );
	}

	/**
	 * Flushes the pending changes of a meta type.
	 *
	 * @param string $type `post` or `user`.
	 */
	public function flush( string $type ): bool {
		return isset( $this->current[ $type ] ) && $this->current[ $type ]['daemon']->flush( array() );
	}

	/**
	 * Keys of a table that is not described yet.
	 *
	 * @param string $type `post` or `user`.
	 */
	private static function no_keys( string $type ): Keys {
		return new Keys(
			$type,
			array(
				'keys'       => array(),
				'post_types' => array(),
			)
		);
	}

	/**
	 * The daemon for a meta type.
	 *
	 * @param Keys $keys The type's keys.
	 */
	private function daemon( Keys $keys ): Daemon {
		return new Daemon( $this->clients, $keys, array( $this, 'relearn' ) );
	}

	/**
	 * Makes the parts for a meta type.
	 *
	 * @param Keys $keys Its keys.
	 * @return object[]
	 */
	private function parts( Keys $keys ): array {
		$daemon  = $this->daemon( $keys );
		$queries = new Queries( $keys, $daemon, $this->transaction );
		$cache   = new Cache( $keys, $daemon, $queries, $this->transaction );
		return array(
			'keys'    => $keys,
			'daemon'  => $daemon,
			'queries' => $queries,
			'cache'   => $cache,
			'writes'  => new Writes( $keys, $daemon, $cache, $queries, $this->transaction ),
			'life'    => new Lifecycle( $keys, $daemon, $cache, $queries, $this->transaction ),
		);
	}

	/**
	 * Adds the hooks of a meta type, after those of other plugins.
	 *
	 * @param string $type `post` or `user`.
	 */
	private function hook( string $type ): void {
		$hooks = array(
			array( "update_{$type}_metadata", 'writes', 'update', 5 ),
			array( "add_{$type}_metadata", 'writes', 'add', 5 ),
			array( "delete_{$type}_metadata", 'writes', 'delete', 5 ),
			array( "update_{$type}_metadata_cache", 'cache', 'fill', 2 ),
			array( "get_{$type}_metadata", 'cache', 'read', 4 ),
			array( 'post' === $type ? 'deleted_post' : 'deleted_user', 'life', 'deleted', 1 ),
		);
		if ( 'user' === $type ) {
			$hooks[] = array( 'delete_user', 'life', 'before_delete', 1 );
		} else {
			$hooks[] = array( 'before_delete_post', 'life', 'before_delete', 2 );
			$hooks[] = array( 'pre_post_update', 'life', 'before_update', 2 );
		}
		foreach ( $hooks as list( $hook, $part, $method, $count ) ) {
			$call = function ( $first, ...$rest ) use ( $type, $part, $method ) {
				$parts = $this->current[ $type ] ?? null;
				if ( isset( $rest[1] ) || array_key_exists( 1, $rest ) ) {
					$rest[1] = is_scalar( $rest[1] ) ? (string) $rest[1] : ''; // The key, of any type.
				}
				return null === $parts ? $first : $parts[ $part ]->$method( $first, ...$rest );
			};
			add_filter( $hook, $call, PHP_INT_MAX, $count );
		}
		foreach ( array( 'added', 'updated', 'deleted' ) as $done ) {
			add_action( "{$done}_{$type}_meta", array( $this, 'changed' ), PHP_INT_MIN, 4 ); // Before others read.
		}
	}

	/**
	 * Tells the parts of a change that WordPress or ticketd has made: `added_{type}_meta` and its like.
	 *
	 * @param mixed $row   The id of the row, or a list.
	 * @param mixed $id    The object's id.
	 * @param mixed $key   The key.
	 * @param mixed $value The value.
	 */
	public function changed( $row, $id, $key, $value = null ): void {
		$type  = false !== strpos( (string) current_filter(), '_user_meta' ) ? 'user' : 'post';
		$parts = $this->current[ $type ] ?? null;
		if ( null !== $parts ) {
			$key = is_scalar( $key ) ? (string) $key : '';
			$parts['cache']->changed( $row, (int) $id, $key );
			$parts['writes']->done( $row, (int) $id, $key, $value );
		}
	}
}
