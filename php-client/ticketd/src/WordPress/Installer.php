<?php
/**
 * Activation.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Makes the tables that the daemon brings tickets to, from the same SQL that `ticketd migrate` runs.
 */
final class Installer {

	/** Option that holds why the tables could not be made. */
	public const ERROR_OPTION = 'ticketd_install_error';

	/**
	 * The plugin's main file.
	 *
	 * @var string
	 */
	private string $file;

	/**
	 * Remembers the plugin's main file.
	 *
	 * @param string $file Its path.
	 */
	public function __construct( string $file ) {
		$this->file = $file;
	}

	/**
	 * Adds the hooks.
	 */
	public function register(): void {
		register_activation_hook( $this->file, array( $this, 'activate' ) );
		add_action( 'admin_notices', array( $this, 'show_error' ) );
		add_action( 'network_admin_notices', array( $this, 'show_error' ) );
		// Later than WordPress itself, which makes the new blog's own tables at 10.
		add_action( 'wp_initialize_site', array( $this, 'initialize_blog' ), 20 );
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
		$blogs = get_sites(
			array(
				'fields' => 'ids',
				'number' => 0,
			)
		);
		foreach ( $blogs as $blog_id ) {
			switch_to_blog( (int) $blog_id );
			$this->install();
			restore_current_blog();
		}
	}

	/**
	 * Makes the tables of a blog that is new in a network in which the plugin is active.
	 *
	 * @param \WP_Site $blog The blog.
	 */
	public function initialize_blog( \WP_Site $blog ): void {
		$active = (array) get_site_option( 'active_sitewide_plugins', array() );
		if ( isset( $active[ plugin_basename( $this->file ) ] ) ) {
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
		}
		return $result;
	}

	/**
	 * Runs the statements of schema.sql. Each of them leaves alone what is there already.
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
		foreach ( $this->statements( $table ) as $statement ) {
			$suppressed = $wpdb->suppress_errors( true );
			// The statement comes from a file of the plugin; the table's name was checked above.
			$done = $wpdb->query( $statement ); // phpcs:ignore WordPress.DB
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
