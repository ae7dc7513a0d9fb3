<?php
/**
 * The blogs of a network.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Goes through the blogs of a network, or the only blog of a single site.
 */
final class Blogs {

	/**
	 * Calls a function in each blog. Their ids are read by the thousand, as networks may be large.
	 *
	 * @param callable $call Called with each blog as the current one.
	 */
	public static function each( callable $call ): void {
		if ( ! is_multisite() ) {
			$call();
			return;
		}
		for ( $offset = 0; ; $offset += 1000 ) {
			$ids = get_sites(
				array(
					'fields'  => 'ids',
					'number'  => 1000,
					'offset'  => $offset,
					'orderby' => 'id',
				)
			);
			foreach ( $ids as $id ) {
				switch_to_blog( (int) $id );
				$call();
				restore_current_blog();
			}
			if ( count( $ids ) < 1000 ) {
				return;
			}
		}
	}

	/**
	 * Whether the plugin is active in a blog, by itself or for the whole network.
	 *
	 * @param string $file The plugin's main file.
	 * @param int    $id   The blog's id.
	 */
	public static function is_active( string $file, int $id ): bool {
		$plugin = plugin_basename( $file );
		$whole  = (array) get_site_option( 'active_sitewide_plugins', array() );
		return isset( $whole[ $plugin ] ) || in_array(
			$plugin,
			(array) get_blog_option( $id, 'active_plugins' ),
			true
		);
	}
}
