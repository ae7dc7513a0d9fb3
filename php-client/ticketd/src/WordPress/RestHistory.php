<?php
/**
 * The REST route of a ticket's history.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Serves `/wp-json/ticketd/v1/tickets/812/history`: who changed what, the newest change first. Who may read the ticket
 * may read it.
 */
final class RestHistory {

	/** Changes of a page, and most of them. */
	private const PAGE = 20;
	private const MOST = 100;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The routes of tickets, which know who may read them.
	 *
	 * @var RestController
	 */
	private RestController $tickets;

	/**
	 * Takes the parts.
	 *
	 * @param Api            $api     The daemon's API.
	 * @param RestController $tickets The routes of tickets.
	 */
	public function __construct( Api $api, RestController $tickets ) {
		$this->api     = $api;
		$this->tickets = $tickets;
	}

	/**
	 * Registers the route.
	 */
	public function register_routes(): void {
		register_rest_route(
			'ticketd/v1',
			'/tickets/(?P<id>[\d]+)/history',
			array(
				'args' => array( 'id' => RestSchema::id() ),
				array(
					'methods'             => \WP_REST_Server::READABLE,
					'callback'            => RestQuery::strict( array( $this, 'get_changes' ) ),
					'permission_callback' => array( $this->tickets, 'get_item_permissions_check' ),
					'args'                => self::args(),
				),
			)
		);
	}

	/**
	 * The arguments.
	 */
	private static function args(): array {
		return array(
			'before'   => array(
				'description' => __( 'Only changes below this revision: X-Ticketd-Next of a page.', 'ticketd' ),
				'type'        => 'integer',
				'minimum'     => 1,
			),
			'per_page' => array(
				'description' => __( 'Most changes of a page.', 'ticketd' ),
				'type'        => 'integer',
				'default'     => self::PAGE,
				'minimum'     => 1,
				'maximum'     => self::MOST,
			),
			'field'    => array(
				'description' => __( 'Only changes of this field.', 'ticketd' ),
				'type'        => 'string',
				'minLength'   => 1,
				'maxLength'   => 64,
			),
		);
	}

	/**
	 * Reads a page of changes.
	 *
	 * @param \WP_REST_Request $request The request.
	 */
	public function get_changes( \WP_REST_Request $request ): \WP_REST_Response {
		$args = array( 'limit' => (int) $request['per_page'] );
		foreach ( array( 'before', 'field' ) as $name ) {
			if ( null !== $request[ $name ] ) {
				$args[ $name ] = $request[ $name ];
			}
		}
		$id   = (int) $request['id'];
		$page = $this->api->history( $id, $args );
		if ( is_wp_error( $page ) ) {
			return $this->tickets->answer( $page );
		}
		$shown    = static fn( array $change ): array => self::shown( $id, $change );
		$response = $this->tickets->answer( array_map( $shown, $page['changes'] ) );
		if ( isset( $page['stale'] ) ) {
			$response->header( 'X-Ticketd-Stale', '1' );
		}
		if ( null !== $page['next'] ) {
			$response->header( 'X-Ticketd-Next', (string) $page['next'] );
		}
		return $response;
	}

	/**
	 * A change as REST shows it: without the fields that REST does not show of the ticket.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $change The change.
	 */
	private static function shown( int $id, array $change ): array {
		$values = array( array(), array() );
		foreach ( $change['changes'] as $name => $pair ) {
			$values[0][ $name ] = $pair[0] ?? null;
			$values[1][ $name ] = end( $pair );
		}
		$ticket = array(
			'id'       => $id,
			'revision' => $change['revision'],
		);
		foreach ( $values as $index => $fields ) {
			$values[ $index ] = RestController::visible( array( 'fields' => $fields ) + $ticket );
		}
		$changes = array();
		foreach ( $change['changes'] as $name => $pair ) {
			if ( array_key_exists( $name, $values[0] ) && array_key_exists( $name, $values[1] ) ) {
				// The old value, the new value, or as many of them as there are.
				$changes[ $name ] = array_slice( array( $values[0][ $name ], $values[1][ $name ] ), 0, count( $pair ) );
			}
		}
		$change['changes'] = (object) $changes;
		return array(
			'revision' => $change['revision'],
			'at'       => gmdate( 'Y-m-d\TH:i:s', intdiv( $change['at_us'], 1000000 ) )
				. sprintf( '.%06dZ', $change['at_us'] % 1000000 ),
		) + array_diff_key( $change, array( 'at_us' => true ) );
	}
}
