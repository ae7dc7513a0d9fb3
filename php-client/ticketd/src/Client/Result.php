<?php
/**
 * Reads the results of the protocol's methods.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Reads from a result's map what its method promises. Other keys are ignored: a newer daemon may send more.
 */
final class Result {

	/**
	 * Reads an integer.
	 *
	 * @param array  $result The result.
	 * @param string $name   The integer's name.
	 * @throws ProtocolException If the element is missing.
	 */
	public static function integer( array $result, string $name ): int {
		if ( ! is_int( $result[ $name ] ?? null ) ) {
			throw new ProtocolException( sprintf( 'a result without the number "%s"', $name ) );
		}
		return $result[ $name ];
	}

	/**
	 * Reads the revision that `set` and `delete` return.
	 *
	 * @param array $result The result.
	 */
	public static function revision( array $result ): int {
		return self::integer( $result, 'revision' );
	}

	/**
	 * Reads the result of `create`.
	 *
	 * @param array $result The result.
	 * @return array{id: int, revision: int}
	 */
	public static function created( array $result ): array {
		return array(
			'id'       => self::integer( $result, 'id' ),
			'revision' => self::integer( $result, 'revision' ),
		);
	}

	/**
	 * Reads the result of `flush`.
	 *
	 * @param array $result The result.
	 * @return array{flushed: int, dead: int}
	 */
	public static function flushed( array $result ): array {
		return array(
			'flushed' => self::integer( $result, 'flushed' ),
			'dead'    => self::integer( $result, 'dead' ),
		);
	}

	/**
	 * Reads the result of `ping`.
	 *
	 * @param array $result The result.
	 * @return array{version: string, protocol: int, features: string[]} An older daemon names no features.
	 * @throws ProtocolException If there is no version.
	 */
	public static function pong( array $result ): array {
		if ( ! is_string( $result['version'] ?? null ) ) {
			throw new ProtocolException( 'a result without a version' );
		}
		return array(
			'version'  => $result['version'],
			'protocol' => self::integer( $result, 'protocol' ),
			'features' => array_values( array_filter( (array) ( $result['features'] ?? array() ), 'is_string' ) ),
		);
	}

	/**
	 * Reads the result of `status`, which is open to new keys.
	 *
	 * @param array $result The result.
	 */
	public static function status( array $result ): array {
		return $result;
	}

	/**
	 * Reads a ticket.
	 *
	 * @param mixed $ticket The value.
	 * @return array{id: int, revision: int, fields: array} And `stale`: true where the result says so, and `cut`:
	 *         true where a list's ticket is larger than a frame, so that not all of it is here.
	 * @throws ProtocolException If the value is not a ticket.
	 */
	public static function ticket( $ticket ): array {
		if ( ! is_array( $ticket ) || ! is_array( $ticket['fields'] ?? null ) ) {
			throw new ProtocolException( 'a ticket without fields' );
		}
		return self::created( $ticket ) + array( 'fields' => $ticket['fields'] )
			+ self::staleness( $ticket ) + self::mark( $ticket, 'cut' );
	}

	/**
	 * Reads the result of `get_many`.
	 *
	 * @param array $result The result.
	 * @param int   $count  How many tickets were asked for.
	 * @return array<int, array|null> Tickets in the order of the request, each `stale` where it says so itself. What
	 *         the whole result says of those that are missing has no place here.
	 */
	public static function tickets( array $result, int $count ): array {
		$tickets = self::items( $result, 'tickets', $count );
		foreach ( $tickets as $index => $ticket ) {
			$tickets[ $index ] = null === $ticket ? null : self::ticket( $ticket );
		}
		return $tickets;
	}

	/**
	 * Reads the result of `waiting`.
	 *
	 * @param array $result The result.
	 * @param int   $count  How many tickets were asked for.
	 * @return array{tickets: array<int, array{revision: int, fields: array}|null>} In the order of the request. And
	 *         `stale`: true where the result says so.
	 * @throws ProtocolException If an entry has no fields.
	 */
	public static function pending( array $result, int $count ): array {
		$tickets = self::items( $result, 'tickets', $count );
		foreach ( $tickets as $index => $ticket ) {
			if ( null !== $ticket && ! is_array( $ticket['fields'] ?? null ) ) {
				throw new ProtocolException( 'a pending change without fields' );
			}
			$tickets[ $index ] = null === $ticket ? null : array(
				'revision' => self::integer( $ticket, 'revision' ),
				'fields'   => $ticket['fields'],
			);
		}
		return array( 'tickets' => $tickets ) + self::staleness( $result );
	}

