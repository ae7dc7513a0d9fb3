<?php
/**
 * Activation.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Makes the tables that the daemon flushes tickets to, from the same SQL that `ticketd migrate` runs, and does so again
 * where a newer version of the plugin finds an older one's.
 */
final class Installer {

	/** Option that holds why the tables could not be made. */
	public const ERROR_OPTION = 'ticketd_install_error';

	/** Option that holds the version of the plugin that made the tables. */
	public const VERSION_OPTION = 'ticketd_version';

	/**
	 * The plugin's main file.
	 *
	 * @var string
	 */
	private string $file;

	/**
	 * Remembers the plugin's main file.
	 *
	 * @param string $file The path.
	 */
	public function __construct( string $file ) {
		$this->file = $file;
	}

	/**
	 * Makes the tables of this blog, or of every blog of the network.
	 *
	 * @param bool $network_wide Whether the plugin is activated for the whole network.
	 */
	public function activate( bool $network_wide = false ): void {
		if ( ! is_multisite() || ! $network_wide ) {
			$this->install();
			return;
		}
		Blogs::each( array( $this, 'install' ) );
	}

	/**
	 * Upgrades the current blog from an older version of the plugin. Only one process does so at a time; MySQL
	 * releases the lock of a dead process.
	 *
	 * @return bool Whether an upgrade was needed and done.
	 */
	public function upgrade(): bool {
		global $wpdb;

		if ( version_compare( (string) get_option( self::VERSION_OPTION, '0' ), Plugin::VERSION, '>=' ) ) {
			return false;
		}
		$lock = 'ticketd_' . md5( DB_NAME . $wpdb->prefix );
		$got  = Database::rows( 'SELECT GET_LOCK(%s, 0) AS `got`', array( $lock ) );
		if ( '1' !== (string) ( $got[0]['got'] ?? '' ) ) {
			return false;
		}
		// Another process may have upgraded between the check and the lock.
		wp_cache_delete( self::VERSION_OPTION, 'options' );
		wp_cache_delete( 'alloptions', 'options' );
		$is_older = version_compare( (string) get_option( self::VERSION_OPTION, '0' ), Plugin::VERSION, '<' );
		$is_done  = $is_older && true === $this->install();
		Database::rows( 'SELECT RELEASE_LOCK(%s)', array( $lock ) );
		return $is_done;
	}

	/**
	 * Makes the tables of a blog that is new in a network in which the plugin is active.
	 *
	 * @param \WP_Site $blog The blog.
	 */
	public function initialize_blog( \WP_Site $blog ): void {
		if ( Blogs::is_active( $this->file, (int) $blog->blog_id ) ) {
			switch_to_blog( (int) $blog->blog_id );
			$this->install();
			restore_current_blog();
		}
	}

	/**
	 * Shows why the tables could not be made.
	 */
	public function show_error(): void {
		$error = get_option( self::ERROR_OPTION );
		if ( $error && current_user_can( 'activate_plugins' ) ) {
			printf( '<div class="notice notice-error"><p>%s</p></div>', esc_html( $error ) );
		}
	}

	/**
	 * Makes the current blog's tables where they do not exist, and remembers a failure for the next admin page.
	 *
	 * @return true|\WP_Error
	 */
	public function install() {
		$result = $this->create_tables();
		if ( is_wp_error( $result ) ) {
			update_option( self::ERROR_OPTION, $result->get_error_message(), false );
		} else {
			delete_option( self::ERROR_OPTION );
			update_option( self::VERSION_OPTION, Plugin::VERSION );
		}
		/**
		 * Fires when the current blog's tables were made or updated: on activation, in a new blog, and after
		 * an update of the plugin.
		 *
		 * @param true|\WP_Error $result Whether that went well.
		 */
		do_action( 'ticketd_installed', $result );
		return $result;
	}

	/**
	 * Runs the statements of schema.sql. Each statement leaves existing tables alone.
	 *
	 * @return true|\WP_Error
	 */
	private function create_tables() {
		global $wpdb;

		if ( PHP_INT_SIZE < 8 ) {
			$text = __( 'ticketd needs a 64-bit PHP: ticket ids do not fit this one.', 'ticketd' );
			return new \WP_Error( 'ticketd_php', $text );
		}
		$table = ( new Settings() )->table();
		if ( ! Database::is_table_name( $table ) ) {
			/* translators: %s: name of a table */
			$text = __( 'ticketd cannot use "%s" as a table: give up to 60 letters, digits, "_" and "$".', 'ticketd' );
			return new \WP_Error( 'ticketd_table', sprintf( $text, $table ) );
		}
		if ( Table::is_adopted( $table ) ) {
			return true; // Another plugin's table; "ticketd migrate" has made the side table for the daemon.
		}
		if ( Table::is_foreign( $table ) ) {
			/* translators: %s: name of a table */
			$text = __(
				'Another plugin made the table %s. Run "ticketd init" on the server, which says what to do.',
				'ticketd'
			);
			return new \WP_Error( 'ticketd_foreign_table', sprintf( $text, $table ) );
		}
		foreach ( $this->statements( $table ) as $statement ) {
			$suppressed = $wpdb->suppress_errors( true );
			// phpcs:ignore WordPress.DB.PreparedSQL, WordPress.DB.DirectDatabaseQuery -- From a file of the plugin, with a checked name.
			$done = $wpdb->query( $statement );
			$wpdb->suppress_errors( $suppressed );
			if ( false === $done ) {
				/* translators: 1: name of a table, 2: MySQL's error message */
				$text = __( 'ticketd has no table %1$s: %2$s. Put that right and activate ticketd again.', 'ticketd' );
				return new \WP_Error( 'ticketd_schema', sprintf( $text, $table, $wpdb->last_error ) );
			}
		}
		return true;
	}

	/**
	 * The statements of schema.sql for a table.
	 *
	 * @param string $table The table's name.
	 * @return string[]
	 */
	private function statements( string $table ): array {
		global $wpdb;

		// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- A file of the plugin.
		$sql = file_get_contents( dirname( $this->file ) . '/sql/schema.sql' );
		$sql = preg_replace( '/^--.*$/m', '', $sql );
		$sql = strtr(
			$sql,
			array(
				'{table}'           => $table,
				'{key}'             => 'ticket_id',
				'{charset_collate}' => $wpdb->get_charset_collate(),
			)
		);
		return array_filter( array_map( 'trim', preg_split( '/;\s*$/m', $sql ) ) );
	}
}
