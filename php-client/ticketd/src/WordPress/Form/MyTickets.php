<?php
/**
 * A customer's own tickets.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Admin\Fields;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the logged-in visitors' own tickets, as the shortcode `ticketd_my_tickets` or a block: a list page by page,
 * and a single ticket. `customer_id` names a ticket's customer; other customers' tickets are treated as missing.
 */
final class MyTickets {

	/** Argument of the page: the ticket to show. */
	private const TICKET = 'ticketd_ticket';

	/** Argument of the page: where the page before ended. */
	private const AFTER = 'ticketd_after';

	/** Most tickets of a page. */
	private const MOST = 100;

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
	 * Shows the tickets.
	 *
	 * @param array|string $attributes The shortcode's: `per_page`, 1 to 100.
	 */
	public function render( $attributes ): string {
		$attributes = shortcode_atts( array( 'per_page' => 20 ), (array) $attributes, Blocks::MY_TICKETS );
		wp_enqueue_style( Blocks::STYLE );
		if ( ! defined( 'DONOTCACHEPAGE' ) ) {
			define( 'DONOTCACHEPAGE', true ); // Page caches: it is another page for everybody.
		}
		if ( ! is_user_logged_in() ) {
			return sprintf(
				'<p class="ticketd-my-tickets">%s <a href="%s">%s</a></p>',
				esc_html__( 'Please log in to see your tickets.', 'ticketd' ),
				esc_url( wp_login_url( (string) get_permalink() ) ),
				esc_html__( 'Log in', 'ticketd' )
			);
		}
		$id   = Input::id( Input::query( self::TICKET ) );
		$html = $id > 0
			? $this->one( $id )
			: $this->several( min( self::MOST, max( 1, (int) $attributes['per_page'] ) ) );
		return '<div class="ticketd-my-tickets">' . $html . '</div>';
	}

	/**
	 * Shows a page of tickets.
	 *
	 * @param int $count How many.
	 */
	private function several( int $count ): string {
		$query = array(
			'where' => array( 'customer_id' => get_current_user_id() ),
			'sort'  => 'updated_at',
			'limit' => $count,
		);
		// What is no cursor the daemon refuses.
		$after = Input::query( self::AFTER );
		$page  = $this->api->list_tickets( '' === $after ? $query : $query + array( 'after' => $after ) );
		if ( is_wp_error( $page ) ) {
			return $this->unavailable();
		}
		if ( array() === $page['tickets'] ) {
			return '<p>' . esc_html__( 'There are no tickets.', 'ticketd' ) . '</p>';
		}
		$html  = true === ( $page['stale'] ?? false ) ? self::staleness() : '';
		$html .= '<table><thead><tr>';
		$heads = array(
			__( 'Number', 'ticketd' ),
			__( 'Subject', 'ticketd' ),
			__( 'Status', 'ticketd' ),
			__( 'Last change', 'ticketd' ),
		);
		foreach ( $heads as $head ) {
			$html .= '<th scope="col">' . esc_html( $head ) . '</th>';
		}
		$html .= '</tr></thead><tbody>';
		foreach ( $page['tickets'] as $ticket ) {
			$fields  = $ticket['fields'];
			$subject = trim( (string) ( $fields['subject'] ?? '' ) );
			$cells   = array(
				(string) $ticket['id'],
				sprintf(
					'<a href="%s">%s</a>',
					esc_url( add_query_arg( self::TICKET, $ticket['id'], self::address() ) ),
					Text::escaped( '' === $subject ? __( '(no subject)', 'ticketd' ) : $subject )
				),
				esc_html( Fields::label( Fields::statuses(), $fields['status'] ?? '' ) ),
				esc_html( self::time( $fields['updated_at'] ?? null ) ),
			);
			$html   .= '<tr>';
			foreach ( $cells as $column => $cell ) { // On a narrow screen each cell stands below its column's name.
				$html .= sprintf( '<td data-label="%s">%s</td>', esc_attr( $heads[ $column ] ), $cell );
			}
			$html .= '</tr>';
		}
		$html .= '</tbody></table>';
		if ( null !== $page['next'] ) {
			$address = add_query_arg( self::AFTER, rawurlencode( $page['next'] ), self::address() );
			$html   .= '<p><a rel="next" href="' . esc_url( $address ) . '">' . esc_html__(
				'Older tickets',
				'ticketd'
			) . '</a></p>';
		}
		return $html;
	}

