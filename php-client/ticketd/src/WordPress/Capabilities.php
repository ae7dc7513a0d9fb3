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
 * A role of the plugin's own is for people who only work on tickets.
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

	/** The role of people who work on tickets, and on nothing else of the site. */
	public const ROLE = 'ticketd_agent';

	/** Version of the map: 1 has the capabilities, 2 the role. */
	private const VERSION = 2;

	/**
	 * Adds the hook.
	 */
	public function register(): void {
		add_action( 'init', array( $this, 'grant_once' ), 1 );
		add_filter( 'login_redirect', array( $this, 'after_login' ), 10, 3 );
	}

	/**
	 * Leads agents to the tickets after they have logged in. WordPress leads users who edit no posts to their profile.
	 *
	 * @param string             $address   Where they are led.
	 * @param string             $requested Where they asked to be led.
	 * @param \WP_User|\WP_Error $user      Who has logged in.
	 */
	public function after_login( $address, $requested, $user ): string {
		$is_user  = $user instanceof \WP_User;
		$is_agent = $is_user && $user->has_cap( self::EDIT_TICKETS ) && ! $user->has_cap( 'edit_posts' );
		return $is_agent && in_array( $requested, array( '', admin_url() ), true )
			? Admin\Screens::list_url()
			: (string) $address;
	}

	/**
	 * Gives the capabilities to the current blog's roles, unless done before. Most requests only read a single
	 * option, which WordPress has loaded already.
	 */
	public function grant_once(): void {
		$done = (int) get_option( self::OPTION );
		if ( $done >= self::VERSION ) {
			return;
		}
		if ( $done < 1 ) {
			self::grant();
		}
		$capabilities = array(
			'read'                 => true,
			self::EDIT_TICKETS     => true,
			'view_admin_dashboard' => true, // WooCommerce keeps others who edit no posts out of wp-admin.
		);
		add_role( self::ROLE, __( 'Support agent', 'ticketd' ), $capabilities );
		update_option( self::OPTION, self::VERSION );
	}

	/**
	 * Gives the capabilities to the current blog's roles.
	 */
	private static function grant(): void {
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
	}

	/**
	 * Takes the capabilities from all roles of the current blog, and removes the plugin's role.
	 */
	public static function revoke(): void {
		remove_role( self::ROLE );
		foreach ( wp_roles()->role_objects as $role ) {
			$role->remove_cap( self::MANAGE );
			$role->remove_cap( self::EDIT_TICKETS );
		}
		delete_option( self::OPTION );
	}
}
