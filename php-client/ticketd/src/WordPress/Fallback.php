<?php
/**
 * Reads without the daemon.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress;

use Ticketd\Client\InputException;
use Ticketd\Client\LocalException;
use Ticketd\Client\Protocol;
use Ticketd\Client\Request;
use Ticketd\Client\Spool;

defined( 'ABSPATH' ) || exit;

/**
 * Answers reads while the daemon is unreachable: tickets from the database, overlaid by the changes in this host's
 * spool and in this PHP request. Pending changes in the daemon's own store are missing, so every answer says `stale`.
 *
 * Lists and counts come from the database alone, without the spool.
 */
final class Fallback {

	/**
	 * The spool.
	 *
	 * @var Spool
	 */
	private Spool $spool;

	/**
	 * The changes of this PHP request.
	 *
	 * @var OwnChanges
	 */
	private OwnChanges $own;

	/**
	 * The site's name in the daemon's configuration.
	 *
	 * @var string
	 */
	private string $site;

	/**
	 * The name of the site's tickets table.
	 *
	 * @var string
	 */
	private string $table_name;

	/**
	 * The same with the database, as requests in the spool have it.
	 *
	 * @var string
	 */
	private string $full_table;

	/**
	 * Takes the parts.
	 *
	 * @param Spool      $spool    The spool.
	 * @param OwnChanges $own      The changes of this PHP request.
	 * @param Settings   $settings The settings of the current blog.
	 */
	public function __construct( Spool $spool, OwnChanges $own, Settings $settings ) {
		$this->spool      = $spool;
		$this->own        = $own;
		$this->site       = $settings->site();
		$this->table_name = $settings->table();
		$this->full_table = $settings->full_table();
	}

	/**
	 * Reads a ticket.
	 *
	 * @param int $id The ticket's id.
	 * @return array{id: int, revision: int, fields: array, stale: bool}|null Null where only the daemon can tell: the
	 *         database does not answer, or it does not have the ticket, which may be too new for it.
	 * @throws LocalException If the ticket was deleted; the reason is `not_found`.
	 */
	public function get( int $id ): ?array {
		$ticket = $this->read( array( $id ) )[ $id ] ?? null;
		if ( null !== $ticket && $ticket['deleted'] ) {
			throw new LocalException( 'not_found', sprintf( 'There is no ticket %d.', $id ), false );
		}
		return null === $ticket ? null : self::shown( $ticket );
	}

	/**
	 * Reads several tickets.
	 *
	 * @param int[] $ids Ticket ids.
	 * @return array<int, array|null>|null By ticket id what get() returns, or null where there is no such ticket or it
	 *         is too new for the database; null where the database does not answer.
	 */
	public function get_many( array $ids ): ?array {
		$tickets = $this->read( array_map( 'intval', $ids ) );
		foreach ( $tickets ?? array() as $id => $ticket ) {
			$tickets[ $id ] = null === $ticket || $ticket['deleted'] ? null : self::shown( $ticket );
		}
		return $tickets;
	}

	/**
	 * Lists tickets.
	 *
	 * @param array $args The arguments of the client's list_tickets().
	 * @return array{tickets: array[], next: string|null, stale: bool}|null Null where the database does not answer.
	 */
	public function list_tickets( array $args ): ?array {
		$table = Table::describe( $this->table_name );
		$page  = null === $table ? null : ( new Query( $table, $args ) )->page();
		if ( null === $page ) {
			return null;
		}
		list( $rows, $next ) = $page;
		return array(
			'tickets' => array_map( array( self::class, 'shown' ), array_map( array( $table, 'ticket' ), $rows ) ),
			'next'    => $next,
			'stale'   => true,
		);
	}

	/**
	 * Counts tickets.
	 *
	 * @param array $args The arguments of the client's count_tickets().
	 * @return int|null Null where the database does not answer.
	 */
	public function count_tickets( array $args ): ?int {
		$table = Table::describe( $this->table_name );
		return null === $table ? null : ( new Query( $table, $args ) )->count();
	}

