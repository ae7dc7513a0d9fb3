<?php
/**
 * The must-use plugin.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Meta;

defined( 'ABSPATH' ) || exit;

/**
 * Puts the loader among the must-use plugins and removes it. A process of WordPress without it (another server,
 * WP-CLI with --skip-plugins) would read and cache rows without the pending changes.
 */
final class Loader {

	/** Name of the file among the must-use plugins. */
	private const NAME = 'ticketd-meta.php';

	/**
	 * Path of the file.
	 */
	public static function path(): string {
		return WPMU_PLUGIN_DIR . '/' . self::NAME;
	}

	/**
	 * Whether the file is there and is this version's.
	 */
	public static function is_installed(): bool {
		return is_file( self::path() ) && md5_file( self::path() ) === md5_file( self::source() );
	}

	/**
	 * Installs the file.
	 *
	 * @return string Why it could not be installed; empty if it is.
	 */
	public static function install(): string {
		if ( self::is_installed() ) {
			return '';
		}
		if ( wp_mkdir_p( WPMU_PLUGIN_DIR ) && @copy( self::source(), self::path() ) ) {
			return '';
		}
		/* translators: 1: path of a file, 2: path of a file */
		$text = __( 'The file %1$s could not be written. Copy %2$s there.', 'ticketd' );
		return sprintf( $text, self::path(), self::source() );
	}

	/**
	 * Removes the file.
	 */
	public static function remove(): void {
		if ( is_file( self::path() ) ) {
			wp_delete_file( self::path() );
		}
	}

	/**
	 * Path of the file in this plugin.
	 */
	private static function source(): string {
		return dirname( __DIR__, 2 ) . '/meta-loader.php';
	}
}