	/**
	 * Reads the result of `describe`.
	 *
	 * @param array $result The result.
	 * @return array{kind: string, keys: array<string, string>, posts: array<string, string>, post_types: string[],
	 *               adds: string, queries: string, query_wait_ms: int, max_value: int}
	 * @throws ProtocolException If there is no kind.
	 */
	public static function description( array $result ): array {
		if ( ! is_string( $result['kind'] ?? null ) ) {
			throw new ProtocolException( 'a description without a kind' );
		}
		return array(
			'kind'          => $result['kind'],
			'keys'          => array_map( 'strval', (array) ( $result['keys'] ?? array() ) ),
			'posts'         => array_map( 'strval', (array) ( $result['posts'] ?? array() ) ),
			'post_types'    => array_map( 'strval', array_values( (array) ( $result['post_types'] ?? array() ) ) ),
			'adds'          => (string) ( $result['adds'] ?? 'behind' ),
			'queries'       => (string) ( $result['queries'] ?? 'fresh' ),
			'query_wait_ms' => (int) ( $result['query_wait_ms'] ?? 250 ),
			'max_value'     => (int) ( $result['max_value'] ?? 0 ),
		);
	}

	/**
	 * Reads the result of `list`.
	 *
	 * @param array $result The result.
	 * @return array{tickets: array[], next: string|null} And `stale`: true where the result says so, and `locked`: the
	 *         ids of tickets whose changes are missing, as their rows are locked in the database.
	 * @throws ProtocolException If the result is not a page of tickets.
	 */
	public static function page( array $result ): array {
		$tickets = $result['tickets'] ?? null;
		$next    = $result['next'] ?? null;
		if ( ! is_array( $tickets ) || ( null !== $next && ! is_string( $next ) ) ) {
			throw new ProtocolException( 'a result that is no page of tickets' );
		}
		return array(
			'tickets' => array_map( array( self::class, 'ticket' ), array_values( $tickets ) ),
			'next'    => $next,
		) + self::staleness( $result ) + self::locked( $result );
	}

	/**
	 * Reads the result of `count`.
	 *
	 * @param array $result The result.
	 */
	public static function counted( array $result ): int {
		return self::integer( $result, 'count' );
	}

	/**
	 * Reads the result of `count` with `by`.
	 *
	 * @param array $result The result.
	 * @return array{count: int, groups: array<int, array{value: int|string|null, count: int}>} And `stale` and
	 *         `locked`, as a page has them.
	 * @throws ProtocolException If a group is no pair of a value and a number.
	 */
	public static function groups( array $result ): array {
		$groups = array();
		foreach ( self::all( $result, 'groups' ) as $pair ) {
			if ( ! is_array( $pair ) || 2 !== count( $pair ) || ! is_int( $pair[1] ?? null ) ) {
				throw new ProtocolException( 'a group that is no pair of a value and a number' );
			}
			$groups[] = array(
				'value' => $pair[0] ?? null,
				'count' => $pair[1],
			);
		}
		return array(
			'count'  => self::counted( $result ),
			'groups' => $groups,
		) + self::staleness( $result ) + self::locked( $result );
	}

	/**
	 * Reads the result of `dead_list`.
	 *
	 * @param array $result The result.
	 * @return array[] Letters, each with all keys of the protocol's.
	 * @throws ProtocolException If an element is not a letter.
	 */
	public static function letters( array $result ): array {
		$letters = array();
		foreach ( self::all( $result, 'letters' ) as $letter ) {
			$reason = $letter['reason'] ?? null;
			if ( ! is_array( $letter ) || ! is_array( $letter['fields'] ?? null ) || ! is_string( $reason ) ) {
				throw new ProtocolException( 'a letter without fields or reason' );
			}
			$letters[] = self::created( $letter ) + array(
				'code'    => self::integer( $letter, 'code' ),
				'reason'  => $reason,
				'at_ms'   => self::integer( $letter, 'at_ms' ),
				'deleted' => true === ( $letter['deleted'] ?? null ),
				'fields'  => $letter['fields'],
			) + self::mark( $letter, 'cut' );
		}
		return $letters;
	}

