<?php
/**
 * The feed of the client for unit tests.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Remembers the changes of a FakeClient, as the daemon's feed and history do.
 */
final class FakeFeed {

	/** Changes of a page of the history that names no number. */
	private const PAGE = 20;

	/** Deliveries without an acknowledgement after which an event becomes a letter. */
	private const MOST_DELIVERIES = 5;

	/**
	 * The events, in their order.
	 *
	 * @var array[]
	 */
	private array $events = array();

	/**
	 * By consumer's name: the number of the last event that it has acknowledged, the token of its runner, when the
	 * runner's lease ends, how often the next event was delivered, the letters, and whether it is paused.
	 *
	 * @var array<string, array>
	 */
	private array $consumers = array();

	/**
	 * Adds a change.
	 *
	 * @param string     $kind   `created`, `updated` or `deleted`.
	 * @param array      $ticket `id`, `revision` and `fields` after the change.
	 * @param array|null $before The same before the change; null: there was none.
	 * @param array      $fields The values that were set.
	 * @param array      $more   `by`, `via` and `at_us`.
	 */
	public function add( string $kind, array $ticket, ?array $before, array $fields, array $more ): void {
		$was = array();
		foreach ( null === $before ? array() : array_keys( $fields ) as $name ) {
			$was[ $name ] = $before['fields'][ $name ] ?? null;
		}
		$number         = count( $this->events ) + 1;
		$this->events[] = array(
			'id'       => $ticket['id'] . '-' . $ticket['revision'],
			'kind'     => $kind,
			'ticket'   => $ticket['id'],
			'revision' => $ticket['revision'],
			'previous' => $before['revision'] ?? 0,
			'fields'   => $fields,
			'was'      => $was,
			'omitted'  => array(),
			'number'   => $number,
			'cursor'   => (string) $number,
			'erased'   => false,
		) + $more + array( 'recorded_us' => $more['at_us'] );
	}

	/**
	 * Who changed what of a ticket; see Client::history().
	 *
	 * @param int   $id   The ticket's id.
	 * @param array $args `before`, `limit` and `field`.
	 */
	public function history( int $id, array $args ): array {
		$found = array();
		foreach ( array_reverse( $this->events ) as $event ) {
			if ( $event['ticket'] !== $id || $event['revision'] >= ( $args['before'] ?? PHP_INT_MAX ) ) {
				continue;
			}
			$change    = self::change( $event );
			$is_change = 'updated' !== $event['kind'] || array() !== $change['changes'];
			if ( $is_change && ( ! isset( $args['field'] ) || isset( $change['changes'][ $args['field'] ] ) ) ) {
				$found[] = $change;
			}
		}
		$limit = $args['limit'] ?? self::PAGE;
		$page  = array_slice( $found, 0, $limit );
		return array(
			'changes' => $page,
			'next'    => count( $found ) > $limit ? end( $page )['revision'] : null,
		);
	}

	/**
	 * A change as the history has it.
	 *
	 * @param array $event The event.
	 */
	private static function change( array $event ): array {
		$changes = array();
		foreach ( $event['fields'] as $name => $value ) {
			$old = $event['was'][ $name ] ?? null;
			if ( $event['erased'] ) {
				$changes[ $name ] = array();
			} elseif ( 'updated' !== $event['kind'] ) {
				$changes[ $name ] = array( $value );
			} elseif ( $old !== $value ) {
				$changes[ $name ] = array( $old, $value );
			}
		}
		$known = array( 'revision', 'kind', 'at_us', 'by', 'via', 'erased' );
		return array_intersect_key( $event, array_flip( $known ) ) + array(
			'changes' => $changes,
			'gap'     => false,
		);
	}

	/**
	 * Erases the values of tickets.
	 *
	 * @param int[] $ids Ticket ids.
	 * @return int How many changes were erased.
	 */
	public function erase( array $ids ): int {
		$count = 0;
		foreach ( $this->events as $index => $event ) {
			if ( in_array( $event['ticket'], $ids, true ) ) {
				$nothing = array_fill_keys( array_keys( $event['fields'] ), null );

				$this->events[ $index ] = array(
					'fields' => $nothing,
					'was'    => array(),
					'erased' => true,
				) + $event;
				++$count;
			}
		}
		return $count;
	}

