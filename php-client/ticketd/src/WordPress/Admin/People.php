<?php
/**
 * Users, as tickets know them by their ids.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Names agents and customers.
 */
final class People {

	/** Most agents that are offered for assignment. */
	private const MAX_AGENTS = 200;

	/**
	 * The agents.
	 *
	 * @return array<int, string> Names by user id, sorted by name.
	 */
	public static function agents(): array {
		$users = get_users(
			array(
				'capability' => Capabilities::EDIT_TICKETS,
				'fields'     => array( 'ID', 'display_name' ),
				'orderby'    => 'display_name',
				'number'     => self::MAX_AGENTS,
			)
		);
		return wp_list_pluck( $users, 'display_name', 'ID' );
	}

	/**
	 * Loads users in a single query, before their names are asked.
	 *
	 * @param array $ids User ids; invalid ids are passed over.
	 */
	public static function load( array $ids ): void {
		cache_users( array_filter( array_unique( array_map( 'intval', $ids ) ) ) );
	}

	/**
	 * Names a user.
	 *
	 * @param mixed $id The user's id; null or 0: none.
	 */
	public static function name( $id ): string {
		if ( null === $id || 0 === (int) $id ) {
			return __( 'Unassigned', 'ticketd' );
		}
		$user = get_userdata( (int) $id );
		/* translators: %s: id of a user who no longer exists */
		return $user ? $user->display_name : sprintf( __( 'User %s', 'ticketd' ), (string) $id );
	}

	/**
	 * Names a ticket's customer: a user, or the guest who wrote it.
	 *
	 * @param array $fields The ticket's fields.
	 * @return string Empty if the ticket has no customer.
	 */
	public static function customer( array $fields ): string {
		if ( 0 !== (int) ( $fields['customer_id'] ?? 0 ) ) {
			return self::name( $fields['customer_id'] );
		}
		$guest = self::guest( $fields );
		return '' === ( $guest['name'] ?? '' ) ? $guest['email'] ?? '' : $guest['name'];
	}

	/**
	 * The guest who wrote a ticket.
	 *
	 * @param array $fields The ticket's fields.
	 * @return array Empty if its customer is a user, or has neither name nor address; otherwise `name` and `email`, of
	 *               which one may be empty.
	 */
	public static function guest( array $fields ): array {
		$guest = array();
		foreach ( array( 'name', 'email' ) as $part ) {
			$value          = $fields[ 'customer_' . $part ] ?? '';
			$guest[ $part ] = is_scalar( $value ) ? Input::one_line( (string) $value ) : '';
		}
		$is_user = 0 !== (int) ( $fields['customer_id'] ?? 0 );
		return $is_user || array() === array_filter( $guest, 'strlen' ) ? array() : $guest;
	}

	/**
	 * Finds a user.
	 *
	 * @param string $text An id, an e-mail address or a log-in name.
	 * @return int The id; an id is not looked up, as its user may be deleted. 0: no such user.
	 */
	public static function find( string $text ): int {
		$id = Input::id( ltrim( $text, '#' ) );
		if ( $id > 0 ) {
			return $id;
		}
		$user = get_user_by( is_email( $text ) ? 'email' : 'login', $text );
		return $user ? (int) $user->ID : 0;
	}
}