	/**
	 * Reads the result of `feed_read`.
	 *
	 * @param array $result The result.
	 * @return array{events: array[], busy: bool} Each event has the keys that every kind has, and those of its own.
	 * @throws ProtocolException If an element is no event.
	 */
	public static function events( array $result ): array {
		$events = array();
		foreach ( self::all( $result, 'events' ) as $event ) {
			foreach ( array( 'id', 'kind', 'cursor' ) as $name ) {
				if ( ! is_array( $event ) || ! is_string( $event[ $name ] ?? null ) ) {
					throw new ProtocolException( sprintf( 'an event without "%s"', $name ) );
				}
			}
			$events[] = $event
				+ array_fill_keys( array( 'ticket', 'revision', 'previous', 'at_us', 'recorded_us' ), 0 )
				+ array_fill_keys( array( 'by', 'via' ), '' )
				+ array_fill_keys( array( 'fields', 'was', 'omitted' ), array() )
				+ array( 'delivery' => 1 );
		}
		return array(
			'events' => $events,
			'busy'   => true === ( $result['busy'] ?? null ),
		);
	}

	/**
	 * Reads the result of `feed_dead_list`.
	 *
	 * @param array $result The result.
	 * @return array[] Letters, each with all keys of the protocol's.
	 * @throws ProtocolException If an element is not a letter.
	 */
	public static function feed_letters( array $result ): array {
		$letters = array();
		foreach ( self::all( $result, 'letters' ) as $letter ) {
			if ( ! is_array( $letter ) ) {
				throw new ProtocolException( 'a letter that is no map' );
			}
			$numbers   = array_fill_keys( array( 'ticket', 'revision', 'since_us', 'at_us', 'tries' ), 0 );
			$texts     = array_fill_keys( array( 'kind', 'reason', 'answer' ), '' );
			$letters[] = array( 'id' => self::integer( $letter, 'id' ) ) + $letter + $numbers + $texts + array(
				'held'   => false,
				'fields' => array(),
			);
		}
		return $letters;
	}

	/**
	 * Reads the result of `feed_status`.
	 *
	 * @param array $result The result.
	 * @return array{enabled: bool, backlog: int, backlog_bytes: int, destinations: array[], history: array}
	 */
	public static function feed( array $result ): array {
		$numbers      = array( 'since_ms', 'lag_events', 'lag_ms', 'held', 'letters', 'gaps', 'lost', 'sent' );
		$texts        = array( 'name', 'kind', 'state', 'reason' );
		$known        = array_fill_keys( $texts, '' ) + array_fill_keys( $numbers, 0 );
		$destinations = array();
		foreach ( array_filter( self::all( $result, 'destinations' ), 'is_array' ) as $destination ) {
			$destinations[] = array_replace( $known, $destination );
		}
		$history = array_fill_keys( array( 'rows', 'bytes', 'keep_ms' ), 0 );
		return array(
			'destinations' => $destinations,
			'history'      => (array) ( $result['history'] ?? array() ) + array( 'enabled' => false ) + $history,
		) + $result + array(
			'enabled'       => false,
			'backlog'       => 0,
			'backlog_bytes' => 0,
		);
	}

	/**
	 * Reads the result of `history`.
	 *
	 * @param array $result The result.
	 * @return array{changes: array[], next: int|null} And `stale`: true where the result says so.
	 * @throws ProtocolException If an element is no change.
	 */
	public static function history( array $result ): array {
		$changes = array();
		foreach ( self::all( $result, 'changes' ) as $change ) {
			if ( ! is_array( $change ) || ! is_string( $change['kind'] ?? null ) ) {
				throw new ProtocolException( 'a change without its kind' );
			}
			$values    = array_filter( (array) ( $change['changes'] ?? array() ), 'is_array' );
			$changes[] = array(
				'revision' => self::integer( $change, 'revision' ),
				'kind'     => $change['kind'],
				'at_us'    => self::integer( $change, 'at_us' ),
				'by'       => (string) ( $change['by'] ?? '' ),
				'via'      => (string) ( $change['via'] ?? '' ),
				'changes'  => array_map( 'array_values', $values ),
				'erased'   => true === ( $change['erased'] ?? null ),
				'gap'      => true === ( $change['gap'] ?? null ),
			);
		}
		return array(
			'changes' => $changes,
			'next'    => isset( $result['next'] ) ? self::integer( $result, 'next' ) : null,
		) + self::staleness( $result );
	}

