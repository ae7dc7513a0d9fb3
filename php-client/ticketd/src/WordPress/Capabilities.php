<?php
/**
 * The rights of users.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Gives the plugin's capabilities to roles, where WordPress keeps them: role editors show them and may take them away.
 *
 * Each blog gets the capabilities once, at its first request with this version of the map, so that new blogs, and
 * blogs where the plugin was active before, need nothing else.
 */
final class Capabilities {

	/** May see the daemon's state, flush, and decide about dead letters. */
	public const MANAGE = 'ticketd_manage';

	/** May read and change all tickets. */
	public const EDIT_TICKETS = 'ticketd_edit_tickets';

	/** Option that holds the version of the map that the blog's roles were given. */
	public const OPTION = 'ticketd_capabilities';

	/** Version of the map. */
	private const VERSION = 1;

	/**
	 * Adds the hook.
	 */
	public function register(): void {
		add_action( 'init', array( $this, 'grant_once' ), 1 );
	}

	/**
	 * Gives the capabilities to the current blog's roles, unless done before. Most requests only read a single
	 * option, which WordPress has loaded already.
	 */
	public function grant_once(): void {
		if ( (int) get_option( self::OPTION ) >= self::VERSION ) {
			return;
		}
		/**
		 * Filters which roles get the plugin's capabilities. Runs once for each blog.
		 *
		 * @param array<string, string[]> $roles Names of roles by capability.
		 */
		$roles = apply_filters(
			'ticketd_capability_roles',
			array(
				self::MANAGE       => array( 'administrator' ),
				self::EDIT_TICKETS => array( 'administrator', 'editor' ),
			)
		);
		foreach ( array( self::MANAGE, self::EDIT_TICKETS ) as $capability ) {
			foreach ( (array) ( $roles[ $capability ] ?? array() ) as $name ) {
				$role = get_role( (string) $name );
				if ( null !== $role ) {
					$role->add_cap( $capability );
				}
			}
		}
		update_option( self::OPTION, self::VERSION );
	}

	/**
	 * Takes the capabilities from all roles of the current blog.
	 */
	public static function revoke(): void {
		foreach ( wp_roles()->role_objects as $role ) {
			$role->remove_cap( self::MANAGE );
			$role->remove_cap( self::EDIT_TICKETS );
		}
		delete_option( self::OPTION );
	}
}