	/**
	 * Shows one ticket.
	 *
	 * @param int $id The ticket's id.
	 */
	private function one( int $id ): string {
		$back   = '<p><a href="' . esc_url( self::address() ) . '">' . esc_html__(
			'All my tickets',
			'ticketd'
		) . '</a></p>';
		$ticket = $this->api->get( $id );
		if ( is_wp_error( $ticket ) && 'ticketd_not_found' !== $ticket->get_error_code() ) {
			return $this->unavailable() . $back;
		}
		$fields = is_wp_error( $ticket ) ? array() : $ticket['fields'];
		if ( (int) ( $fields['customer_id'] ?? 0 ) !== get_current_user_id() ) {
			return '<p>' . esc_html__( 'You have no ticket with this number.', 'ticketd' ) . '</p>' . $back;
		}
		$rows = array(
			array( __( 'Number', 'ticketd' ), (string) $id ),
			array( __( 'Subject', 'ticketd' ), (string) ( $fields['subject'] ?? '' ) ),
			array( __( 'Status', 'ticketd' ), Fields::label( Fields::statuses(), $fields['status'] ?? '' ) ),
			array(
				__( 'Category', 'ticketd' ),
				Fields::label( Fields::categories(), $fields['category'] ?? '' ),
			),
			array( __( 'Opened', 'ticketd' ), self::time( $fields['created_at'] ?? null ) ),
			array( __( 'Last change', 'ticketd' ), self::time( $fields['updated_at'] ?? null ) ),
			array( __( 'Message', 'ticketd' ), (string) ( $fields['message'] ?? '' ) ),
		);
		/**
		 * Filters what a customer sees of one of their tickets.
		 *
		 * @param array[] $rows   Pairs of label and text.
		 * @param array   $ticket The ticket.
		 */
		$rows  = (array) apply_filters( 'ticketd_my_ticket_rows', $rows, $ticket );
		$html  = true === ( $ticket['stale'] ?? false ) ? self::staleness() : '';
		$html .= '<dl>';
		foreach ( $rows as list( $label, $text ) ) {
			if ( '' !== $text ) {
				$html .= '<dt>' . esc_html( $label ) . '</dt>';
				$html .= '<dd class="ticketd-text">' . Text::escaped( $text ) . '</dd>';
			}
		}
		$order = (int) ( $fields['order_id'] ?? 0 );
		$link  = WooCommerce::order_address( $order );
		if ( '' !== $link ) {
			$html .= sprintf(
				'<dt>%s</dt><dd><a href="%s">%d</a></dd>',
				esc_html__( 'Order', 'ticketd' ),
				esc_url( $link ),
				$order
			);
		}
		return $html . '</dl>' . $back;
	}

	/**
	 * The address of the page, without which ticket it shows.
	 */
	private static function address(): string {
		return remove_query_arg( array( self::TICKET, self::AFTER ), (string) get_permalink() );
	}

	/**
	 * A time as this site writes it.
	 *
	 * @param mixed $utc The time in UTC, as the database writes it.
	 */
	private static function time( $utc ): string {
		$format = get_option( 'date_format' ) . ' ' . get_option( 'time_format' );
		return is_string( $utc ) ? (string) get_date_from_gmt( $utc, $format ) : '';
	}

	/**
	 * That the latest changes may be missing.
	 */
	private static function staleness(): string {
		return '<p role="status">' . esc_html__( 'Pending changes may be missing.', 'ticketd' ) . '</p>';
	}

	/**
	 * That there is nothing to be had.
	 */
	private function unavailable(): string {
		return '<p role="alert">' . esc_html__(
			'Your tickets are not available at the moment. Please try again later.',
			'ticketd'
		) . '</p>';
	}
}
