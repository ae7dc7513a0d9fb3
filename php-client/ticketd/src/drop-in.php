<?php
/**
 * Functions with the names and signatures of the guide that many support plugins were written after, so that such a
 * plugin uses ticketd without another change: it drops its own definitions and sets the constant TICKETD_DROP_IN to
 * true. Ticketd\WordPress\DropIn says what they do.
 *
 * @package Ticketd
 */

defined( 'ABSPATH' ) || exit;

if ( ! function_exists( 'my_support_plugin_write_ticket_metadata' ) ) {
	/**
	 * Merges fields into a ticket.
	 *
	 * @param int   $ticket_id The ticket's id.
	 * @param array $metadata  Values by field name.
	 * @return bool Whether the daemon has taken them, or the spool while the daemon is unreachable; the reason is in
	 *              PHP's log.
	 */
	function my_support_plugin_write_ticket_metadata( int $ticket_id, array $metadata ): bool {
		return Ticketd\WordPress\DropIn::write( $ticket_id, $metadata );
	}
}

if ( ! function_exists( 'my_support_plugin_update_ticket_metadata_field' ) ) {
	/**
	 * Sets one field of a ticket.
	 *
	 * @param int                        $ticket_id The ticket's id.
	 * @param string                     $field     The field's name.
	 * @param string|int|float|bool|null $value     Its value.
	 * @return bool Whether the daemon has taken it, or the spool while the daemon is unreachable.
	 */
	function my_support_plugin_update_ticket_metadata_field( int $ticket_id, string $field, $value ): bool {
		return Ticketd\WordPress\DropIn::write( $ticket_id, array( $field => $value ) );
	}
}

if ( ! function_exists( 'my_support_plugin_get_ticket_metadata' ) ) {
	/**
	 * Reads the fields of a ticket.
	 *
	 * @param int $ticket_id The ticket's id.
	 * @return array|false Values by field name (texts; times and customer_id as integers), or false where there is no
	 *         such ticket or no answer.
	 */
	function my_support_plugin_get_ticket_metadata( int $ticket_id ) {
		return Ticketd\WordPress\DropIn::read( $ticket_id );
	}
}
