<?php
/**
 * The dashboard's widget.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Format;
use Ticketd\WordPress\Health;

defined( 'ABSPATH' ) || exit;

/**
 * Shows agents how many tickets each status has, and managers the state of the daemon.
 */
final class Widget {

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The daemon's state.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * Takes the parts.
	 *
	 * @param Api    $api    The daemon's API.
	 * @param Health $health The daemon's state.
	 */
	public function __construct( Api $api, Health $health ) {
		$this->api    = $api;
		$this->health = $health;
	}

	/**
	 * Adds the hook.
	 */
	public function register(): void {
		add_action( 'wp_dashboard_setup', array( $this, 'add' ) );
	}

	/**
	 * Adds the widget for users with the rights to see it.
	 */
	public function add(): void {
		if ( current_user_can( Capabilities::EDIT_TICKETS ) || current_user_can( Capabilities::MANAGE ) ) {
			wp_add_dashboard_widget( 'ticketd', __( 'Support tickets', 'ticketd' ), array( $this, 'render' ) );
		}
	}

	/**
	 * Prints the widget.
	 */
	public function render(): void {
		if ( current_user_can( Capabilities::EDIT_TICKETS ) ) {
			$this->show_tickets();
		}
		if ( current_user_can( Capabilities::MANAGE ) ) {
			$this->show_daemon();
		}
	}

	/**
	 * Prints the numbers of tickets. Pending changes may be missing here.
	 */
	private function show_tickets(): void {
		$counts = $this->api->count_tickets_by( 'status', array( 'fresh' => false ) );
		if ( is_wp_error( $counts ) ) {
			printf( '<p>%s</p>', esc_html( Explain::failure( $counts ) ) );
			return;
		}
		if ( array() === $counts['groups'] ) {
			printf( '<p>%s</p>', esc_html__( 'There are no tickets.', 'ticketd' ) );
			return;
		}
		echo '<ul class="ticketd-counts">';
		foreach ( $counts['groups'] as $group ) {
			$status = (string) $group['value'];
			$label  = Fields::label( Fields::statuses(), $status );
			printf(
				'<li><a href="%1$s"><strong>%2$s</strong> %3$s</a></li>',
				esc_url( Screens::list_url( array( 'status' => $status ) ) ),
				esc_html( number_format_i18n( $group['count'] ) ),
				esc_html( '' === $label ? __( 'None', 'ticketd' ) : $label )
			);
		}
		echo '</ul>';
		if ( isset( $counts['stale'] ) ) {
			printf( '<p>%s</p>', esc_html( Explain::staleness() ) );
		}
	}

	/**
	 * Prints how the daemon is.
	 */
	private function show_daemon(): void {
		$status = $this->health->status();
		if ( is_wp_error( $status ) ) {
			$text = __( 'ticketd does not answer.', 'ticketd' );
		} else {
			/* translators: 1: version, 2: number of tickets, 3: a time, e.g. "5 mins", 4: number of tickets */
			$text = __(
				'ticketd %1$s. Pending tickets: %2$s, lag %3$s. Dead letters: %4$s.',
				'ticketd'
			);
			$text = sprintf(
				$text,
				$status['version'],
				number_format_i18n( $status['dirty'] ),
				Format::duration( $status['oldest_dirty_ms'] ),
				number_format_i18n( $status['dead'] )
			);
		}
		printf(
			'<p class="ticketd-daemon">%s <a href="%s">%s</a></p>',
			esc_html( $text ),
			esc_url( Screens::url( Screens::STATUS ) ),
			esc_html__( 'Status', 'ticketd' )
		);
	}
}
