<?php
/**
 * What whoever opens a ticket may say of it.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\WordPress\Form\WooCommerce;

defined( 'ABSPATH' ) || exit;

/**
 * Limits the fields of a new ticket of a user who may open tickets, but not edit them: to those of the form. A site
 * permits such users with the filters `ticketd_permission` and `ticketd_rest_permission`.
 */
final class Opening {

	/** The fields that the form has for everyone. */
	private const FIELDS = array( 'subject', 'message', 'category', 'order_id' );

	/** The fields that the form has for guests. */
	private const GUEST = array( 'customer_name', 'customer_email' );

	/**
	 * The fields of a new ticket that the current user does not decide.
	 *
	 * @return array Values by field name.
	 */
	public static function given(): array {
		$given = array( 'status' => 'open' );
		return is_user_logged_in() ? $given + array( 'customer_id' => get_current_user_id() ) : $given;
	}

	/**
	 * The fields of a new ticket.
	 *
	 * @param array $fields Values by field name, from the current user.
	 * @return array|\WP_Error The fields, or the first that the user may not set.
	 */
	public static function fields( array $fields ) {
		if ( current_user_can( Capabilities::EDIT_TICKETS ) ) {
			return $fields;
		}
		$given = self::given();
		$own   = array_merge( self::FIELDS, is_user_logged_in() ? array() : self::GUEST );
		/**
		 * Filters which fields of a new ticket a user may set who may open tickets, but not edit them.
		 *
		 * @param string[] $own Names of fields.
		 */
		$own = (array) apply_filters( 'ticketd_opening_fields', $own );
		foreach ( $fields as $name => $value ) {
			$is_given = array_key_exists( $name, $given ) && (string) $value === (string) $given[ $name ];
			$is_own   = in_array( $name, $own, true );
			if ( 'order_id' === $name && $is_own ) {
				$is_own = WooCommerce::is_own_order( Input::id( $value ) );
			}
			if ( ! $is_given && ! $is_own ) {
				/* translators: %s: name of a field */
				$text = sprintf( __( 'Sorry, you are not allowed to set %s.', 'ticketd' ), $name );
				return new \WP_Error(
					'ticketd_forbidden',
					$text,
					array(
						'status' => 403,
						'field'  => (string) $name,
					)
				);
			}
		}
		return $fields + $given;
	}
}
