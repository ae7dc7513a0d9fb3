<?php
/**
 * The transaction of the connection to the database.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Follows the statements that open and end a transaction, which all blogs and meta types of a request share, as they
 * share the connection. Tables that PHP has locked count as a transaction: a flush would wait for their locks, too.
 */
final class Transaction {

	/** What a statement does. */
	public const NOTHING = 0;
	public const BEGINS  = 1;
	public const ENDS    = 2;
	public const UNDOES  = 3;
	public const RETURNS = 4; // To a savepoint.

	/** The first words of statements that begin or end a transaction; a definition of a table commits. */
	private const VERBS = '/^(START|BEGIN|SET|COMMIT|ROLLBACK|LOCK|UNLOCK|SAVEPOINT'
		. '|CREATE|ALTER|DROP|TRUNCATE|RENAME|ANALYZE|OPTIMIZE|REPAIR)\b/i';

	/**
	 * Whether a transaction was begun.
	 *
	 * @var bool
	 */
	private bool $is_begun = false;

	/**
	 * Whether each statement belongs to one: autocommit is off.
	 *
	 * @var bool
	 */
	private bool $is_manual = false;

	/**
	 * Whether tables are locked.
	 *
	 * @var bool
	 */
	private bool $is_locked = false;

	/**
	 * What WordPress itself has changed in the transaction, as keys: blog, group of the object cache, id, meta key.
	 *
	 * @var array<int, array<string, array<int, array<string, bool>>>>
	 */
	private array $through = array();

	/**
	 * Called before the transaction is committed: by blog, group of the object cache, id and meta key.
	 *
	 * @var array<int, array<string, array<int, array<string, callable>>>>
	 */
	private array $owed = array();

	/**
	 * What was owed at each savepoint: by the savepoint's name in lower case, in their order.
	 *
	 * @var array<string, array>
	 */
	private array $marks = array();

	/**
	 * Whether a transaction is open.
	 */
	public function is_open(): bool {
		return $this->is_begun || $this->is_manual || $this->is_locked;
	}

	/**
	 * Follows a statement.
	 *
	 * @param string $sql The statement, from its first word on.
	 * @return int One of the constants above; BEGINS only where none was open.
	 */
	public function follow( string $sql ): int {
		if ( 1 !== preg_match( self::VERBS, $sql, $verb ) ) {
			return self::NOTHING;
		}
		$rest     = substr( $sql, strlen( $verb[1] ), 1000 );
		$was_open = $this->is_open();
		switch ( strtoupper( $verb[1] ) ) {
			case 'START':
				if ( 1 !== preg_match( '/^\s+TRANSACTION\b/i', $rest ) ) {
					return self::NOTHING; // Of a replica.
				}
				// Also a transaction.
			case 'BEGIN':
				$this->is_begun  = true;
				$this->is_locked = false;
				break;
			case 'SET':
				$autocommit = '/(?<!GLOBAL )(?<!GLOBAL\.)\bautocommit`?\s*:?=\s*[\'"]?(\w+)/i';
				if ( 1 !== preg_match( $autocommit, $rest, $value ) ) {
					return self::NOTHING;
				}
				$this->is_manual = in_array( strtolower( $value[1] ), array( '0', 'off', 'false' ), true );
				$this->is_begun  = $this->is_begun && $this->is_manual;
				break;
			case 'ROLLBACK':
				if ( 1 === preg_match( '/^\s+(?:WORK\s+)?TO\s+(?:SAVEPOINT\s+)?(.+)/is', $rest, $name ) ) {
					$this->return_to( self::mark( $name[1] ) );
					return $was_open ? self::RETURNS : self::NOTHING;
				}
				$this->is_begun = 1 === preg_match( '/\bAND\s+CHAIN\b/i', $rest );
				return $was_open ? self::UNDOES : self::NOTHING;
			case 'SAVEPOINT':
				if ( $was_open ) {
					unset( $this->marks[ self::mark( $rest ) ] ); // A second one of this name is the last one.
					$this->marks[ self::mark( $rest ) ] = $this->owed;
				}
				return self::NOTHING;
			case 'COMMIT':
				$this->is_begun = 1 === preg_match( '/\bAND\s+CHAIN\b/i', $rest );
				break;
			case 'LOCK':
			case 'UNLOCK':
				$this->is_begun  = false;
				$this->is_locked = 'LOCK' === strtoupper( $verb[1] );
				break;
			default:
				if ( 1 === preg_match( '/^\s+TEMPORARY\b/i', $rest ) ) {
					return self::NOTHING;
				}
				$this->is_begun = false;
		}
		return $was_open ? self::ENDS : ( $this->is_open() ? self::BEGINS : self::NOTHING );
	}