	/**
	 * Reads the result of `set_many`.
	 *
	 * @param array $result The result.
	 * @param int   $count  How many tickets were to be changed.
	 * @return array<int, int|DaemonException> Revisions or refusals in the order of the request.
	 * @throws ProtocolException If an entry is neither.
	 */
	public static function outcomes( array $result, int $count ): array {
		$outcomes = self::items( $result, 'results', $count );
		foreach ( $outcomes as $index => $outcome ) {
			if ( is_array( $outcome ) ) {
				$outcomes[ $index ] = DaemonException::from_wire( $outcome );
			} elseif ( ! is_int( $outcome ) ) {
				throw new ProtocolException( 'an outcome that is neither a revision nor an error' );
			}
		}
		return $outcomes;
	}

	/**
	 * Reads the result of `check`.
	 *
	 * @param array $result The result.
	 * @param int   $count  How many changes were to be judged.
	 * @return array<int, array{id: int|null, revision: int, differs: string[]}|DaemonException> In the order of the
	 *         request.
	 * @throws ProtocolException If an entry is neither.
	 */
	public static function judgements( array $result, int $count ): array {
		$outcomes = self::items( $result, 'results', $count );
		foreach ( $outcomes as $index => $outcome ) {
			if ( is_array( $outcome ) && isset( $outcome['code'] ) ) {
				$outcomes[ $index ] = DaemonException::from_wire( $outcome );
				continue;
			}
			$id      = $outcome[0] ?? null;
			$differs = $outcome[2] ?? null;
			if ( ( null !== $id && ! is_int( $id ) ) || ! is_int( $outcome[1] ?? null ) || ! is_array( $differs ) ) {
				throw new ProtocolException( 'an outcome that is neither a judgement nor an error' );
			}
			$outcomes[ $index ] = array(
				'id'       => $id,
				'revision' => $outcome[1],
				'differs'  => array_map( 'strval', $differs ),
			);
		}
		return $outcomes;
	}

	/**
	 * Reads whether changes may be missing in a result.
	 *
	 * @param array $result The result.
	 * @return array `stale`: true, or nothing.
	 */
	private static function staleness( array $result ): array {
		return self::mark( $result, 'stale' );
	}

	/**
	 * Reads a mark that is only present if true.
	 *
	 * @param array  $result The map.
	 * @param string $name   The mark's name.
	 */
	private static function mark( array $result, string $name ): array {
		return true === ( $result[ $name ] ?? null ) ? array( $name => true ) : array();
	}

	/**
	 * Reads the ids of tickets whose changes are missing in a result because their rows are locked.
	 *
	 * @param array $result The result.
	 * @return array `locked`: their ids, or nothing.
	 */
	private static function locked( array $result ): array {
		$ids = array_values( array_filter( (array) ( $result['locked'] ?? array() ), 'is_int' ) );
		return array() === $ids ? array() : array( 'locked' => $ids );
	}

	/**
	 * Reads a list, however long.
	 *
	 * @param array  $result The result.
	 * @param string $name   The list's name.
	 * @throws ProtocolException If it is none.
	 */
	private static function all( array $result, string $name ): array {
		if ( ! is_array( $result[ $name ] ?? null ) ) {
			throw new ProtocolException( sprintf( 'a result without %s', $name ) );
		}
		return array_values( $result[ $name ] );
	}

	/**
	 * Reads a list.
	 *
	 * @param array  $result The result.
	 * @param string $name   The list's name.
	 * @param int    $count  How many elements it must have.
	 * @throws ProtocolException If it is not such a list.
	 */
	private static function items( array $result, string $name, int $count ): array {
		$items = $result[ $name ] ?? null;
		if ( ! is_array( $items ) || count( $items ) !== $count ) {
			throw new ProtocolException( sprintf( 'a result without %d %s', $count, $name ) );
		}
		return $items;
	}
}
