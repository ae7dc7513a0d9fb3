<?php
/**
 * Tickets that a plugin keeps in Redis.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Reads tickets out of Redis, where a plugin keeps each in a hash of its own, over the extension phpredis.
 */
final class RedisHashes {

	/** Keys that are asked for at a time. */
	private const PAGE = 500;

	/** Most characters that a field's name has. */
	private const NAME_LENGTH = 64;

	/** Types of dates. */
	private const DATES = array( 'date', 'datetime', 'timestamp' );

	/** Further types in which an empty text, as phpredis writes null and false, stands for nothing; integers do, too. */
	private const NO_TEXT = array( 'time', 'float', 'double', 'decimal', 'enum', 'set', 'json' );

	/** Names that are the daemon's own. */
	private const RESERVED = array( 'revision', 'extra' );

	/**
	 * The connection.
	 *
	 * @var \Redis
	 */
	private \Redis $redis;

	/**
	 * What stands before the ids in the hashes' names.
	 *
	 * @var string
	 */
	private string $prefix;

	/**
	 * The tickets table.
	 *
	 * @var Table
	 */
	private Table $table;

	/**
	 * Takes the parts.
	 *
	 * @param \Redis $redis  The connection, its database selected.
	 * @param string $prefix What stands before the ids in the hashes' names.
	 * @param Table  $table  The tickets table.
	 */
	public function __construct( \Redis $redis, string $prefix, Table $table ) {
		$this->redis  = $redis;
		$this->prefix = $prefix;
		$this->table  = $table;
	}

	/**
	 * Reads all of them, some at a time. Each id comes once.
	 *
	 * @return \Generator<array<int, array|string>> By ticket id the fields, or why the hash is no ticket.
	 */
	public function pages(): \Generator {
		$seen   = array();
		$cursor = null;
		$this->redis->setOption( \Redis::OPT_SCAN, \Redis::SCAN_RETRY );
		$pattern = addcslashes( $this->prefix, '*?[]\\' ) . '*';
		do {
			$keys = $this->redis->scan( $cursor, $pattern, self::PAGE );
			$page = array();
			foreach ( false === $keys ? array() : $keys as $key ) {
				$name = substr( $key, strlen( $this->prefix ) );
				if ( (string) (int) $name === $name && (int) $name > 0 && ! isset( $seen[ $name ] ) ) {
					$seen[ $name ]       = true;
					$page[ (int) $name ] = $key;
				}
			}
			if ( array() !== $page ) {
				yield array_filter( $this->read( $page ) );
			}
		} while ( $cursor > 0 );
	}

	/**
	 * Reads hashes.
	 *
	 * @param array<int, string> $keys Their names by ticket id.
	 * @return array<int, array|string> The fields, nothing for a ticket of ticketd's own, or why the hash is no ticket.
	 */
	private function read( array $keys ): array {
		$this->redis->multi( \Redis::PIPELINE );
		foreach ( $keys as $key ) {
			$this->redis->hGetAll( $key );
		}
		$tickets = array();
		foreach ( array_combine( array_keys( $keys ), $this->redis->exec() ) as $id => $hash ) {
			if ( ! is_array( $hash ) ) {
				$tickets[ $id ] = __( 'The key holds no hash.', 'ticketd' );
			} else {
				$tickets[ $id ] = isset( $hash['_rev'] ) ? array() : $this->ticket( $id, self::unpack( $hash ) );
			}
		}
		return $tickets;
	}

	/**
	 * The fields of a hash, by name. PHP code that passes a list of names and values to phpredis 6 as one array makes a
	 * hash with the fields 0, 1, 2, …: the even ones hold the names, the odd ones the values. Each such write begins at
	 * 0 again, so the first pair of a name is its newest; a field under its own name was set alone, later.
	 *
	 * @param array<int|string, string> $hash The hash.
	 * @return array<int|string, string>
	 */
	public static function unpack( array $hash ): array {
		$paired = array();
		for ( $at = 0; isset( $hash[ $at ], $hash[ $at + 1 ] ) && self::is_name( $hash[ $at ] ); $at += 2 ) {
			$paired += array( $hash[ $at ] => $hash[ $at + 1 ] );
			unset( $hash[ $at ], $hash[ $at + 1 ] );
		}
		return $hash + $paired;
	}

	/**
	 * Whether a text can be the name of a field, rather than a value.
	 *
	 * @param string $text The text.
	 */
	private static function is_name( string $text ): bool {
		return strlen( $text ) <= self::NAME_LENGTH && 1 === preg_match( '/^[A-Za-z_][A-Za-z0-9_-]*$/D', $text );
	}

	/**
	 * The fields as ticketd takes them, or why it cannot.
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $hash Values by field name.
	 * @return array|string
	 */
	private function ticket( int $id, array $hash ) {
		$fields = array();
		foreach ( $hash as $name => $value ) {
			$is_id = in_array( $name, array( 'id', Table::KEY ), true ) && (string) $id === $value;
			if ( in_array( $name, self::RESERVED, true ) ) {
				/* translators: %s: name of a field */
				return sprintf( __( '%s: the name is ticketd\'s own.', 'ticketd' ), $name );
			}
			if ( ! $is_id && ! $this->stands_for_nothing( (string) $name, $value ) ) {
				$fields[ $name ] = $value;
			}
		}
		return array() === $fields ? __( 'There are no fields.', 'ticketd' ) : $fields;
	}

	/**
	 * Whether a value is what phpredis writes for null, in a column that holds no text.
	 *
	 * @param string $name  The field's name.
	 * @param string $value The value.
	 */
	private function stands_for_nothing( string $name, string $value ): bool {
		if ( ! $this->table->has( $name ) || ! in_array( $value, array( '', '0' ), true ) ) {
			return false;
		}
		$type = $this->table->type( $name );
		if ( '0' === $value ) {
			return in_array( $type, self::DATES, true );
		}
		return $this->table->is_integer( $name ) || in_array( $type, array_merge( self::DATES, self::NO_TEXT ), true );
	}
}
