<?php
/**
 * The query of an agent's list.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Turns the list's address into a page of tickets and the numbers beside the statuses, in two round trips at most.
 */
final class TicketQuery {

	/** Option of the tickets per page. */
	public const PER_PAGE_OPTION = 'ticketd_tickets_per_page';

	/** Tickets per page unless the agent has chosen. */
	public const PER_PAGE = 50;

	/** Most tickets per page that an agent may choose. */
	public const MAX_PER_PAGE = 200;

	/** Value of the assignee filter for tickets without an assignee. */
	public const NOBODY = 'none';

	/** Most characters that are searched for: as many as never have more bytes than the protocol takes. */
	private const MAX_SEARCH = 64;

	/**
	 * The tickets of the page, as the daemon returns them.
	 *
	 * @var array[]
	 */
	public array $tickets = array();

	/**
	 * Numbers of tickets by status, for every status; null if unknown.
	 *
	 * @var array<string, int>|null
	 */
	public ?array $counts = null;

	/**
	 * Where the page after this one begins; empty: none.
	 *
	 * @var string
	 */
	public string $next = '';

	/**
	 * Whether changes may be missing.
	 *
	 * @var bool
	 */
	public bool $stale = false;

	/**
	 * The reason for a missing list.
	 *
	 * @var \WP_Error|null
	 */
	public ?\WP_Error $error = null;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Asks.
	 *
	 * @param int $per_page Tickets of a page.
	 */
	public function run( int $per_page ): void {
		$search = Input::query( 's' );
		$id     = Input::id( ltrim( $search, '#' ) );
		if ( $id > 0 ) {
			$this->find( $id );
			return;
		}
		$args = array(
			'sort'  => self::sort(),
			'order' => self::order(),
			'limit' => $per_page,
		) + self::position();
		foreach ( self::selections( $search ) as $selection ) {
			$this->read( $args, $selection );
			if ( null === $this->counts || 0 !== array_sum( $this->counts ) ) {
				return;
			}
		}
	}

	/**
	 * The expression to sort by.
	 */
	public static function sort(): string {
		$sort = Input::query( 'orderby' );
		return in_array( $sort, array( 'ticket_id', 'status', 'priority', 'created_at' ), true ) ? $sort : 'updated_at';
	}

	/**
	 * In which order.
	 */
	public static function order(): string {
		return 'asc' === Input::query( 'order' ) ? 'asc' : 'desc';
	}

	/**
	 * Where the earlier pages began: the daemon's cursors, which contain no comma. They are in the parameter that
	 * WordPress leaves out of the links to another sort, for which they have no meaning.
	 *
	 * @return string[] Empty on the first page.
	 */
	public static function trail(): array {
		return array_values( array_filter( explode( ',', Input::query( 'paged' ) ) ) );
	}

	/**
	 * Where this page begins.
	 *
	 * @return array `after`, or nothing.
	 */
	private static function position(): array {
		$trail = self::trail();
		return array() === $trail ? array() : array( 'after' => end( $trail ) );
	}

	/**
	 * Reads a page and the numbers. The list flushes pending changes first; the numbers need not do so again.
	 *
	 * @param array $args      The list's arguments but for the filters.
	 * @param array $selection The filters but for the status, which the numbers are for.
	 */
	private function read( array $args, array $selection ): void {
		$args += $selection;
		if ( '' !== Input::query( 'status' ) ) {
			$args['where']['status'] = Input::query( 'status' );
		}
		$page = $this->api->list_tickets( $args );
		if ( is_wp_error( $page ) ) {
			if ( 'ticketd_unavailable' === $page->get_error_code() ) {
				$page        = $this->api->list_tickets( array( 'fresh' => false ) + $args );
				$this->stale = true;
			}
			$this->take( $page );
			return;
		}
		$this->take( $page );
		$counts = $this->api->count_tickets_by( 'status', array( 'fresh' => false ) + $selection );
		if ( is_wp_error( $counts ) ) {
			return;
		}
		$this->counts = array();
		foreach ( $counts['groups'] as $group ) {
			$this->counts[ (string) $group['value'] ] = $group['count'];
		}
	}

	/**
	 * Takes the daemon's answer to a list.
	 *
	 * @param array|\WP_Error $page The page.
	 */
	private function take( $page ): void {
		if ( is_wp_error( $page ) ) {
			$this->error = $page;
			return;
		}
		$this->tickets = $page['tickets'];
		$this->next    = (string) $page['next'];
		$this->stale   = $this->stale || isset( $page['stale'] );
	}

	/**
	 * Finds one ticket by its id.
	 *
	 * @param int $id The id.
	 */
	private function find( int $id ): void {
		$found = $this->api->get_many( array( $id ) );
		if ( is_wp_error( $found ) ) {
			$this->error = $found;
			return;
		}
		$this->tickets = array_values( array_filter( $found ) );
		$this->stale   = isset( $this->tickets[0]['stale'] );
	}

	/**
	 * The filters without the status.
	 *
	 * A customer that was given by a log-in name or an address is a user with tickets or else a guest. As a user
	 * without tickets is treated like a missing user, the list does not say which log-in names and addresses the site
	 * knows.
	 *
	 * @param string $search The searched text.
	 * @return array[] Selections, of which the first with tickets is meant.
	 */
	private static function selections( string $search ): array {
		$where = array();
		foreach ( array( 'priority', 'category' ) as $field ) {
			if ( '' !== Input::query( $field ) ) {
				$where[ $field ] = Input::query( $field );
			}
		}
		$agent = Input::query( 'assigned_to' );
		if ( self::NOBODY === $agent ) {
			$where['assigned_to'] = array( null, 0 );
		} elseif ( '' !== $agent ) {
			$where['assigned_to'] = Input::id( $agent );
		}
		$customer = Input::query( 'customer' );
		if ( '' === $customer && is_email( $search ) ) {
			list( $customer, $search ) = array( $search, '' );
		}
		$contains   = '' === $search ? array() : array( 'subject' => mb_substr( $search, 0, self::MAX_SEARCH ) );
		$selections = array();
		foreach ( self::customers( $customer ) as list( $is, $has ) ) {
			$selections[] = array_filter(
				array(
					'where'    => $where + $is,
					'contains' => $contains + $has,
				)
			);
		}
		return $selections;
	}

	/**
	 * Conditions of the customer filter.
	 *
	 * @param string $customer The filter: an id, a log-in name, an e-mail address or a guest's name; empty: all.
	 * @return array[] Pairs of what fields must be and what they must contain.
	 */
	private static function customers( string $customer ): array {
		if ( '' === $customer ) {
			return array( array( array(), array() ) );
		}
		$user  = People::find( $customer );
		$known = 0 === $user ? array() : array( array( array( 'customer_id' => $user ), array() ) );
		if ( 0 !== $user && Input::id( ltrim( $customer, '#' ) ) === $user ) {
			return $known;
		}
		$known[] = is_email( $customer )
			? array( array( 'customer_email' => $customer ), array() )
			: array( array(), array( 'customer_name' => mb_substr( $customer, 0, self::MAX_SEARCH ) ) );
		return $known;
	}
}
