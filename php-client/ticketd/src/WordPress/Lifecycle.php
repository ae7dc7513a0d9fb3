<?php
/**
 * The end of the plugin, and of a blog.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Flushes pending changes before the plugin is deactivated or a blog is deleted. Where that is not possible,
 * deactivating asks back, and a blog is not deleted.
 */
final class Lifecycle {

	/** Time that one blog's flush has, in milliseconds. */
	private const FLUSH_MS = 5000;

	/** Time from which no further blog is flushed, in seconds: a page must end. */
	private const MAX_SECONDS = 20;

	/** Argument in the address that confirms the deactivation. */
	private const ANYWAY = 'ticketd_anyway';

	/**
	 * The plugin's main file.
	 *
	 * @var string
	 */
	private string $file;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes the parts.
	 *
	 * @param string $file The plugin's main file.
	 * @param Api    $api  The daemon's API.
	 */
	public function __construct( string $file, Api $api ) {
		$this->file = $file;
		$this->api  = $api;
	}

	/**
	 * Flushes, and ends the watchdog.
	 *
	 * @param bool $network_wide Whether the plugin is deactivated for the whole network.
	 */
	public function deactivate( bool $network_wide = false ): void {
		$begin = time();
		$left  = array();
		$flush = function () use ( $begin, &$left ): void {
			$problem = time() - $begin < self::MAX_SECONDS
				? $this->flush()
				: __( 'The time ended before the flush.', 'ticketd' );
			if ( '' !== $problem ) {
				$left[] = is_multisite() ? get_home_url() . ': ' . $problem : $problem;
			}
		};
		is_multisite() && ! $network_wide ? $flush() : Blogs::each( $flush );
		if ( array() !== $left ) {
			$this->warn( $left, $network_wide );
		}
		$end = static function (): void {
			wp_clear_scheduled_hook( Watchdog::HOOK );
			wp_clear_scheduled_hook( Plugin::FEED );
		};
		is_multisite() && ! $network_wide ? $end() : Blogs::each( $end );
	}

	/**
	 * Flushes a blog before its deletion, and refuses the deletion if the flush fails: the changes would be pending
	 * for ever without a table.
	 *
	 * @param \WP_Error $errors Takes what stands against deleting it.
	 * @param \WP_Site  $blog   The blog.
	 */
	public function before_blog_is_deleted( \WP_Error $errors, \WP_Site $blog ): void {
		if ( ! Blogs::is_active( $this->file, (int) $blog->blog_id ) ) {
			return;
		}
		switch_to_blog( (int) $blog->blog_id );
		$problem = $this->flush();
		restore_current_blog();
		if ( '' !== $problem ) {
			/* translators: %s: the reason */
			$text = __( 'The site is not deleted, as changes of its tickets may be pending: %s', 'ticketd' );
			$errors->add( 'ticketd_flush', sprintf( $text, $problem ) );
		}
	}

	/**
	 * Adds a blog's tables to those that go with it.
	 *
	 * @param string[] $tables  Names of tables.
	 * @param int      $blog_id The blog's id.
	 * @return string[]
	 */
	public function add_tables( array $tables, int $blog_id ): array {
		global $wpdb;

		if ( ! Blogs::is_active( $this->file, $blog_id ) ) {
			return $tables;
		}
		// Not the table named by a constant or filter: several blogs may share it.
		$prefix = $wpdb->get_blog_prefix( $blog_id );
		return array_merge( $tables, Table::made_for( $prefix . 'support_tickets' ), Table::made_for_posts( $prefix ) );
	}

	/**
	 * Flushes the current blog.
	 *
	 * @return string Why changes may be pending; empty if no changes are.
	 */
	private function flush(): string {
		$result = $this->api->flush( array(), null, self::FLUSH_MS );
		// A site that the daemon does not know, or does not allow to this user, has no pending changes.
		$harmless = array( 'ticketd_forbidden', 'ticketd_invalid' );
		if ( is_wp_error( $result ) && ! in_array( $result->get_error_code(), $harmless, true ) ) {
			return $result->get_error_message();
		}
		return Meta\Adapter::instance()->end();
	}

	/**
	 * Warns of pending changes. The plugins page deactivates the plugin only after the user confirms: afterwards the
	 * plugin could show no notice any more.
	 *
	 * @param string[] $problems     The trouble.
	 * @param bool     $network_wide Whether the plugin is deactivated for the whole network.
	 */
	private function warn( array $problems, bool $network_wide ): void {
		global $pagenow;

		$text = __(
			'Changes of tickets may still be pending. The daemon flushes them as soon as it can.',
			'ticketd'
		);
		$text = $text . "\n" . implode( "\n", $problems );
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			\WP_CLI::warning( $text );
			return;
		}
		// WordPress has checked the nonce and the capability of its plugins page.
		$is_confirmed = '' !== Input::query( self::ANYWAY );
		if ( ! is_admin() || 'plugins.php' !== $pagenow || $is_confirmed ) {
			return;
		}
		$plugin  = plugin_basename( $this->file );
		$address = add_query_arg(
			array(
				'action'     => 'deactivate',
				'plugin'     => $plugin,
				self::ANYWAY => 1,
			),
			$network_wide ? network_admin_url( 'plugins.php' ) : admin_url( 'plugins.php' )
		);
		wp_die(
			wp_kses_post( wpautop( esc_html( $text ) ) ),
			esc_html__( 'ticketd is still active', 'ticketd' ),
			array(
				'response'  => 503,
				'back_link' => true,
				'link_url'  => esc_url( wp_nonce_url( $address, 'deactivate-plugin_' . $plugin ) ),
				'link_text' => esc_html__( 'Deactivate anyway', 'ticketd' ),
			)
		);
	}
}
