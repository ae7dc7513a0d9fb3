<?php
/**
 * The screen of dead letters.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the dead letters, and retries or drops them. A drop loses changes for good, so it asks for confirmation
 * first, on a separate page that needs no script.
 */
final class DeadScreen {

	/** The confirmed drop, and the action of its nonce. */
	private const CONFIRMED = 'ticketd_drop';

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The table.
	 *
	 * @var DeadTable|null
	 */
	private ?DeadTable $table = null;

	/**
	 * Tickets whose changes are to be dropped, not confirmed yet.
	 *
	 * @var int[]
	 */
	private array $asked = array();

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Handles a posted form before the output begins.
	 */
	public function load(): void {
		if ( ! current_user_can( Capabilities::MANAGE ) ) {
			wp_die( esc_html__( 'Sorry, you are not allowed to manage ticketd.', 'ticketd' ), 403 );
		}
		$this->table = new DeadTable( $this->api );
		if ( '' !== Input::posted( self::CONFIRMED ) ) {
			check_admin_referer( self::CONFIRMED );
			$this->finish( $this->api->dead_drop( Input::ids( 'ids' ) ), DeadTable::DROP );
		}
		list( $action, $ids ) = $this->posted_action();
		if ( '' === $action ) {
			return;
		}
		check_admin_referer( 'bulk-ticketd-dead' );
		if ( array() === $ids ) {
			Messages::add( 'warning', __( 'Nothing changed: select dead letters and an action.', 'ticketd' ) );
			wp_safe_redirect( Screens::url( Screens::DEAD ) );
			exit;
		}
		if ( DeadTable::RETRY === $action ) {
			$this->finish( $this->api->dead_retry( $ids ), DeadTable::RETRY );
		}
		$this->asked = $ids;
	}

	/**
	 * The action of a row's button or of the bulk actions.
	 *
	 * @return array{0: string, 1: int[]} Action and tickets; an empty action: nothing.
	 */
	private function posted_action(): array {
		foreach ( array( DeadTable::RETRY, DeadTable::DROP ) as $action ) {
			if ( '' !== Input::posted( $action ) ) {
				return array( $action, array_filter( array( Input::id( Input::posted( $action ) ) ) ) );
			}
		}
		$action = (string) $this->table->current_action();
		return in_array( $action, array( DeadTable::RETRY, DeadTable::DROP ), true )
			? array( $action, Input::ids( 'ids' ) )
			: array( '', array() );
	}

	/**
	 * Leaves a message and leads back to the list.
	 *
	 * @param int|\WP_Error $count  How many letters it was, or why it failed.
	 * @param string        $action The action.
	 */
	private function finish( $count, string $action ): void {
		Alerts::forget();
		if ( is_wp_error( $count ) ) {
			Messages::add( 'error', $count->get_error_message() );
		} elseif ( DeadTable::RETRY === $action ) {
			/* translators: %s: number of tickets */
			$text = _n(
				'%s ticket is pending again. If the database still rejects it, the dead letter comes back.',
				'%s tickets are pending again. Dead letters that the database still rejects come back.',
				$count,
				'ticketd'
			);
			Messages::add( 'success', sprintf( $text, number_format_i18n( $count ) ) );
		} else {
			/* translators: %s: number of tickets */
			$text = _n(
				'The rejected changes of %s ticket are dropped.',
				'The rejected changes of %s tickets are dropped.',
				$count,
				'ticketd'
			);
			Messages::add( 'success', sprintf( $text, number_format_i18n( $count ) ) );
		}
		wp_safe_redirect( Screens::url( Screens::DEAD ) );
		exit;
	}

	/**
	 * Prints the page.
	 */
	public function render(): void {
		echo '<div class="wrap ticketd-screen">';
		printf(
			'<h1 class="wp-heading-inline">%s</h1><hr class="wp-header-end">',
			esc_html__( 'Dead letters', 'ticketd' )
		);
		Messages::show();
		if ( array() === $this->asked ) {
			$this->show_letters();
		} else {
			$this->show_question();
		}
		echo '</div>';
	}

	/**
	 * Prints the list.
	 */
	private function show_letters(): void {
		$this->table->prepare_items();
		if ( null !== $this->table->error ) {
			Messages::notice( 'error', $this->table->error->get_error_message() );
			return;
		}
		printf(
			'<p>%s %s</p>',
			esc_html__( 'Changes that the database rejects. The ticket screens show them.', 'ticketd' ),
			esc_html__( 'Correct the reason and retry, or drop the change.', 'ticketd' )
		);
		printf( '<form method="post" action="%s">', esc_url( Screens::url( Screens::DEAD ) ) );
		$this->table->display();
		echo '</form>';
	}

	/**
	 * Asks for the confirmation of a drop.
	 */
	private function show_question(): void {
		$numbers = implode( ', ', array_map( 'number_format_i18n', $this->asked ) );
		printf( '<form method="post" action="%s">', esc_url( Screens::url( Screens::DEAD ) ) );
		wp_nonce_field( self::CONFIRMED );
		foreach ( $this->asked as $id ) {
			printf( '<input type="hidden" name="ids[]" value="%d" />', (int) $id );
		}
		/* translators: %s: numbers of tickets */
		$text = __( 'Drop the rejected changes of these tickets for good: %s?', 'ticketd' );
		printf( '<p>%s</p>', esc_html( sprintf( $text, $numbers ) ) );
		printf(
			'<p>%s</p>',
			esc_html__(
				'The tickets then have the database\'s values. A ticket without a row in the database is lost.',
				'ticketd'
			)
		);
		printf(
			'<p><button type="submit" class="button button-primary" name="%s" value="1">%s</button> '
			. '<a class="button" href="%s">%s</a></p></form>',
			esc_attr( self::CONFIRMED ),
			esc_html__( 'Drop these changes', 'ticketd' ),
			esc_url( Screens::url( Screens::DEAD ) ),
			esc_html__( 'Keep them', 'ticketd' )
		);
	}
}
