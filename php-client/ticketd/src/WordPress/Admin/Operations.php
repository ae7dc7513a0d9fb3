<?php
/**
 * The actions of the status screen.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Input;
use Ticketd\WordPress\RestQuery;

defined( 'ABSPATH' ) || exit;

/**
 * Serves `/wp-json/ticketd/v1/operations/status` and `/flush`, for the status screen's script, and the same flush to
 * a form, for browsers without scripts; and `/operations/feed`, for managers' own scripts.
 *
 * A flush waits for the database, longer than a web server may let a request live. So a request ends after a while
 * and reports its progress; the script sends requests until no changes are left, and watches the status meanwhile.
 */
final class Operations {

	/** The form's action, and the action of its nonce. */
	public const FLUSH = 'ticketd_flush';

	/** The same for what is done with a destination of the feed. */
	public const FEED = 'ticketd_feed_control';

	/** How long one request flushes, in milliseconds. */
	private const FLUSH_MS = 20000;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		$this->api = $api;
	}

	/**
	 * Registers the routes.
	 */
	public function register_routes(): void {
		$this->register_feed();
		$routes = array(
			'status' => array( \WP_REST_Server::READABLE, 'status' ),
			'flush'  => array( \WP_REST_Server::CREATABLE, 'flush' ),
		);
		foreach ( $routes as $route => list( $methods, $callback ) ) {
			register_rest_route(
				'ticketd/v1',
				'/operations/' . $route,
				array(
					'methods'             => $methods,
					'callback'            => RestQuery::strict( array( $this, $callback ) ),
					'permission_callback' => array( $this, 'check_permission' ),
				)
			);
		}
	}

	/**
	 * Registers the routes of the feed.
	 */
	private function register_feed(): void {
		$permission = array( $this, 'check_permission' );
		register_rest_route(
			'ticketd/v1',
			'/operations/feed',
			array(
				'methods'             => \WP_REST_Server::READABLE,
				'callback'            => RestQuery::strict( array( $this->api, 'feed_status' ) ),
				'permission_callback' => $permission,
			)
		);
		register_rest_route(
			'ticketd/v1',
			'/operations/feed/(?P<name>[A-Za-z0-9._-]{1,64})/(?P<action>test|pause|resume)',
			array(
				'methods'             => \WP_REST_Server::CREATABLE,
				'callback'            => RestQuery::strict( array( $this, 'control_feed' ) ),
				'permission_callback' => $permission,
			)
		);
	}

	/**
	 * Tries, pauses or resumes a destination of the feed.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array|\WP_Error The name and what was done.
	 */
	public function control_feed( \WP_REST_Request $request ) {
		$done = array(
			'name'   => (string) $request['name'],
			'action' => (string) $request['action'],
		);
		return $this->api->feed_control( $done['name'], $done['action'] ) ?? $done;
	}

	/**
	 * Tries, pauses or resumes a destination of the feed and leads back to the status screen.
	 */
	public function control_feed_and_return(): void {
		if ( ! current_user_can( Capabilities::MANAGE ) ) {
			wp_die( esc_html__( 'Sorry, you are not allowed to manage ticketd.', 'ticketd' ), 403 );
		}
		check_admin_referer( self::FEED );
		$texts  = array(
			'test'   => __( 'A test event is sent.', 'ticketd' ),
			'pause'  => __( 'The destination is paused.', 'ticketd' ),
			'resume' => __( 'The destination gets events again.', 'ticketd' ),
		);
		$action = Input::posted( 'do' );
		if ( isset( $texts[ $action ] ) ) {
			$failed = $this->api->feed_control( Input::posted( 'name' ), $action );
			if ( is_wp_error( $failed ) ) {
				Messages::add( 'error', $failed->get_error_message() );
			} else {
				Messages::add( 'success', $texts[ $action ] );
			}
		}
		wp_safe_redirect( Screens::url( Screens::STATUS ) );
		exit;
	}

	/**
	 * Whether the user may see the status and flush.
	 *
	 * @return true|\WP_Error
	 */
	public function check_permission() {
		if ( current_user_can( Capabilities::MANAGE ) ) {
			return true;
		}
		return new \WP_Error(
			'rest_forbidden',
			__( 'Sorry, you are not allowed to manage ticketd.', 'ticketd' ),
			array( 'status' => rest_authorization_required_code() )
		);
	}

	/**
	 * The daemon's status, with the texts of the screen's table.
	 *
	 * @return array|\WP_Error
	 */
	public function status() {
		$status = ( new Health( $this->api ) )->status();
		return is_wp_error( $status ) ? $status : array(
			'status' => $status,
			'shown'  => StatusTable::values( $status ),
		);
	}

	/**
	 * Flushes for a while.
	 *
	 * @return array|\WP_Error `finished`; where it is, `flushed` and `dead`, otherwise `done` and `total` of what was
	 *         tried.
	 */
	public function flush() {
		$done     = 0;
		$total    = 0;
		$progress = static function ( int $now, int $of ) use ( &$done, &$total ): void {
			$done  = $now;
			$total = $of;
		};
		$result   = $this->api->flush( array(), $progress, self::FLUSH_MS );
		if ( ! is_wp_error( $result ) ) {
			return array( 'finished' => true ) + $result;
		}
		if ( 'ticketd_timeout' === $result->get_error_code() ) {
			return array(
				'finished' => false,
				'done'     => $done,
				'total'    => $total,
			);
		}
		return $result;
	}

	/**
	 * Flushes and leads back to the status screen.
	 */
	public function flush_and_return(): void {
		if ( ! current_user_can( Capabilities::MANAGE ) ) {
			wp_die( esc_html__( 'Sorry, you are not allowed to manage ticketd.', 'ticketd' ), 403 );
		}
		check_admin_referer( self::FLUSH );
		$result = $this->flush();
		if ( is_wp_error( $result ) ) {
			Messages::add( 'error', __( 'Not flushed:', 'ticketd' ) . ' ' . $result->get_error_message() );
		} elseif ( ! $result['finished'] ) {
			/* translators: 1, 2: numbers of tickets */
			$text = __( 'Tickets flushed: %1$s of %2$s. Flush again to continue.', 'ticketd' );
			Messages::add(
				'warning',
				sprintf( $text, number_format_i18n( $result['done'] ), number_format_i18n( $result['total'] ) )
			);
		} else {
			/* translators: %s: number of tickets */
			$text = _n(
				'%s ticket flushed.',
				'%s tickets flushed.',
				$result['flushed'],
				'ticketd'
			);
			Messages::add( 'success', sprintf( $text, number_format_i18n( $result['flushed'] ) ) );
		}
		wp_safe_redirect( Screens::url( Screens::STATUS ) );
		exit;
	}
}
