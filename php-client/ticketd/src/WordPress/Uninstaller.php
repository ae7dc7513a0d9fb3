<?php
/**
 * What the plugin leaves behind.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Removes from each blog what its setting `keep` does not keep. Pending changes were flushed when the plugin was
 * deactivated.
 */
final class Uninstaller {

	/**
	 * Removes it from the current blog.
	 */
	public static function run(): void {
		global $wpdb;

		$settings = new Settings();
		$keep     = $settings->keep();
		$table    = $settings->table();
		wp_clear_scheduled_hook( Watchdog::HOOK );
		wp_clear_scheduled_hook( Plugin::FEED );
		self::delete_options( '_transient_ticketd_' );
		self::delete_options( '_transient_timeout_ticketd_' );
		if ( 'all' === $keep ) {
			return;
		}
		self::delete_options( 'ticketd_' );
		if ( is_multisite() ) {
			delete_network_option( get_main_network_id(), Meta\Adapter::OPTION );
		}
		Meta\Loader::remove();
		Capabilities::revoke();
		if ( 'nothing' === $keep && Database::is_table_name( $table ) ) {
			$posts = Table::made_for_posts( $wpdb->prefix );
			$users = Table::made_for_users( $wpdb->prefix );
			foreach ( array_merge( Table::made_for( $table ), $posts, $users ) as $name ) {
				Database::rows( "DROP TABLE IF EXISTS `$name`" );
			}
		}
	}

	/**
	 * Deletes options through WordPress, so that its cache forgets them, too.
	 *
	 * @param string $prefix The names' prefix.
	 */
	private static function delete_options( string $prefix ): void {
		global $wpdb;

		$sql  = "SELECT option_name AS `name` FROM `{$wpdb->options}` WHERE option_name LIKE %s";
		$rows = Database::rows( $sql, array( $wpdb->esc_like( $prefix ) . '%' ) );
		foreach ( $rows ?? array() as $row ) {
			delete_option( $row['name'] );
		}
	}
}
