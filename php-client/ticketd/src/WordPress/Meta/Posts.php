<?php
/**
 * Tickets that are posts.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

use Ticketd\Client\TicketdException;
use Ticketd\WordPress\Errors;

defined( 'ABSPATH' ) || exit;

/**
 * Reads and writes posts by the names of the daemon's fields, for the guide's functions. A field is a meta key, a
 * column of the post, or both. All fields of a call are one change.
 *
 * The functions fire WordPress' actions of metadata. A column is written by the flush alone: no action, and
 * get_post() returns the old value until then.
 */
final class Posts {

	/** Columns with a time: of the blog's time zone, and UTC. */
	private const TIMES = array( 'post_modified', 'post_modified_gmt' );

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
	 * The transaction of the connection.
	 *
	 * @var Transaction
	 */
	private Transaction $transaction;

	/**
	 * Fires the actions.
	 *
	 * @var Writes
	 */
	private Writes $writes;

	/**
	 * Takes the parts.
	 *
	 * @param Keys        $keys        The keys.
	 * @param Daemon      $daemon      The daemon.
	 * @param Cache       $cache       The cache entries.
	 * @param Transaction $transaction The transaction of the connection.
	 * @param Writes      $writes      Fires the actions.
	 */
	public function __construct( Keys $keys, Daemon $daemon, Cache $cache, Transaction $transaction, Writes $writes ) {
		$this->keys        = $keys;
		$this->daemon      = $daemon;
		$this->cache       = $cache;
		$this->transaction = $transaction;
		$this->writes      = $writes;
	}

	/**
	 * Merges fields into a post.
	 *
	 * @param int   $id     The post's id.
	 * @param array $fields Values by field name; times of columns in seconds since 1970, or as UTC text.
	 * @return true|\WP_Error
	 */
	public function put( int $id, array $fields ) {
		$lacking = $this->lacking( $id );
		if ( null !== $lacking ) {
			return $lacking;
		}
		$raw    = array();
		$values = array();
		foreach ( $fields as $field => $value ) {
			$name  = (string) $field;
			$wrong = $this->take( $id, $name, $value, $raw, $values );
			if ( '' !== $wrong ) {
				return new \WP_Error( 'ticketd_invalid', $wrong, array( 'field' => $name ) );
			}
		}
		if ( array() === $raw ) {
			return true;
		}
		if ( $this->transaction->is_open() ) {
			return $this->through( $id, $raw, $values ); // As every change of metadata in a transaction.
		}
		return $this->change( $id, $raw, $values );
	}

	/**
	 * Reads the fields of a post. Times of columns are UTC.
	 *
	 * @param int $id The post's id.
	 * @return array<string, mixed>|\WP_Error Values by field name; without the fields that the post does not have.
	 */
	public function get( int $id ) {
		$lacking = $this->lacking( $id );
		if ( null !== $lacking ) {
			return $lacking;
		}
		try {
			$fields = $this->transaction->is_open() ? $this->known( $id ) : $this->daemon->read( $id );
		} catch ( TicketdException $failure ) {
			if ( ! $failure->is_outage() && 'unavailable' !== $failure->reason() ) {
				return Errors::from_exception( $failure );
			}
			$fields = $this->known( $id );
		}
		return $this->told( array_filter( $fields, static fn( $value ): bool => null !== $value ) );
	}

	/**
	 * Why a post cannot be read or written.
	 *
	 * @param int $id The post's id.
	 */
	private function lacking( int $id ): ?\WP_Error {
		if ( $id > 0 && $this->keys->has_type( (string) get_post_type( $id ) ) ) {
			return null;
		}
		$text = __( 'There is no such post, or its type is none of the daemon\'s site.', 'ticketd' );
		return new \WP_Error( 'ticketd_not_found', $text );
	}

