<?php
/**
 * Orders.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Ties tickets to the orders of WooCommerce, if active: customers choose an order of their own in the form, and open
 * the form from an order. A ticket holds the order's number as `order_id`.
 */
final class WooCommerce {

	/** Orders that can be chosen: the latest. */
	private const MOST = 20;

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * Takes the settings.
	 *
	 * @param Settings $settings The settings.
	 */
	public function __construct( Settings $settings ) {
		$this->settings = $settings;
	}

	/**
	 * Adds a link to the form to an order in the customer's list.
	 *
	 * @param array  $actions The order's links by name.
	 * @param object $order   The order.
	 */
	public function add_action( array $actions, $order ): array {
		$address = $this->address( (int) $order->get_id() );
		if ( '' !== $address ) {
			$actions['ticketd'] = array(
				'url'  => $address,
				'name' => __( 'Get help', 'ticketd' ),
			);
		}
		return $actions;
	}

	/**
	 * Shows a link to the form under an order.
	 *
	 * @param object $order The order.
	 */
	public function show_link( $order ): void {
		$address = is_user_logged_in() ? $this->address( (int) $order->get_id() ) : '';
		if ( '' !== $address ) {
			printf(
				'<p><a href="%s">%s</a></p>',
				esc_url( $address ),
				esc_html__( 'Get help with this order', 'ticketd' )
			);
		}
	}

	/**
	 * The current user's latest orders.
	 *
	 * @return string[] Texts by id; empty without WooCommerce.
	 */
	public static function orders(): array {
		if ( ! function_exists( 'wc_get_orders' ) || ! is_user_logged_in() ) {
			return array();
		}
		$orders = wc_get_orders(
			array(
				'customer_id' => get_current_user_id(),
				'limit'       => self::MOST,
				'orderby'     => 'date',
				'order'       => 'DESC',
			)
		);
		$texts  = array();
		foreach ( $orders as $order ) {
			/* translators: %s: number of an order */
			$texts[ (int) $order->get_id() ] = sprintf( __( 'Order %s', 'ticketd' ), $order->get_order_number() );
		}
		return $texts;
	}

	/**
	 * Whether an order is the current user's.
	 *
	 * @param int $id The order's id.
	 */
	public static function is_own_order( int $id ): bool {
		return '' !== self::order_address( $id );
	}

	/**
	 * Where the current user sees one of their orders.
	 *
	 * @param int $id The order's id.
	 * @return string The address; empty where it is not theirs, or without WooCommerce.
	 */
	public static function order_address( int $id ): string {
		$order = $id > 0 && function_exists( 'wc_get_order' ) ? wc_get_order( $id ) : null;
		$user  = get_current_user_id();
		if ( ! is_object( $order ) || 0 === $user || (int) $order->get_customer_id() !== $user ) {
			return '';
		}
		return (string) $order->get_view_order_url();
	}

	/**
	 * Where the form asks about an order.
	 *
	 * @param int $order The order's id.
	 * @return string The address; empty where no page has the form.
	 */
	private function address( int $order ): string {
		$page = $this->settings->form_page();
		$link = $page > 0 ? get_permalink( $page ) : false;
		return false === $link ? '' : add_query_arg( 'order', $order, $link ) . '#ticketd-form';
	}
}