	/**
	 * Counts tickets for each value of a field.
	 *
	 * @param string $field The field's name.
	 * @param array  $args  The arguments of the client's count_tickets().
	 * @return array{count: int, groups: array[], stale: bool}|null Null where the database does not answer.
	 */
	public function count_tickets_by( string $field, array $args ): ?array {
		$table  = Table::describe( $this->table_name );
		$groups = null === $table ? null : ( new Query( $table, $args ) )->count_by( $field );
		if ( null === $groups ) {
			return null;
		}
		return array(
			'count'  => array_sum( array_column( $groups, 'count' ) ),
			'groups' => $groups,
			'stale'  => true,
		);
	}

	/**
	 * Reads tickets from the database and the spool.
	 *
	 * @param int[] $ids Ticket ids, at least one.
	 * @return array<int, array|null>|null By ticket id a ticket, or null where neither has it; null where the database
	 *         does not answer.
	 * @throws InputException If there are too many.
	 */
	private function read( array $ids ): ?array {
		if ( count( $ids ) > Protocol::MAX_TICKETS ) {
			throw new InputException( sprintf( 'Ask for at most %d tickets.', Protocol::MAX_TICKETS ), 'ids' );
		}
		$table  = Table::describe( $this->table_name );
		$places = implode( ', ', array_fill( 0, count( $ids ), '%d' ) );
		$rows   = null === $table ? null : Database::rows(
			'SELECT ' . $table->selected() . ' FROM ' . $table->source() . " WHERE `ticket_id` IN ($places)",
			$ids
		);
		if ( null === $rows ) {
			return null;
		}
		$found   = array_column( array_map( array( $table, 'ticket' ), $rows ), null, 'id' );
		$waiting = $this->own->among( $ids, $this->spool->waiting( $ids ) );
		$tickets = array();
		foreach ( $ids as $id ) {
			$tickets[ $id ] = $this->overlaid( $table, $id, $found[ $id ] ?? null, $waiting[ $id ] ?? array() );
		}
		return $tickets;
	}

	/**
	 * Applies spooled changes to a ticket, as the daemon will.
	 *
	 * @param Table      $table   The table.
	 * @param int        $id      The ticket's id.
	 * @param array|null $row     The row's ticket, or null if it has no row.
	 * @param array[]    $waiting Pairs of time and request, in their order.
	 * @return array|null The ticket, or null: none.
	 */
	private function overlaid( Table $table, int $id, ?array $row, array $waiting ): ?array {
		$ticket = $row;
		foreach ( $waiting as list( $time_us, $request ) ) {
			$missed = null === $ticket && true === $request->param( 'must_exist' );
			if ( $missed || ! $request->is_of( $this->site, $this->full_table ) ) {
				continue;
			}
			if ( null !== $row && 'create' === $request->method() ) {
				// The id belongs to another ticket. The daemon gives the new ticket another id, and the later changes
				// belong to that ticket.
				return $ticket;
			}
			$now    = gmdate( 'Y-m-d H:i:s', intdiv( $time_us, 1000000 ) );
			$ticket = $ticket ?? $table->blank( $id, $now );
			if ( 'delete' === $request->method() ) {
				$ticket['deleted'] = true;
			} elseif ( ! $ticket['deleted'] ) { // A change of a deleted ticket is refused.
				$ticket['fields'] = self::changed( $table, $ticket['fields'], $request, $now );
			}
		}
		return $ticket;
	}

	/**
	 * Puts a change over fields.
	 *
	 * @param Table   $table   The table.
	 * @param array   $fields  The fields.
	 * @param Request $request A `create` or `set`.
	 * @param string  $now     Its time in UTC, as the database writes it.
	 * @return array The changed fields.
	 */
	private static function changed( Table $table, array $fields, Request $request, string $now ): array {
		$changes = (array) $request->param( 'fields' );
		if ( $table->has( 'updated_at' ) ) {
			$changes += array( 'updated_at' => $now );
		}
		foreach ( $changes as $name => $value ) {
			$fields[ $name ] = $table->value( (string) $name, $value );
		}
		return $table->arranged( $fields );
	}

	/**
	 * A ticket as it is returned.
	 *
	 * @param array $ticket The ticket.
	 */
	private static function shown( array $ticket ): array {
		unset( $ticket['deleted'] );
		return $ticket + array( 'stale' => true );
	}
}