	/**
	 * Takes a field of a change.
	 *
	 * @param int    $id     The post's id.
	 * @param string $field  The field's name.
	 * @param mixed  $value  Its value.
	 * @param array  $raw    Gets the value as it is stored, by field.
	 * @param array  $values Gets the value by meta key, if the field has one.
	 * @return string What is wrong with the field; empty if nothing is.
	 */
	private function take( int $id, string $field, $value, array &$raw, array &$values ): string {
		$key    = $this->keys->key( $field );
		$column = $this->keys->columns()[ $field ] ?? '';
		if ( '' === $key && '' === $column ) {
			return __( 'The daemon\'s site has no such field.', 'ticketd' );
		}
		if ( null !== $value && ! is_scalar( $value ) ) {
			return __( 'The value is neither text nor number.', 'ticketd' );
		}
		if ( '' !== $column ) {
			if ( 'post_status' === $column && null === get_post_status_object( (string) $value ) ) {
				return __( 'No code has registered this post status: see register_post_status().', 'ticketd' );
			}
			$is_time = in_array( $column, self::TIMES, true );
			$value   = $is_time ? $this->time( $column, $value, $raw ) : (string) $value;
		}
		if ( '' !== $key ) {
			$value          = sanitize_meta( $key, $value, 'post', (string) get_post_type( $id ) );
			$values[ $key ] = $value;
		}
		$raw[ $field ] = Values::raw( $value );
		if ( ! Values::is_sendable( $raw[ $field ], $this->keys ) ) {
			return __( 'The value is too long, or no valid text.', 'ticketd' );
		}
		return '';
	}

	/**
	 * Takes a time. WordPress has two columns for the same time: both are written, where the configuration has both.
	 *
	 * @param string $column The field's column.
	 * @param mixed  $value  Seconds since 1970, or text in UTC.
	 * @param array  $raw    Gets the value of the other column's field, unless that was given.
	 * @return string The column's value. What is no time as it is: the daemon refuses it.
	 */
	private function time( string $column, $value, array &$raw ): string {
		$seconds = is_numeric( $value ) ? (int) $value : strtotime( $value . ' UTC' );
		if ( false === $seconds || '' === (string) $value ) {
			return (string) $value;
		}
		$utc   = gmdate( 'Y-m-d H:i:s', $seconds );
		$times = array(
			'post_modified'     => get_date_from_gmt( $utc ), // Calendar plugins filter wp_date().
			'post_modified_gmt' => $utc,
		);
		foreach ( $this->keys->columns() as $field => $other ) {
			if ( isset( $times[ $other ] ) && $column !== $other && '' === $this->keys->key( $field ) ) {
				$raw[ $field ] = $raw[ $field ] ?? $times[ $other ];
			}
		}
		return $times[ $column ];
	}

	/**
	 * Sends a change.
	 *
	 * @param int   $id     The post's id.
	 * @param array $raw    Stored values by field.
	 * @param array $values Values by meta key.
	 * @return true|\WP_Error
	 */
	private function change( int $id, array $raw, array $values ) {
		$entry = $this->cache->entry( $id );
		$apart = array();
		$rows  = array();
		foreach ( $values as $key => $value ) {
			$key      = (string) $key;
			$has      = $entry[ $key ] ?? array();
			$is_new   = array() === $has && ! $this->keys->adds_behind();
			$is_apart = ! $this->keys->has( $id, $key ) || $is_new || count( $has ) > 1;
			if ( $is_apart || Writes::has_alike( $entry, $key ) ) {
				$apart[ $this->keys->field( $key ) ] = $value;
				unset( $values[ $key ] );
				continue;
			}
			$rows[ $key ] = array() === $has ? 0 : $this->writes->row_id( $id, $key );
			$this->tell( $has, $rows[ $key ], $id, $key, $value, false );
		}
		$sent = array_diff_key( $raw, $apart );
		if ( array() !== $sent ) {
			try {
				$this->daemon->set_fields( $id, $sent );
			} catch ( TicketdException $failure ) {
				return Errors::from_exception( $failure );
			}
		}
		foreach ( $values as $key => $value ) {
			$this->cache->put( $id, $key, $raw[ $this->keys->field( $key ) ] );
		}
		foreach ( $values as $key => $value ) {
			$has = $entry[ $key ] ?? array();
			if ( array( $raw[ $this->keys->field( $key ) ] ) !== $has ) {
				$this->tell( $has, $rows[ $key ], $id, $key, $value, true );
			}
		}
		$by_key = array();
		foreach ( $apart as $field => $value ) {
			$by_key[ $this->keys->key( $field ) ] = $value;
		}
		return array() === $apart ? true : $this->through( $id, array_intersect_key( $raw, $apart ), $by_key );
	}

