<?php
/**
 * The list of tickets and the ticket.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * A page of the menu: the list, or the ticket whose id is in the address.
 */
final class TicketScreens {

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The list's query.
	 *
	 * @var TicketQuery
	 */
	private TicketQuery $query;

	/**
	 * The list's table; null on a ticket's page.
	 *
	 * @var TicketTable|null
	 */
	private ?TicketTable $table = null;

	/**
	 * The ticket's form; null on the list's page.
	 *
	 * @var TicketForm|null
	 */
	private ?TicketForm $form = null;

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api   = $api;
		$this->query = new TicketQuery( $api );
	}

	/**
	 * Handles a posted form before the output begins.
	 */
	public function load(): void {
		if ( ! current_user_can( Capabilities::EDIT_TICKETS ) ) {
			wp_die( esc_html__( 'Sorry, you are not allowed to work on tickets.', 'ticketd' ), 403 );
		}
		if ( '' !== Input::query( 'ticket' ) ) {
			$this->form = new TicketForm( $this->api, Input::id( Input::query( 'ticket' ) ) );
			$this->form->load();
			return;
		}
		$this->table = new TicketTable( $this->query );
		add_screen_option(
			'per_page',
			array(
				'label'   => __( 'Tickets per page', 'ticketd' ),
				'default' => TicketQuery::PER_PAGE,
				'option'  => TicketQuery::PER_PAGE_OPTION,
			)
		);
		$action = (string) $this->table->current_action();
		if ( '' !== $action ) {
			check_admin_referer( 'bulk-tickets' );
			$this->change( $action, Input::ids( 'ids' ) );
			$query = TicketTable::filters() + array_filter(
				array(
					'status' => Input::query( 'status' ),
					'paged'  => Input::query( 'paged' ),
				),
				'strlen'
			);
			wp_safe_redirect( Screens::list_url( $query ) );
			exit;
		}
	}

	/**
	 * Prints the page.
	 */
	public function render(): void {
		if ( null !== $this->form ) {
			$this->form->render();
			return;
		}
		$this->table->prepare_items();
		echo '<div class="wrap">';
		printf( '<h1 class="wp-heading-inline">%s</h1>', esc_html__( 'Tickets', 'ticketd' ) );
		if ( '' !== Input::query( 's' ) ) {
			/* translators: %s: the searched text */
			$text = sprintf( __( 'Search results for: %s', 'ticketd' ), Input::query( 's' ) );
			printf( ' <span class="subtitle">%s</span>', esc_html( $text ) );
		}
		echo '<hr class="wp-header-end">';
		Messages::show();
		$this->show_state();
		$this->table->views();
		$this->show_filters();
		printf( '<form method="post" action="%s">', esc_url( remove_query_arg( 'action' ) ) );
		$this->table->display();
		echo '</form></div>';
	}

	/**
	 * Warns of an incomplete list.
	 */
	private function show_state(): void {
		$error = $this->query->error;
		if ( null !== $error ) {
			Messages::notice( 'error', Explain::failure( $error ) );
		} elseif ( $this->query->stale ) {
			Messages::notice( 'warning', Explain::staleness() );
		}
	}

	/**
	 * Prints search and filters, a separate form that changes nothing, so that its address can be shared.
	 */
	private function show_filters(): void {
		echo '<form method="get" class="ticketd-filters" role="search">';
		printf( '<input type="hidden" name="page" value="%s" />', esc_attr( Screens::TICKETS ) );
		foreach ( array( 'status', 'orderby', 'order' ) as $name ) {
			if ( '' !== Input::query( $name ) ) {
				printf(
					'<input type="hidden" name="%s" value="%s" />',
					esc_attr( $name ),
					esc_attr( Input::query( $name ) )
				);
			}
		}
		$agents = array( TicketQuery::NOBODY => __( 'Unassigned', 'ticketd' ) ) + People::agents();
		self::select( 'assigned_to', __( 'Assignee', 'ticketd' ), __( 'All assignees', 'ticketd' ), $agents );
		self::select(
			'priority',
			__( 'Priority', 'ticketd' ),
			__( 'All priorities', 'ticketd' ),
			Fields::priorities()
		);
		self::input( 'category', __( 'Category', 'ticketd' ), 'text' );
		self::input( 'customer', __( 'Customer', 'ticketd' ), 'text' );
		self::input( 's', __( 'Subject or #number', 'ticketd' ), 'search' );
		printf( '<input type="submit" class="button" value="%s" />', esc_attr__( 'Filter', 'ticketd' ) );
		if ( array() !== array_diff_key( TicketTable::filters(), array_flip( array( 'orderby', 'order' ) ) ) ) {
			printf( ' <a href="%s">%s</a>', esc_url( Screens::list_url() ), esc_html__( 'Show all', 'ticketd' ) );
		}
		echo '</form>';
	}

	/**
	 * Prints a filter to choose from.
	 *
	 * @param string $name    Its parameter.
	 * @param string $label   The label.
	 * @param string $any     What no filter is called.
	 * @param array  $choices Labels by value.
	 */
	private static function select( string $name, string $label, string $any, array $choices ): void {
		$current = Input::query( $name );
		if ( '' !== $current && ! isset( $choices[ $current ] ) ) {
			$choices[ $current ] = $current;
		}
		// The name of the empty choice says what the filter is; the label is for screen readers.
		printf(
			'<label class="screen-reader-text" for="ticketd-%1$s">%2$s</label>',
			esc_attr( $name ),
			esc_html( $label )
		);
		printf(
			'<select id="ticketd-%1$s" name="%1$s"><option value="">%2$s</option>',
			esc_attr( $name ),
			esc_html( $any )
		);
		foreach ( $choices as $value => $text ) {
			printf(
				'<option value="%1$s"%2$s>%3$s</option>',
				esc_attr( (string) $value ),
				selected( (string) $value, $current, false ),
				esc_html( $text )
			);
		}
		echo '</select>';
	}

	/**
	 * Prints a filter to type in.
	 *
	 * @param string $name  Its parameter.
	 * @param string $label The label.
	 * @param string $type  `text` or `search`.
	 */
	private static function input( string $name, string $label, string $type ): void {
		$categories = 'category' === $name ? Fields::categories() : array();
		printf(
			'<label for="ticketd-%1$s">%2$s</label>'
			. '<input type="%3$s" id="ticketd-%1$s" name="%1$s" value="%4$s"%5$s />',
			esc_attr( $name ),
			esc_html( $label ),
			esc_attr( $type ),
			esc_attr( Input::query( $name ) ),
			array() === $categories ? '' : ' list="ticketd-categories"'
		);
		if ( array() !== $categories ) {
			Control::suggestions( 'ticketd-categories', $categories );
		}
	}

	/**
	 * Changes several tickets in a single request to the daemon.
	 *
	 * @param string $action The bulk action.
	 * @param int[]  $ids    The tickets.
	 */
	private function change( string $action, array $ids ): void {
		$fields = array();
		if ( TicketTable::TAKE === $action ) {
			$fields['assigned_to'] = get_current_user_id();
		} elseif ( 0 === strncmp( $action, TicketTable::STATUS, strlen( TicketTable::STATUS ) ) ) {
			$fields['status'] = substr( $action, strlen( TicketTable::STATUS ) );
		}
		if ( array() === $ids || array() === $fields ) {
			Messages::add( 'warning', __( 'Nothing was changed: select tickets and an action.', 'ticketd' ) );
			return;
		}
		$outcomes = $this->api->set_many( array_fill_keys( $ids, $fields ) );
		if ( is_wp_error( $outcomes ) ) {
			Messages::add( 'error', Explain::failure( $outcomes ) );
			return;
		}
		$refused = array_filter( $outcomes, 'is_wp_error' );
		$changed = count( $outcomes ) - count( $refused );
		if ( $changed > 0 ) {
			/* translators: %s: number of tickets */
			$text = _n( '%s ticket changed.', '%s tickets changed.', $changed, 'ticketd' );
			Messages::add( 'success', sprintf( $text, number_format_i18n( $changed ) ) );
		}
		foreach ( $refused as $id => $error ) {
			/* translators: 1: number of a ticket, 2: why it was not changed */
			Messages::add( 'error', sprintf( __( 'Ticket %1$d: %2$s', 'ticketd' ), $id, Explain::failure( $error ) ) );
		}
	}
}