	/**
	 * Hands out events; see Client::feed_read().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    The runner's token.
	 * @param array  $args     `limit` and `lease_ms`.
	 * @param int    $now      The time in seconds since 1970.
	 */
	public function read( string $consumer, string $token, array $args, int $now ): array {
		$state = $this->consumers[ $consumer ] ?? array(
			'position'   => count( $this->events ),
			'token'      => '',
			'until'      => 0,
			'delivery'   => 0,
			'letters'    => array(),
			'is_stopped' => false,
		);
		if ( $state['is_stopped'] || ( $state['token'] !== $token && $state['until'] > $now ) ) {
			return array(
				'events' => array(),
				'busy'   => true,
			);
		}
		$state['token'] = $token;
		$state['until'] = $now + intdiv( $args['lease_ms'] ?? 10000, 1000 );
		if ( isset( $this->events[ $state['position'] ] ) && ++$state['delivery'] > self::MOST_DELIVERIES ) {
			$event = $this->events[ $state['position'] ];

			$state['letters'][ $event['number'] ] = self::letter( $event, 'not acknowledged after five deliveries' );
			$state['delivery']                    = 1;
			++$state['position'];
		}
		$this->consumers[ $consumer ] = $state;

		$events = array_slice( $this->events, $state['position'], $args['limit'] ?? 100 );
		foreach ( $events as $index => $event ) {
			$events[ $index ]['delivery'] = 0 === $index ? $state['delivery'] : 1;
		}
		return array(
			'events' => $events,
			'busy'   => false,
		);
	}

	/**
	 * Takes an acknowledgement; see Client::feed_ack().
	 *
	 * @param string $consumer The consumer's name.
	 * @param string $token    The runner's token.
	 * @param array  $args     `cursor`, `refused` and `release`.
	 * @return bool Whether the runner holds the lease.
	 */
	public function ack( string $consumer, string $token, array $args ): bool {
		$state = $this->consumers[ $consumer ] ?? null;
		if ( null === $state || $state['token'] !== $token ) {
			return false;
		}
		if ( isset( $args['cursor'] ) ) {
			$state['position'] = (int) $args['cursor'];
			$state['delivery'] = 0;
		}
		if ( isset( $args['refused'] ) ) {
			$event = $this->events[ $state['position'] - 1 ];

			$state['letters'][ $event['number'] ] = self::letter( $event, $args['refused'] );
		}
		if ( true === ( $args['release'] ?? false ) ) {
			$state['token'] = '';
			$state['until'] = 0;
		}
		$this->consumers[ $consumer ] = $state;
		return true;
	}

	/**
	 * An event that a consumer has refused.
	 *
	 * @param array  $event  The event.
	 * @param string $reason Why.
	 */
	private static function letter( array $event, string $reason ): array {
		$known = array_flip( array( 'kind', 'ticket', 'revision', 'fields', 'at_us' ) );
		return array( 'id' => $event['number'] ) + array_intersect_key( $event, $known ) + array(
			'since_us' => $event['at_us'],
			'tries'    => 1,
			'held'     => false,
			'reason'   => $reason,
			'answer'   => '',
		);
	}

	/**
	 * The letters of a consumer.
	 *
	 * @param string $consumer The consumer's name.
	 * @param int    $after    Only letters behind this id.
	 * @param int    $limit    Most letters.
	 * @return array[]
	 */
	public function letters( string $consumer, int $after, int $limit ): array {
		$letters = $this->consumers[ $consumer ]['letters'] ?? array();
		$behind  = array_filter( $letters, static fn( array $letter ): bool => $letter['id'] > $after );
		return array_slice( array_values( $behind ), 0, $limit );
	}

	/**
	 * Forgets letters of a consumer.
	 *
	 * @param string     $consumer The consumer's name.
	 * @param int[]|null $ids      Letters' ids; null: all.
	 * @return int How many there were.
	 */
	public function forget( string $consumer, ?array $ids ): int {
		$letters = $this->consumers[ $consumer ]['letters'] ?? array();
		$kept    = null === $ids ? array() : array_diff_key( $letters, array_flip( $ids ) );
		if ( isset( $this->consumers[ $consumer ] ) ) {
			$this->consumers[ $consumer ]['letters'] = $kept;
		}
		return count( $letters ) - count( $kept );
	}

	/**
	 * How the feed is; see Client::feed_status().
	 */
	public function status(): array {
		$destinations = array();
		foreach ( $this->consumers as $name => $state ) {
			$destinations[] = array(
				'name'       => (string) $name,
				'kind'       => 'pull',
				'state'      => $state['is_stopped'] ? 'stopped' : 'up',
				'lag_events' => count( $this->events ) - $state['position'],
				'letters'    => count( $state['letters'] ),
				'sent'       => $state['position'],
			);
		}
		return Result::feed(
			array(
				'enabled'      => true,
				'destinations' => $destinations,
				'history'      => array(
					'enabled' => true,
					'rows'    => count( $this->events ),
				),
			)
		);
	}

	/**
	 * Pauses or resumes a consumer.
	 *
	 * @param string $name   The consumer's name.
	 * @param string $action `test`, `pause` or `resume`.
	 * @return bool Whether there is one.
	 */
	public function control( string $name, string $action ): bool {
		if ( ! isset( $this->consumers[ $name ] ) ) {
			return false;
		}
		if ( 'test' !== $action ) {
			$this->consumers[ $name ]['is_stopped'] = 'pause' === $action;
		}
		return true;
	}
}