	/**
	 * Fires WordPress' action for a value.
	 *
	 * @param array      $has     The values that the key has.
	 * @param int|string $row     The row's id.
	 * @param int        $id      The post's id.
	 * @param string     $key     The key.
	 * @param mixed      $value   The value.
	 * @param bool       $is_done Whether the value is changed.
	 */
	private function tell( array $has, $row, int $id, string $key, $value, bool $is_done ): void {
		if ( array() !== $has ) {
			$this->writes->tell( $is_done ? 'updated' : 'update', $row, $id, $key, $value );
		} elseif ( $is_done ) {
			// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals -- WordPress' action.
			do_action( 'added_post_meta', $row, $id, $key, $value );
		} else {
			// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals -- WordPress' action.
			do_action( 'add_post_meta', $id, $key, $value );
		}
	}

	/**
	 * Leaves a change to WordPress.
	 *
	 * @param int   $id     The post's id.
	 * @param array $raw    Stored values by field.
	 * @param array $values Values by meta key.
	 * @return true|\WP_Error
	 */
	private function through( int $id, array $raw, array $values ) {
		global $wpdb;

		foreach ( $values as $key => $value ) {
			$is_done = update_post_meta( $id, $key, wp_slash( $value ) );
			if ( false === $is_done && ! $this->has( $id, $key, $raw[ $this->keys->field( $key ) ] ) ) {
				$why = __( 'The pending changes of metadata could not be flushed.', 'ticketd' );
				return new \WP_Error( 'ticketd_unavailable', '' === $wpdb->last_error ? $why : $wpdb->last_error );
			}
		}
		$columns = array();
		foreach ( array_intersect_key( $this->keys->columns(), $raw ) as $field => $column ) {
			$columns[ $column ] = $raw[ $field ];
		}
		if ( array() === $columns ) {
			return true;
		}
		// phpcs:ignore WordPress.DB.DirectDatabaseQuery -- As the flush does, without the actions of wp_update_post().
		$done = $wpdb->update( $wpdb->posts, $columns, array( 'ID' => $id ) );
		clean_post_cache( $id );
		return false === $done ? new \WP_Error( 'ticketd_unavailable', $wpdb->last_error ) : true;
	}

	/**
	 * Whether all rows of a key have a value.
	 *
	 * @param int         $id  The post's id.
	 * @param string      $key The key.
	 * @param string|null $raw The value.
	 */
	private function has( int $id, string $key, ?string $raw ): bool {
		$rows = $this->cache->entry( $id )[ $key ] ?? array();
		return array() !== $rows && array_fill( 0, count( $rows ), $raw ) === array_values( $rows );
	}

	/**
	 * The fields as this process knows them, without the daemon: the rows with the changes in this host's spool.
	 *
	 * @param int $id The post's id.
	 * @return array<string, string|null> Values by field.
	 */
	private function known( int $id ): array {
		$post   = get_post( $id );
		$fields = array();
		foreach ( $this->keys->columns() as $field => $column ) {
			$fields[ $field ] = $post->$column ?? null;
		}
		foreach ( $this->cache->entry( $id ) as $key => $rows ) {
			$field = $this->keys->field( (string) $key );
			if ( '' !== $field ) {
				$fields[ $field ] = $rows[0];
			}
		}
		return $this->transaction->is_open() ? $fields : array_merge( $fields, $this->daemon->spooled( $id ) );
	}

	/**
	 * Fields as callers get them.
	 *
	 * @param array $fields Stored values by field.
	 * @return array<string, mixed>
	 */
	private function told( array $fields ): array {
		$columns = $this->keys->columns();
		$local   = array_search( 'post_modified', $columns, true );
		$utc     = array_search( 'post_modified_gmt', $columns, true );
		if ( false !== $local && isset( $fields[ $local ] ) ) {
			$fields[ $local ] = false === $utc ? get_gmt_from_date( (string) $fields[ $local ] ) : $fields[ $utc ];
			unset( $fields[ false === $utc ? '' : $utc ] ); // One time, one field.
		}
		foreach ( $fields as $field => $value ) {
			$value            = is_string( $value ) ? maybe_unserialize( $value ) : $value;
			$fields[ $field ] = is_scalar( $value ) ? $value : $fields[ $field ];
		}
		return $fields;
	}
}