	/**
	 * The name of a savepoint, which is compared without regard to case.
	 *
	 * @param string $text What stands behind the verb.
	 */
	private static function mark( string $text ): string {
		return strtolower( trim( $text, " \t\r\n;`" ) );
	}

	/**
	 * Owes what was owed at a savepoint, and forgets the later ones. At an unknown one what is owed stays.
	 *
	 * @param string $mark The savepoint.
	 */
	private function return_to( string $mark ): void {
		$place = array_search( $mark, array_map( 'strval', array_keys( $this->marks ) ), true );
		$this->uncache();
		if ( false !== $place ) {
			$this->owed  = $this->marks[ $mark ];
			$this->marks = array_slice( $this->marks, 0, $place + 1, true );
		}
	}

	/**
	 * Notes that WordPress changes a key in the transaction.
	 *
	 * @param string $group Group of the object cache.
	 * @param int    $id    The object's id.
	 * @param string $key   The key.
	 */
	public function note( string $group, int $id, string $key ): void {
		$this->through[ get_current_blog_id() ][ $group ][ $id ][ $key ] = true;
	}

	/**
	 * Whether WordPress has changed a key in the transaction.
	 *
	 * @param string $group Group of the object cache.
	 * @param int    $id    The object's id.
	 * @param string $key   The key; empty: any.
	 */
	public function has( string $group, int $id, string $key = '' ): bool {
		$keys = $this->through[ get_current_blog_id() ][ $group ][ $id ] ?? array();
		return '' === $key ? array() !== $keys : isset( $keys[ $key ] );
	}

	/**
	 * Says what is called before the transaction is committed; a rollback drops it, and a later call for the same key
	 * takes its place.
	 *
	 * @param string   $group Group of the object cache.
	 * @param int      $id    The object's id.
	 * @param string   $key   The key.
	 * @param callable $call  What is called.
	 */
	public function owe( string $group, int $id, string $key, callable $call ): void {
		$this->owed[ get_current_blog_id() ][ $group ][ $id ][ $key ] = $call;
	}

	/**
	 * What is owed for an object.
	 *
	 * @param string $group Group of the object cache.
	 * @param int    $id    The object's id.
	 * @return array<string, callable> By key.
	 */
	public function owed( string $group, int $id ): array {
		return $this->owed[ get_current_blog_id() ][ $group ][ $id ] ?? array();
	}

	/**
	 * Drops what is owed for a key.
	 *
	 * @param string $group Group of the object cache.
	 * @param int    $id    The object's id; 0: all objects.
	 * @param string $key   The key.
	 */
	public function forgive( string $group, int $id, string $key ): void {
		$blog = get_current_blog_id();
		$ids  = 0 === $id ? array_keys( $this->owed[ $blog ][ $group ] ?? array() ) : array( $id );
		foreach ( $ids as $each ) {
			unset( $this->owed[ $blog ][ $group ][ $each ][ $key ] );
		}
	}

	/**
	 * Calls what is owed, and forgets what WordPress has changed.
	 */
	public function end(): void {
		$owed          = $this->owed;
		$this->owed    = array();
		$this->marks   = array();
		$this->through = array();
		self::in_blogs(
			$owed,
			static function ( array $groups ): void {
				foreach ( $groups as $ids ) {
					foreach ( $ids as $calls ) {
						foreach ( $calls as $call ) {
							$call();
						}
					}
				}
			}
		);
	}

	/**
	 * Drops what is owed, and forgets what WordPress has changed, as the database does not have it any more.
	 */
	public function undo(): void {
		$this->uncache();
		$this->owed    = array();
		$this->marks   = array();
		$this->through = array();
	}

	/**
	 * Deletes the cache entries of what WordPress has changed.
	 */
	private function uncache(): void {
		foreach ( array( $this->through, $this->owed ) as $blogs ) {
			self::in_blogs(
				$blogs,
				static function ( array $groups ): void {
					foreach ( $groups as $group => $ids ) {
						foreach ( array_keys( $ids ) as $id ) {
							wp_cache_delete( $id, $group );
						}
					}
				}
			);
		}
	}

	/**
	 * Calls with what each blog has, in that blog.
	 *
	 * @param array    $by_blog By blog what the call gets.
	 * @param callable $call    Called for each blog.
	 */
	private static function in_blogs( array $by_blog, callable $call ): void {
		foreach ( $by_blog as $blog => $all ) {
			$is_other = get_current_blog_id() !== $blog;
			if ( $is_other ) {
				switch_to_blog( $blog );
			}
			$call( $all );
			if ( $is_other ) {
				restore_current_blog();
			}
		}
	}
}
