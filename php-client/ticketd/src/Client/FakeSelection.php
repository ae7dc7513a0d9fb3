<?php
/**
 * What a list of the fake client finds.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Selects and sorts tickets in memory as the daemon does in MySQL, as far as that is possible without a table: numbers
 * are compared as numbers, everything else as text without regard to case.
 */
final class FakeSelection {

	/**
	 * The arguments.
	 *
	 * @var array
	 */
	private array $args;

	/**
	 * Takes the arguments.
	 *
	 * @param array $args    What Client::list_tickets() takes, or a count.
	 * @param bool  $is_page Whether a page is asked for.
	 * @throws InputException If the daemon would refuse an argument, whatever the table.
	 */
	public function __construct( array $args, bool $is_page = false ) {
		$this->args = Request::query( $args );
		Door::check_selection( $this->args, $is_page );
	}

	/**
	 * The tickets of the selection, in its order.
	 *
	 * @param array[] $tickets Tickets, each with `id`, `revision`, `fields` and `deleted`.
	 * @return array[] A list.
	 */
	public function sorted( array $tickets ): array {
		$found = array_values( array_filter( $tickets, array( $this, 'has' ) ) );
		$sort  = $this->args['sort'] ?? Protocol::SORTS[0];
		$sign  = 'asc' === ( $this->args['order'] ?? 'desc' ) ? 1 : -1;
		usort(
			$found,
			static function ( array $a, array $b ) use ( $sort, $sign ): int {
				$order = self::compare( self::value( $a, $sort ), self::value( $b, $sort ) );
				return $sign * ( 0 === $order ? $a['id'] <=> $b['id'] : $order );
			}
		);
		return $found;
	}

	/**
	 * Whether a ticket belongs to the selection.
	 *
	 * @param array $ticket The ticket.
	 */
	private function has( array $ticket ): bool {
		if ( $ticket['deleted'] && true !== ( $this->args['deleted'] ?? false ) ) {
			return false;
		}
		foreach ( $this->args['where'] ?? array() as $field => $filter ) {
			$value = self::value( $ticket, (string) $field );
			foreach ( Request::is_comparison( $filter ) ? $filter : array( '=' => $filter ) as $operator => $others ) {
				if ( ! self::holds( $value, $operator, is_array( $others ) ? $others : array( $others ) ) ) {
					return false;
				}
			}
		}
		foreach ( $this->args['contains'] ?? array() as $field => $text ) {
			$value = (string) self::value( $ticket, (string) $field );
			if ( false === mb_stripos( $value, (string) $text, 0, 'UTF-8' ) ) {
				return false;
			}
		}
		return $this->is_in_period( $ticket, 'created_at' ) && $this->is_in_period( $ticket, 'updated_at' );
	}

	/**
	 * Whether a ticket's time is in the period that was asked for.
	 *
	 * @param array  $ticket The ticket.
	 * @param string $field  The time's field.
	 */
	private function is_in_period( array $ticket, string $field ): bool {
		$time = self::value( $ticket, $field );
		$ends = array(
			'from'   => '>=',
			'before' => '<',
		);
		foreach ( $ends as $end => $operator ) {
			$limit = $this->args[ $field ][ $end ] ?? null;
			if ( null !== $limit && ! self::holds( $time, $operator, array( $limit ) ) ) {
				return false;
			}
		}
		return true;
	}

	/**
	 * A value of a ticket that can be compared.
	 *
	 * @param array  $ticket The ticket.
	 * @param string $name   A field's name, `ticket_id` or `revision`.
	 * @return mixed
	 */
	private static function value( array $ticket, string $name ) {
		if ( 'ticket_id' === $name || 'revision' === $name ) {
			return $ticket[ 'ticket_id' === $name ? 'id' : $name ];
		}
		return $ticket['fields'][ $name ] ?? null;
	}

	/**
	 * Whether a comparison holds. NULL is neither above nor below a value.
	 *
	 * @param mixed  $value    The ticket's value.
	 * @param string $operator One of Protocol::OPERATORS.
	 * @param array  $others   What it is compared with.
	 */
	private static function holds( $value, string $operator, array $others ): bool {
		$equal = array_filter( $others, static fn( $other ): bool => 0 === self::compare( $value, $other ) );
		if ( in_array( $operator, Protocol::LIST_OPERATORS, true ) ) {
			return '=' === $operator ? array() !== $equal : array() === $equal;
		}
		if ( null === $value || array() === $others || null === reset( $others ) ) {
			return false;
		}
		$order = self::compare( $value, reset( $others ) );
		return ( 0 === $order && 2 === strlen( $operator ) ) || ( '<' === $operator[0] ? $order < 0 : $order > 0 );
	}

	/**
	 * The order of two values; NULL is lower than every value.
	 *
	 * @param mixed $a A value.
	 * @param mixed $b Another value.
	 */
	private static function compare( $a, $b ): int {
		if ( null === $a || null === $b ) {
			return ( null === $a ? 0 : 1 ) <=> ( null === $b ? 0 : 1 );
		}
		return is_numeric( $a ) && is_numeric( $b )
			? $a <=> $b
			: mb_strtolower( (string) $a, 'UTF-8' ) <=> mb_strtolower( (string) $b, 'UTF-8' );
	}
}
