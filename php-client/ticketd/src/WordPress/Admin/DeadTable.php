<?php
/**
 * The table of dead letters.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Format;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * A list table of WordPress over the daemon's dead letters, by ticket id.
 */
final class DeadTable extends \WP_List_Table {

	/** The bulk actions. */
	public const RETRY = 'retry';
	public const DROP  = 'drop';

	/** Letters of a page. */
	private const PER_PAGE = 50;

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
	 * Whether there are letters behind this page.
	 *
	 * @var bool
	 */
	private bool $has_more = false;

	/**
	 * Makes the table.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		parent::__construct(
			array(
				'singular' => 'dead letter',
				'plural'   => 'ticketd-dead',
				'ajax'     => false,
			)
		);
		$this->api = $api;
	}

	/**
	 * Asks the daemon for one letter more than the page shows, to know whether there is a next page.
	 */
	public function prepare_items(): void {
		$letters = $this->api->dead_list( Input::id( Input::query( 'after' ) ), self::PER_PAGE + 1 );
		if ( is_wp_error( $letters ) ) {
			$this->error = $letters;
			$letters     = array();
		}
		$this->has_more = count( $letters ) > self::PER_PAGE;
		$this->items    = array_slice( $letters, 0, self::PER_PAGE );
	}

	/**
	 * The columns.
	 */
	public function get_columns(): array {
		return array(
			'cb'     => '<input type="checkbox" />',
			'ticket' => __( 'Ticket', 'ticketd' ),
			'reason' => __( 'Reason of the database', 'ticketd' ),
			'fields' => __( 'Rejected changes', 'ticketd' ),
			'at'     => __( 'Since', 'ticketd' ),
		);
	}

	/**
	 * The bulk actions.
	 */
	protected function get_bulk_actions(): array {
		return array(
			self::RETRY => __( 'Retry', 'ticketd' ),
			self::DROP  => __( 'Drop', 'ticketd' ),
		);
	}

	/**
	 * The text of an empty list.
	 */
	public function no_items(): void {
		esc_html_e( 'There are no dead letters.', 'ticketd' );
	}

	/**
	 * A link to the page behind this one.
	 *
	 * @param string $which `top` or `bottom`.
	 */
	protected function pagination( $which ): void {
		if ( 'bottom' !== $which || ! $this->has_more ) {
			return;
		}
		$last = end( $this->items );
		printf(
			'<div class="tablenav-pages ticketd-pages"><a class="button" href="%s">%s</a></div>',
			esc_url( add_query_arg( 'after', $last['id'], Screens::url( Screens::DEAD ) ) ),
			esc_html__( 'Next page', 'ticketd' )
		);
	}

	/**
	 * The checkbox of a letter.
	 *
	 * @param array $item The letter.
	 */
	protected function column_cb( $item ): void {
		printf(
			'<label class="screen-reader-text" for="letter-%1$d">%2$s</label>'
			. '<input type="checkbox" id="letter-%1$d" name="ids[]" value="%1$d" />',
			(int) $item['id'],
			/* translators: %d: number of a ticket */
			esc_html( sprintf( __( 'Select ticket %d', 'ticketd' ), $item['id'] ) )
		);
	}

	/**
	 * The ticket, and its actions. The actions are buttons of the table's form, because they change data.
	 *
	 * @param array $item The letter.
	 */
	protected function column_ticket( $item ): void {
		printf(
			'<strong><a class="row-title" href="%s">#%d</a></strong>',
			esc_url( Screens::ticket_url( $item['id'] ) ),
			(int) $item['id']
		);
		echo '<div class="row-actions visible">';
		$actions = array(
			self::RETRY => __( 'Retry', 'ticketd' ),
			self::DROP  => __( 'Drop', 'ticketd' ),
		);
		foreach ( $actions as $action => $label ) {
			printf(
				'<button type="submit" class="button-link%1$s" name="%2$s" value="%3$d">%4$s'
				. '<span class="screen-reader-text"> #%3$d</span></button> ',
				self::DROP === $action ? ' button-link-delete' : '',
				esc_attr( $action ),
				(int) $item['id'],
				esc_html( $label )
			);
		}
		echo '</div>';
	}

	/**
	 * Any other cell.
	 *
	 * @param array  $item        The letter.
	 * @param string $column_name The column.
	 */
	protected function column_default( $item, $column_name ): void {
		switch ( $column_name ) {
			case 'reason':
				printf( '%s <span class="description">(%d)</span>', esc_html( $item['reason'] ), (int) $item['code'] );
				return;
			case 'at':
				echo esc_html( Fields::time( gmdate( 'Y-m-d H:i:s', intdiv( $item['at_ms'], 1000 ) ) ) );
				return;
			case 'fields':
				self::show_fields( $item );
				return;
			default: // A column of another plugin.
				echo esc_html( (string) ( $item[ $column_name ] ?? '' ) );
		}
	}

	/**
	 * Prints the rejected changes.
	 *
	 * @param array $letter The letter.
	 */
	private static function show_fields( array $letter ): void {
		if ( $letter['deleted'] ) {
			printf( '<p>%s</p>', esc_html__( 'The deletion of the ticket.', 'ticketd' ) );
		}
		foreach ( $letter['fields'] as $name => $value ) {
			printf( '<div><strong>%s</strong>: ', esc_html( (string) $name ) );
			if ( null === $value ) {
				echo '<em>NULL</em></div>';
			} else {
				// Unlike esc_html(), esc_textarea() also keeps what looks like an entity: customers quote code.
				$text = Format::excerpt( (string) $value );
				printf( '<span class="ticketd-value">%s</span></div>', esc_textarea( $text ) );
			}
		}
	}
}
