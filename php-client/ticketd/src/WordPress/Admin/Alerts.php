<?php
/**
 * Notices for managers.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Checks;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the findings that need an action to managers: on the dashboard, among the plugins and on the plugin's own
 * pages. Only the dashboard and the status screen ask the daemon; other pages show the last findings.
 */
final class Alerts {

	/** Transient of the last findings. */
	private const FOUND = 'ticketd_alerts';

	/**
	 * The checks.
	 *
	 * @var Checks
	 */
	private Checks $checks;

	/**
	 * Takes the checks.
	 *
	 * @param Checks $checks The checks.
	 */
	public function __construct( Checks $checks ) {
		$this->checks = $checks;
	}

	/**
	 * Adds the hook.
	 */
	public function register(): void {
		add_action( 'admin_notices', array( $this, 'show' ) );
	}

	/**
	 * Forgets the last findings after an action.
	 */
	public static function forget(): void {
		delete_transient( self::FOUND );
	}

	/**
	 * Shows the notices.
	 */
	public function show(): void {
		$screen = get_current_screen();
		if ( null === $screen || ! current_user_can( Capabilities::MANAGE ) ) {
			return;
		}
		// The page of dead letters shows the letters itself.
		$is_own    = (bool) preg_match( '/_page_ticketd(-status)?$/D', $screen->id );
		$is_status = $is_own && '-status' === substr( $screen->id, -7 );
		if ( ! $is_own && ! in_array( $screen->id, array( 'dashboard', 'plugins' ), true ) ) {
			return;
		}
		if ( $is_status || 'dashboard' === $screen->id ) {
			$alerts = $this->checks->alerts();
			set_transient( self::FOUND, $alerts, 5 * MINUTE_IN_SECONDS );
		} else {
			$alerts = get_transient( self::FOUND );
		}
		$url = $is_status ? '' : Screens::url( Screens::STATUS );
		foreach ( is_array( $alerts ) ? $alerts : array() as list( $kind, $text ) ) {
			Messages::notice( $kind, $text, $url, __( 'See the status of ticketd.', 'ticketd' ) );
		}
	}
}
