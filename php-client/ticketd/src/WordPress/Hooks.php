<?php
/**
 * What other plugins may do about changes.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Calls the filters before a change and the actions after it, for every way of a change: a function, REST, WP-CLI, a
 * form. An action fires when a change is accepted, also when it is spooled (its revision is then 0).
 */
final class Hooks {

	/**
	 * Asks what is to be stored.
	 *
	 * @param array  $fields Values by field name.
	 * @param string $action `create` or `update`.
	 * @param int    $id     The ticket's id; 0: not known yet.
	 * @return array|\WP_Error The fields, or why they are refused.
	 */
	public static function fields( array $fields, string $action, int $id = 0 ) {
		/**
		 * Filters the fields of a change before it is sent.
		 *
		 * @param array  $fields Values by field name.
		 * @param string $action `create` or `update`.
		 * @param int    $id     The ticket's id; 0: not known yet.
		 */
		$filtered = apply_filters( 'ticketd_ticket_fields', $fields, $action, $id );
		if ( is_array( $filtered ) ) {
			return $filtered;
		}
		$refusal = is_wp_error( $filtered )
			? $filtered
			: new \WP_Error( 'ticketd_refused', __( 'A plugin of this site rejects the change.', 'ticketd' ) );

		$data = array(
			'status'     => 400,
			'field'      => '',
			'retryable'  => false,
			'ambiguous'  => false,
			'request_id' => '',
		);
		$refusal->add_data( array_merge( $data, (array) $refusal->get_error_data() ) );
		return $refusal;
	}

	/**
	 * Tells of a new ticket.
	 *
	 * @param int   $id       The ticket's id.
	 * @param array $fields   The values by field name.
	 * @param int   $revision The revision; 0: not known yet.
	 */
	public static function created( int $id, array $fields, int $revision ): void {
		/**
		 * Fires when a ticket was made.
		 *
		 * @param int   $id       The ticket's id.
		 * @param array $fields   The values by field name.
		 * @param int   $revision The revision; 0: not known yet, the change is spooled.
		 */
		do_action( 'ticketd_ticket_created', $id, $fields, $revision );
	}

	/**
	 * Tells of a change.
	 *
	 * @param int   $id       The ticket's id.
	 * @param array $fields   The values that were set, by field name.
	 * @param int   $revision The new revision; 0: not known yet.
	 */
	public static function updated( int $id, array $fields, int $revision ): void {
		/**
		 * Fires when fields were set, on a new or an existing ticket.
		 *
		 * @param int   $id       The ticket's id.
		 * @param array $fields   The values that were set, by field name.
		 * @param int   $revision The new revision; 0: not known yet, the change is spooled.
		 */
		do_action( 'ticketd_ticket_updated', $id, $fields, $revision );
	}

	/**
	 * Whether a plugin listens to changes with their old values, which take a look-up before the change.
	 */
	public static function needs_old(): bool {
		return false !== has_action( 'ticketd_ticket_changed' );
	}

	/**
	 * Tells of a change with the old values.
	 *
	 * @param int        $id       The ticket's id.
	 * @param array      $fields   The values that were set, by field name.
	 * @param array|null $ticket   The ticket before the change; null: there was none, or it could not be read.
	 * @param int        $revision The new revision; 0: not known yet.
	 */
	public static function changed( int $id, array $fields, ?array $ticket, int $revision ): void {
		$old = null === $ticket ? null : array_merge(
			array_fill_keys( array_keys( $fields ), null ),
			array_intersect_key( $ticket['fields'], $fields )
		);
		/**
		 * Fires when fields were set, after `ticketd_ticket_updated`. The plugin reads the ticket before each change
		 * while somebody listens to this action. Another process may change the ticket between the two.
		 *
		 * @param int        $id       The ticket's id.
		 * @param array      $fields   The values that were set, by field name.
		 * @param array|null $old      The values of the same fields before; null: there was no such ticket, or it could
		 *                             not be read.
		 * @param int        $revision The new revision; 0: not known yet, the change is spooled.
		 */
		do_action( 'ticketd_ticket_changed', $id, $fields, $old, $revision );
	}

	/**
	 * Tells of a deletion.
	 *
	 * @param int $id       The ticket's id.
	 * @param int $revision The last revision; 0: not known yet.
	 */
	public static function deleted( int $id, int $revision ): void {
		/**
		 * Fires when a ticket was deleted.
		 *
		 * @param int $id       The ticket's id.
		 * @param int $revision The last revision; 0: not known yet, the change is spooled.
		 */
		do_action( 'ticketd_ticket_deleted', $id, $revision );
	}

	/**
	 * Whether the current user may do something with a ticket.
	 *
	 * @param string $action  `read`, `create`, `update` or `delete`.
	 * @param array  $context What is known: `id`, `ticket`, `request`.
	 */
	public static function is_permitted( string $action, array $context = array() ): bool {
		$allowed = current_user_can( 'ticketd_edit_tickets' );
		/**
		 * Filters the users' rights on tickets, over REST and through the Abilities API.
		 *
		 * @param bool   $allowed Whether it is allowed.
		 * @param string $action  `read`, `create`, `update` or `delete`.
		 * @param array  $context What is known of it: `id` of the ticket, `request` of REST.
		 */
		return true === apply_filters( 'ticketd_permission', $allowed, $action, $context );
	}
}
