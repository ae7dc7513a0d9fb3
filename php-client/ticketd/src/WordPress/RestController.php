<?php
/**
 * The REST routes.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\SpoolingClient;

defined( 'ABSPATH' ) || exit;

/**
 * Serves `/wp-json/ticketd/v1/tickets`.
 *
 * The answer to a change is the ticket's id and revision, not the ticket: reading may have to wait for MySQL,
 * changing never does. A change that is spooled while the daemon is unreachable is answered with 202, revision 0 and
 * `"spooled": true`.
 */
final class RestController extends \WP_REST_Controller {

	/** Most tickets that one request may ask for, as with WordPress' own collections. */
	private const MOST = 100;

	/** Seconds after which a client may try again what the daemon could not do. */
	private const RETRY_AFTER = '1';

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
		$this->api       = $api;
		$this->namespace = 'ticketd/v1';
		$this->rest_base = 'tickets';
	}

	/**
	 * Registers the routes.
	 */
	public function register_routes(): void {
		register_rest_route(
			$this->namespace,
			'/' . $this->rest_base,
			array(
				$this->route( \WP_REST_Server::READABLE, 'get_items', $this->get_collection_params() ),
				$this->route( \WP_REST_Server::CREATABLE, 'create_item', RestSchema::changes() ),
				'schema' => array( $this, 'get_public_item_schema' ),
			)
		);
		register_rest_route(
			$this->namespace,
			'/' . $this->rest_base . '/(?P<id>[\d]+)',
			array(
				'args'   => array( 'id' => RestSchema::id() ),
				$this->route( \WP_REST_Server::READABLE, 'get_item', RestSchema::context() ),
				$this->route( \WP_REST_Server::EDITABLE, 'update_item', RestSchema::conditional_changes() ),
				$this->route( \WP_REST_Server::DELETABLE, 'delete_item', array() ),
				'schema' => array( $this, 'get_public_item_schema' ),
			)
		);
	}

	/**
	 * Whether tickets may be read by their ids.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public function get_items_permissions_check( $request ) {
		return $this->check_permission( 'read', $request );
	}

	/**
	 * Whether a ticket may be read.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public function get_item_permissions_check( $request ) {
		return $this->check_permission( 'read', $request );
	}

	/**
	 * Whether a ticket may be made.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public function create_item_permissions_check( $request ) {
		return $this->check_permission( 'create', $request );
	}

	/**
	 * Whether a ticket may be changed.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public function update_item_permissions_check( $request ) {
		return $this->check_permission( 'update', $request );
	}

	/**
	 * Whether a ticket may be deleted.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public function delete_item_permissions_check( $request ) {
		return $this->check_permission( 'delete', $request );
	}

	/**
	 * The arguments of the collection.
	 */
	public function get_collection_params(): array {
		return RestSchema::collection( self::MOST );
	}

	/**
	 * Reads tickets by id (missing tickets are left out), or a page of a selection. A page costs two calls of the
	 * daemon: the list and the count for X-WP-Total.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response
	 */
	public function get_items( $request ) {
		if ( null !== $request['ids'] ) {
			$tickets = $this->api->get_many( $request['ids'] );
			if ( is_wp_error( $tickets ) ) {
				return $this->answer( $tickets );
			}
			$tickets  = array_values( array_filter( $tickets ) );
			$response = $this->answer( $this->items( $tickets, $request ) );
			$response->header( 'X-WP-Total', (string) count( $tickets ) );
			$response->header( 'X-WP-TotalPages', (string) min( 1, count( $tickets ) ) );
			return $response;
		}
		$selection = RestQuery::selection( $request );
		$page      = $this->api->list_tickets( $selection + RestQuery::page( $request ) );
		if ( is_wp_error( $page ) ) {
			return $this->answer( $page );
		}
		// Pending changes were flushed a moment ago.
		$total = $this->api->count_tickets( array( 'fresh' => false ) + $selection );
		if ( is_wp_error( $total ) ) {
			return $this->answer( $total );
		}
		$stale    = array_intersect_key( $page, array( 'stale' => true ) );
		$tickets  = array_map( static fn( array $ticket ): array => $ticket + $stale, $page['tickets'] );
		$response = $this->answer( $this->items( $tickets, $request ) );
		if ( array() !== $stale ) { // An empty list says it, too.
			$response->header( 'X-Ticketd-Stale', '1' );
		}
		$response->header( 'X-WP-Total', (string) $total );
		$response->header( 'X-WP-TotalPages', (string) (int) ceil( $total / $request['per_page'] ) );
		if ( null !== $page['next'] ) {
			$response->header( 'X-Ticketd-Next', $page['next'] );
			$response->link_header( 'next', RestQuery::next( $request, $this->address(), $page['next'] ) );
		}
		return $response;
	}

	/**
	 * Reads a ticket.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response
	 */
	public function get_item( $request ) {
		$ticket = $this->api->get( $request['id'] );
		if ( is_wp_error( $ticket ) ) {
			return $this->answer( $ticket );
		}
		return $this->prepare_item_for_response( $ticket, $request );
	}

	/**
	 * Makes a ticket.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response
	 */
	public function create_item( $request ) {
		$fields = Opening::fields( $request['fields'] );
		if ( is_wp_error( $fields ) ) {
			return $this->answer( $fields );
		}
		$given    = (string) $request['request_id'];
		$created  = self::told( $this->api->create( $fields, RequestIds::of_visitor( $given ) ), $given );
		$response = is_wp_error( $created ) ? $this->answer( $created ) : $this->answer_change( $created, 201 );
		if ( ! is_wp_error( $created ) ) {
			$response->header( 'Location', $this->address( $created['id'] ) );
		}
		return $response;
	}

	/**
	 * Changes a ticket.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response
	 */
	public function update_item( $request ) {
		$given    = (string) $request['request_id'];
		$revision = $this->api->update(
			$request['id'],
			$request['fields'],
			(int) $request['if_revision'],
			RequestIds::of_visitor( $given )
		);
		return $this->answer_revision( $request['id'], self::told( $revision, $given ) );
	}

	/**
	 * Deletes a ticket.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response
	 */
	public function delete_item( $request ) {
		return $this->answer_revision( $request['id'], $this->api->delete( $request['id'] ) );
	}

	/**
	 * What came of a change, with the request id that the visitor can repeat it under where it failed.
	 *
	 * @param mixed  $outcome The outcome.
	 * @param string $given   The request id that the visitor gave; empty: none.
	 * @return mixed
	 */
	private static function told( $outcome, string $given ) {
		if ( is_wp_error( $outcome ) ) {
			$sent = (string) ( $outcome->get_error_data()['request_id'] ?? '' );
			$outcome->add_data(
				array( 'request_id' => RequestIds::for_visitor( $sent, $given ) ) + (array) $outcome->get_error_data()
			);
		}
		return $outcome;
	}

	/**
	 * The schema of a ticket.
	 */
	public function get_item_schema(): array {
		return RestSchema::ticket();
	}

	/**
	 * A handler of a route.
	 *
	 * @param string $methods  HTTP methods.
	 * @param string $callback Name of the method that serves it; `_permissions_check` is appended for its permission.
	 * @param array  $args     Its arguments.
	 */
	private function route( string $methods, string $callback, array $args ): array {
		return array(
			'methods'             => $methods,
			'callback'            => RestQuery::strict( array( $this, $callback ) ),
			'permission_callback' => array( $this, $callback . '_permissions_check' ),
			'args'                => $args,
		);
	}

	/**
	 * Whether the user may do something.
	 *
	 * @param string           $action  `read`, `create`, `update` or `delete`.
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	private function check_permission( string $action, $request ) {
		$allowed = Hooks::is_permitted(
			$action,
			array(
				'id'      => (int) $request['id'],
				'request' => $request,
			)
		);
		/**
		 * Filters who may do what with tickets over REST, for example to let visitors open them.
		 *
		 * @param bool|\WP_Error   $allowed Whether it is allowed; a WP_Error refuses it with a reason.
		 * @param string           $action  `read`, `create`, `update` or `delete`.
		 * @param \WP_REST_Request $request The request.
		 */
		$allowed = apply_filters( 'ticketd_rest_permission', $allowed, $action, $request );
		if ( true === $allowed || is_wp_error( $allowed ) ) {
			return $allowed;
		}
		return new \WP_Error(
			'rest_forbidden',
			__( 'Sorry, you are not allowed to do that with tickets.', 'ticketd' ),
			array( 'status' => rest_authorization_required_code() )
		);
	}

	/**
	 * The address of a ticket, or of the collection.
	 *
	 * @param int $id The ticket's id; 0: the collection.
	 */
	private function address( int $id = 0 ): string {
		return rest_url( $this->namespace . '/' . $this->rest_base . ( 0 === $id ? '' : "/$id" ) );
	}

	/**
	 * The tickets of a list, each with its links.
	 *
	 * @param array[]          $tickets The tickets.
	 * @param \WP_REST_Request $request The request.
	 */
	private function items( array $tickets, $request ): array {
		$items = array();
		foreach ( $tickets as $ticket ) {
			$items[] = $this->prepare_response_for_collection( $this->prepare_item_for_response( $ticket, $request ) );
		}
		return $items;
	}

	/**
	 * What is shown of a ticket.
	 *
	 * @param array            $item    The ticket.
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response
	 */
	public function prepare_item_for_response( $item, $request ) {
		$response = new \WP_REST_Response( self::shown( $item ) );
		if ( rest_is_field_included( '_links', $this->get_fields_for_response( $request ) ) ) {
			$response->add_link( 'self', $this->address( $item['id'] ) );
			$response->add_link( 'collection', $this->address() );
		}
		return $response;
	}

	/**
	 * A ticket as JSON can show it: bytes that are no UTF-8 stand in it as `{"hex": "…"}`.
	 *
	 * @param array $ticket The ticket.
	 */
	public static function shown( array $ticket ): array {
		$fields = self::visible( $ticket );
		// JSON would make a list of no fields.
		$ticket['fields'] = array() === $fields ? new \stdClass() : $fields;
		return $ticket;
	}

	/**
	 * The fields of a ticket that REST shows.
	 *
	 * @param array $ticket The ticket.
	 */
	public static function visible( array $ticket ): array {
		/**
		 * Filters the fields of a ticket that REST and the Abilities API show, of the ticket itself and of the changes
		 * in its history.
		 *
		 * @param array $fields Values by field name.
		 * @param array $ticket The ticket: `id`, `revision`, `fields` and perhaps `stale`.
		 */
		return Format::fields( (array) apply_filters( 'ticketd_rest_fields', $ticket['fields'], $ticket ) );
	}

	/**
	 * Answers a change of a ticket that was there, as far as the caller knows.
	 *
	 * @param int           $id       The ticket's id.
	 * @param int|\WP_Error $revision Its new revision, or why it is missing.
	 */
	private function answer_revision( int $id, $revision ): \WP_REST_Response {
		return is_wp_error( $revision )
			? $this->answer( $revision )
			: $this->answer_change( compact( 'id', 'revision' ), 200 );
	}

	/**
	 * Answers a change.
	 *
	 * @param array $change The ticket's id and revision.
	 * @param int   $status HTTP status of a change that the daemon has made.
	 */
	private function answer_change( array $change, int $status ): \WP_REST_Response {
		if ( SpoolingClient::UNKNOWN_REVISION !== $change['revision'] ) {
			return $this->answer( $change, $status );
		}
		return $this->answer( $change + array( 'spooled' => true ), 202 );
	}

	/**
	 * Makes a response.
	 *
	 * @param array|\WP_Error $data   What to answer.
	 * @param int             $status HTTP status of a success.
	 */
	public function answer( $data, int $status = 200 ): \WP_REST_Response {
		if ( ! is_wp_error( $data ) ) {
			return new \WP_REST_Response( $data, $status );
		}
		$details = $data->get_error_data();
		$message = $data->get_error_message();
		if ( $details['status'] >= 500 && ! current_user_can( 'manage_options' ) ) {
			// The reason names paths and servers, which are no visitor's business.
			$message = __( 'Tickets are not available at the moment. Try again later.', 'ticketd' );
		}
		$response = rest_convert_error_to_response( new \WP_Error( $data->get_error_code(), $message, $details ) );
		if ( 503 === $details['status'] ) {
			$response->header( 'Retry-After', self::RETRY_AFTER );
		}
		return $response;
	}
}
