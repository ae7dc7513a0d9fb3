<?php
/**
 * The REST routes, dispatched by WordPress' own REST server.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Peer;
use Ticketd\Tests\Support\Site;

/**
 * Rights, validation, and the form of errors.
 */
final class RestTest extends SiteTestCase {

	/**
	 * Dispatches a request with a JSON body.
	 *
	 * @param string $method HTTP method.
	 * @param string $path   Path behind `/ticketd/v1/tickets`.
	 * @param array  $body   The body.
	 * @param array  $query  The query's parameters.
	 */
	private function dispatch( string $method, string $path, array $body = array(), array $query = array() ): \WP_REST_Response {
		$request = new \WP_REST_Request( $method, '/ticketd/v1/tickets' . $path );
		$request->set_header( 'Content-Type', 'application/json' );
		$request->set_body( json_encode( (object) $body ) );
		$request->set_query_params( $query );
		return rest_get_server()->dispatch( $request );
	}

	/**
	 * A ticket with its links, as the collection has it.
	 *
	 * @param array $ticket The ticket.
	 */
	private static function linked( array $ticket ): array {
		$links = array( 'self' => 'tickets/' . $ticket['id'], 'collection' => 'tickets' );
		return $ticket + array( '_links' => array_map( fn( string $path ) => array( array( 'href' => rest_url( "ticketd/v1/$path" ) ) ), $links ) );
	}

	/**
	 * Lets the current user do everything with tickets.
	 */
	private function log_in(): void {
		Site::$capabilities = array( 'ticketd_edit_tickets' );
	}

	/**
	 * Every route.
	 */
	public static function routes(): array {
		$fields = array( 'fields' => array( 'status' => 'open' ) );
		return array(
			'collection' => array( 'GET', '', array(), array( 'ids' => '812' ), 'read' ),
			'create'     => array( 'POST', '', $fields, array(), 'create' ),
			'read'       => array( 'GET', '/812', array(), array(), 'read' ),
			'update'     => array( 'PATCH', '/812', $fields, array(), 'update' ),
			'delete'     => array( 'DELETE', '/812', array(), array(), 'delete' ),
		);
	}

	/**
	 * A visitor has no rights, and neither has a user without the capability, not even an editor who lost it.
	 *
	 * @dataProvider routes
	 * @param string $method HTTP method.
	 * @param string $path   Path.
	 * @param array  $body   Body.
	 * @param array  $query  Query.
	 */
	public function test_permission_is_needed( string $method, string $path, array $body, array $query ): void {
		$this->assertSame( 401, $this->dispatch( $method, $path, $body, $query )->get_status() );
		Site::$capabilities = array( 'read', 'edit_posts', 'edit_others_posts' );
		$this->assertSame( 403, $this->dispatch( $method, $path, $body, $query )->get_status() );
		Site::$capabilities = array( 'ticketd_edit_tickets' );
		$this->assertSame( 503, $this->dispatch( $method, $path, $body, $query )->get_status() );
	}

	/**
	 * A site may open a single action to visitors, and no other.
	 *
	 * @dataProvider routes
	 * @param string $method HTTP method.
	 * @param string $path   Path.
	 * @param array  $body   Body.
	 * @param array  $query  Query.
	 * @param string $action The action that the route asks permission for.
	 */
	public function test_a_filter_opens_one_action( string $method, string $path, array $body, array $query, string $action ): void {
		add_filter(
			'ticketd_rest_permission',
			static function ( bool $allowed, string $asked ) use ( &$action ) {
				return $allowed || $asked === $action;
			},
			10,
			2
		);
		$this->assertSame( 503, $this->dispatch( $method, $path, $body, $query )->get_status() );
		$action = 'nothing';
		$this->assertSame( 401, $this->dispatch( $method, $path, $body, $query )->get_status() );
	}

	/**
	 * The daemon receives the input unchanged: types and texts stay.
	 */
	public function test_create_sends_the_fields_as_they_are(): void {
		$this->log_in();
		$this->daemon( array( null, array( 'id' => 812, 'revision' => 7 ) ) );
		$fields   = array( 'subject' => '<b>100%20</b> "ü"', 'status' => '5', 'customer_id' => 12, 'score' => 0.5, 'vip' => true, 'category' => null );
		$response = $this->dispatch( 'POST', '', array( 'fields' => $fields, 'request_id' => 'form-1' ) );
		$this->assertSame( 201, $response->get_status() );
		$this->assertSame( array( 'id' => 812, 'revision' => 7 ), $response->get_data() );
		$this->assertStringEndsWith( 'ticketd/v1/tickets/812', $response->get_headers()['Location'] );
		$sent = $this->request();
		$this->assertMatchesRegularExpression( '/^rest-[0-9a-f]{40}$/', $sent[1]['request_id'] );
		unset( $sent[1]['request_id'] );
		$this->assertSame( array( 'create', array( 'fields' => $fields ) ), $sent );
	}

	/**
	 * The request ids of two users, or of two visitors' addresses, differ; the same user's ids are the same.
	 */
	public function test_a_request_id_is_its_users_own(): void {
		$this->log_in();
		$sent = array();
		$this->daemon( ...array_fill( 0, 10, array( null, array( 'id' => 812, 'revision' => 7 ) ) ) );
		foreach ( array( array( 1, '' ), array( 2, '' ), array( 1, '' ), array( 0, '192.0.2.1' ), array( 0, '192.0.2.2' ) ) as list( $user, $address ) ) {
			Site::$user             = $user;
			$_SERVER['REMOTE_ADDR'] = $address;
			foreach ( array( array( 'POST', '' ), array( 'PATCH', '/812' ) ) as list( $method, $path ) ) {
				$this->dispatch( $method, $path, array( 'fields' => array( 'status' => 'open' ), 'request_id' => 'order-812' ) );
				$sent[ $method ][] = $this->request()[1]['request_id'];
			}
		}
		unset( $_SERVER['REMOTE_ADDR'] );
		$this->assertSame( $sent['POST'], $sent['PATCH'] );
		$this->assertSame( $sent['POST'][0], $sent['POST'][2] );
		$this->assertCount( 4, array_unique( $sent['POST'] ) );
		$this->assertNotContains( 'order-812', $sent['POST'] );
	}

	/**
	 * A failed call is repeated under the id in the answer, by its own user only.
	 */
	public function test_a_failed_request_can_be_repeated(): void {
		$this->log_in();
		Site::$user = 1;
		$body       = array( 'fields' => array( 'status' => 'open' ) );
		$full       = array( Peer::error( 'internal' ), null );
		$this->daemon( $full, $full, $full, $full, $full );
		$failed = $this->dispatch( 'POST', '', $body )->get_data()['data']['request_id'];
		$first  = $this->whole_request()[1]['request_id'];
		$this->assertSame( $failed, $this->dispatch( 'POST', '', $body + array( 'request_id' => $failed ) )->get_data()['data']['request_id'] );
		$this->assertSame( $first, $this->whole_request()[1]['request_id'] );
		Site::$user = 2;
		$this->dispatch( 'POST', '', $body + array( 'request_id' => $failed ) );
		$this->assertNotSame( $first, $this->whole_request()[1]['request_id'] );
		$this->dispatch( 'POST', '', $body + array( 'request_id' => $first ) );
		$this->assertNotSame( $first, $this->whole_request()[1]['request_id'] );
		$this->assertSame( 'mine', $this->dispatch( 'POST', '', $body + array( 'request_id' => 'mine' ) )->get_data()['data']['request_id'] );
	}

	/**
	 * PATCH changes a ticket, with a condition if given.
	 */
	public function test_update_passes_the_condition_on(): void {
		$this->log_in();
		$this->daemon( array( null, array( 'revision' => 8 ) ), array( Peer::error( 'conflict' ) + array( 'revision' => 9 ), null ) );
		$body = array( 'fields' => array( 'status' => 'open' ), 'if_revision' => 7 );
		$this->assertSame( array( 'id' => 812, 'revision' => 8 ), $this->dispatch( 'PATCH', '/812', $body )->get_data() );
		$refused = $this->dispatch( 'PATCH', '/812', $body );
		$this->assertSame( array( 409, 9 ), array( $refused->get_status(), $refused->get_data()['data']['revision'] ) );
		$this->assertSame( array( 'set', array( 'id' => 812, 'fields' => array( 'status' => 'open' ), 'if_revision' => 7 ) ), $this->request() );
	}

	/**
	 * PATCH makes no ticket.
	 */
	public function test_update_makes_no_ticket(): void {
		$this->log_in();
		$this->daemon( array( Peer::error( 'not_found' ), null ) );
		$this->assertSame( 404, $this->dispatch( 'PATCH', '/888888', array( 'fields' => array( 'status' => 'open' ) ) )->get_status() );
		$params = array( 'id' => 888888, 'fields' => array( 'status' => 'open' ), 'must_exist' => true );
		$this->assertSame( array( 'set', $params ), $this->request() );
	}

	/**
	 * A page that may lack changes says so, on each ticket and, because a page may be empty, in a header.
	 */
	public function test_a_stale_page(): void {
		$this->log_in();
		$ticket = array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => 'open' ) );
		$this->daemon( array( null, array( 'tickets' => array( $ticket ), 'next' => null, 'stale' => true ) ), array( null, array( 'count' => 1, 'stale' => true ) ) );
		$response = $this->dispatch( 'GET', '' );
		$this->assertSame( array( self::linked( $ticket + array( 'stale' => true ) ) ), $response->get_data() );
		$this->assertSame( '1', $response->get_headers()['X-Ticketd-Stale'] );
	}

	/**
	 * Reading one, several and deleting.
	 */
	public function test_read_and_delete(): void {
		$this->log_in();
		$ticket = array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => 'open' ) );
		$this->daemon( array( null, $ticket ), array( null, array( 'tickets' => array( $ticket, null ) ) ), array( null, array( 'revision' => 8 ) ) );
		$response = $this->dispatch( 'GET', '/812' );
		$this->assertSame( self::linked( $ticket ), rest_get_server()->response_to_data( $response, false ) );
		$this->assertSame( array( self::linked( $ticket ) ), $this->dispatch( 'GET', '', array(), array( 'ids' => '812,813' ) )->get_data() );
		$this->assertSame( array( 'id' => 812, 'revision' => 8 ), $this->dispatch( 'DELETE', '/812' )->get_data() );
		$this->request();
		$this->assertSame( array( 'get_many', array( 'ids' => array( 812, 813 ) ) ), $this->request() );
	}

	/**
	 * A page is a list and a count; the headers say how many tickets there are and where the next page begins.
	 */
	public function test_a_page_of_the_collection(): void {
		$this->log_in();
		$ticket = array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => 'open' ) );
		$this->daemon( array( null, array( 'tickets' => array( $ticket ), 'next' => 'abc' ) ), array( null, array( 'count' => 21 ) ) );
		add_filter(
			'ticketd_rest_fields',
			static function ( array $fields, array $ticket ): array {
				return $fields + array( 'n' => $ticket['id'] );
			},
			10,
			2
		);
		$query    = array( 'per_page' => '10', 'status' => 'open,pending', 'customer_id' => '3', 'where' => array( 'color' => 'red' ), 'search' => 'tea', 'orderby' => 'updated_at', 'created_after' => '2026-01-01T01:00:00+01:00' );
		$response = $this->dispatch( 'GET', '', array(), $query );
		$this->assertSame( array( self::linked( array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => 'open', 'n' => 812 ) ) ) ), $response->get_data() );
		$headers = $response->get_headers();
		$this->assertSame( array( '21', '3', 'abc' ), array( $headers['X-WP-Total'], $headers['X-WP-TotalPages'], $headers['X-Ticketd-Next'] ) );
		$where = array( 'color' => 'red', 'status' => array( 'open', 'pending' ), 'customer_id' => array( 3 ) );
		$asked = array( 'deleted' => false, 'fresh' => true, 'where' => $where, 'contains' => array( 'subject' => 'tea' ), 'created_at' => array( 'from' => '2026-01-01 00:00:00' ) );
		$this->assertEquals( array( 'list', $asked + array( 'sort' => 'updated_at', 'order' => 'desc', 'limit' => 10 ) ), $this->request() );
		$this->assertEquals( array( 'count', array( 'fresh' => false ) + $asked ), $this->request() );
		$this->assertSame( 2, \Ticketd\WordPress\Plugin::instance()->api()->calls()->count(), 'round trips' );
	}

	/**
	 * A filter may compare.
	 */
	public function test_a_filter_compares(): void {
		$this->daemon( array( null, array( 'tickets' => array(), 'next' => null ) ), array( null, array( 'count' => 0 ) ) );
		$this->log_in();
		parse_str( 'where[status][!%3D][]=closed&where[status][!%3D][]=spam&where[ticket_id][%3E%3D]=7&where[priority]=high', $query );
		$this->assertSame( 200, $this->dispatch( 'GET', '', array(), $query )->get_status() );
		$where = array( 'status' => array( '!=' => array( 'closed', 'spam' ) ), 'ticket_id' => array( '>=' => '7' ), 'priority' => 'high' );
		$this->assertSame( $where, $this->request()[1]['where'] );
	}

	/**
	 * The link to the next page asks for the same selection, each parameter once, on a site with pretty addresses or without.
	 *
	 * @testWith ["/index.php?rest_route=/ticketd/v1/tickets&"]
	 *           ["/wp-json/ticketd/v1/tickets?"]
	 * @param string $address How the link begins.
	 */
	public function test_the_link_to_the_next_page( string $address ): void {
		$this->log_in();
		$pretty = static fn( string $url ): string => strtok( $address, '?' ) . ( strpos( $address, 'rest_route' ) ? strstr( $url, '?' ) : '' );
		add_filter( 'rest_url', $pretty );
		$pages  = array( array( null, array( 'tickets' => array(), 'next' => 'abc' ) ), array( null, array( 'count' => 21 ) ) );
		$this->daemon( ...$pages, ...$pages );
		$query = array( 'status' => 'open,pending', 'where' => array( 'color' => 'a&b=c' ), 'fresh' => 'false', 'search' => 'tea & milk', 'page' => '1', '_locale' => 'user' );
		$link  = $this->dispatch( 'GET', '', array(), $query + array( 'rest_route' => '/ticketd/v1/tickets' ) )->get_headers()['Link'];
		$this->assertSame( 1, preg_match( '~^<(\S+)>; rel="next"$~', $link, $match ) );
		$this->assertStringStartsWith( $address . 'after=abc&', $match[1] );
		$names = array_map( fn( string $pair ) => strtok( $pair, '=' ), explode( '&', strstr( $match[1], '?' ) ) );
		$this->assertSame( array_unique( $names ), $names );
		parse_str( substr( strstr( $match[1], '?' ), 1 ), $next );
		$this->assertSame( 200, $this->dispatch( 'GET', '', array(), $next )->get_status() );
		remove_filter( 'rest_url', $pretty );
		list( , $first ) = $this->request();
		$this->request();
		list( , $second ) = $this->request();
		$this->assertEquals( $first + array( 'after' => 'abc' ), $second );
		$this->assertFalse( $first['fresh'] );
	}

	/**
	 * WordPress' own parameters, those of another plugin that a site names, and the context that WordPress' screens send,
	 * are no mistake.
	 */
	public function test_parameters_of_others(): void {
		$this->log_in();
		$ticket = array( null, array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => 'open' ) ) );
		$this->daemon( $ticket, $ticket );
		$query = array( '_fields' => 'id', '_locale' => 'user', '_' => '1', 'rest_route' => '/x', 'context' => 'edit' );
		$data  = rest_get_server()->response_to_data( $this->dispatch( 'GET', '/812', array(), $query ), false );
		$this->assertArrayNotHasKey( '_links', $data, '_fields names no links' );
		$this->assertSame( 400, $this->dispatch( 'GET', '/812', array(), array( 'lang' => 'de' ) )->get_status() );
		$name = static fn( array $names ): array => array_merge( $names, array( 'lang' ) );
		add_filter( 'ticketd_rest_foreign_parameters', $name );
		$this->assertSame( 200, $this->dispatch( 'GET', '/812', array(), array( 'lang' => 'de' ) )->get_status() );
		remove_filter( 'ticketd_rest_foreign_parameters', $name );
	}

	/**
	 * A ticket whose fields are all hidden has no fields, not a list of none; bytes that are no UTF-8 are shown as hex.
	 */
	public function test_fields_are_an_object(): void {
		$this->log_in();
		$this->daemon( array( null, array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => "\xff" ) ) ), array( null, array( 'id' => 812, 'revision' => 7, 'fields' => array( 'status' => 'open' ) ) ) );
		$this->assertSame( array( 'status' => array( 'hex' => 'ff' ) ), $this->dispatch( 'GET', '/812' )->get_data()['fields'] );
		add_filter( 'ticketd_rest_fields', '__return_empty_array' );
		$this->assertStringContainsString( '"fields":{}', wp_json_encode( $this->dispatch( 'GET', '/812' )->get_data() ) );
	}

	/**
	 * Requests that are refused before they reach the daemon.
	 */
	public static function bad_requests(): array {
		$fields = array( 'status' => 'open' );
		return array(
			'no fields'              => array( 'POST', '', array() ),
			'empty fields'           => array( 'POST', '', array( 'fields' => array() ) ),
			'fields as text'         => array( 'POST', '', array( 'fields' => 'open' ) ),
			'a nested value'         => array( 'POST', '', array( 'fields' => array( 'status' => array( 'open' ) ) ) ),
			'a reserved name'        => array( 'POST', '', array( 'fields' => array( '_rev' => 1 ) ) ),
			'a name with a quote'    => array( 'POST', '', array( 'fields' => array( 'a`b' => 1 ) ) ),
			'too many fields'        => array( 'POST', '', array( 'fields' => array_fill_keys( array_map( 'strval', range( 1000, 1128 ) ), 1 ) ) ),
			'an odd request id'      => array( 'POST', '', array( 'fields' => $fields, 'request_id' => 'a b' ) ),
			'id 0'                   => array( 'PATCH', '/0', array( 'fields' => $fields ) ),
			'an id beyond 64 bits'   => array( 'PATCH', '/9223372036854775808', array( 'fields' => $fields ) ),
			'an id with a zero'      => array( 'PATCH', '/012', array( 'fields' => $fields ) ),
			'revision 0'             => array( 'PATCH', '/812', array( 'fields' => $fields, 'if_revision' => 0 ) ),
			'no such sort'           => array( 'GET', '', array( 'orderby' => 'subject' ) ),
			'too many of a page'     => array( 'GET', '', array( 'per_page' => '101' ) ),
			'a cursor that is none'  => array( 'GET', '', array( 'after' => 'a b' ) ),
			'a reserved name asked'  => array( 'GET', '', array( 'where' => array( '_rev' => '1' ) ) ),
			'no such operator'       => array( 'GET', '', array( 'where' => array( 'status' => array( 'not' => 'closed' ) ) ) ),
			'two bounds'             => array( 'GET', '', array( 'where' => array( 'status' => array( '>' => array( 'a', 'b' ) ) ) ) ),
			'a time that is none'    => array( 'GET', '', array( 'created_after' => 'yesterday' ) ),
			'ids that are none'      => array( 'GET', '', array( 'ids' => 'a,b' ) ),
			'an id of many too long' => array( 'GET', '', array( 'ids' => '1,9223372036854775808' ) ),
			'page 2'                 => array( 'GET', '', array( 'page' => '2' ) ),
			'page 0'                 => array( 'GET', '', array( 'page' => '0' ) ),
			'page 1 and a cursor'    => array( 'GET', '', array( 'page' => '1', 'after' => 'abc' ) ),
			'ids and a condition'    => array( 'GET', '', array( 'ids' => '1,2', 'status' => 'open' ) ),
			'no such parameter'      => array( 'GET', '', array( 'offset' => '10' ) ),
			'an id beside the path'  => array( 'GET', '/812', array( 'id' => '813' ) ),
			'two ids of a change'    => array( 'PATCH', '/812', array( 'id' => 813, 'fields' => $fields ) ),
			'two ids of a deletion'  => array( 'DELETE', '/812', array( 'id' => 813 ) ),
			'none of a ticket'       => array( 'GET', '/812', array( 'rev' => '7' ) ),
			'none of a change'       => array( 'PATCH', '/812', array( 'fields' => $fields, 'revision' => 7 ) ),
			'none of a new ticket'   => array( 'POST', '', array( 'fields' => $fields, 'status' => 'closed' ) ),
			'too many ids'           => array( 'GET', '', array( 'ids' => implode( ',', range( 1, 101 ) ) ) ),
		);
	}

	/**
	 * Such requests are answered with 400.
	 *
	 * @dataProvider bad_requests
	 * @param string $method HTTP method.
	 * @param string $path   Path.
	 * @param array  $params Body, or the query of a GET.
	 */
	public function test_a_bad_request_is_refused( string $method, string $path, array $params ): void {
		$this->log_in();
		$response = 'GET' === $method
			? $this->dispatch( $method, $path, array(), $params )
			: $this->dispatch( $method, $path, $params );
		$this->assertSame( 400, $response->get_status() );
		$this->assertStringStartsWith( 'rest_', $response->get_data()['code'] );
	}

	/**
	 * The answers for the daemon's refusals.
	 */
	public static function refusals(): array {
		return array(
			array( 'invalid', 400 ),
			array( 'forbidden', 500 ),
			array( 'not_found', 404 ),
			array( 'conflict', 409 ),
			array( 'too_large', 413 ),
			array( 'overloaded', 503 ),
			array( 'unavailable', 503 ),
			array( 'shutting_down', 503 ),
			array( 'internal', 500 ),
		);
	}

	/**
	 * Each code has its status; a retryable error says when to retry; only an administrator sees internal errors.
	 *
	 * @dataProvider refusals
	 * @param string $code   The daemon's code.
	 * @param int    $status The HTTP status.
	 */
	public function test_refusals_become_statuses( string $code, int $status ): void {
		$this->log_in();
		$this->daemon( array( Peer::error( $code ), null ), array( Peer::error( $code ), null ) );
		$response = $this->dispatch( 'GET', '/812' );
		$this->assertSame( $status, $response->get_status() );
		$this->assertSame( 'ticketd_' . $code, $response->get_data()['code'] );
		$this->assertSame( 503 === $status ? '1' : null, $response->get_headers()['Retry-After'] ?? null );
		$this->assertSame( $status < 500, 'because' === $response->get_data()['message'] );

		Site::$capabilities[] = 'manage_options';
		$this->assertSame( 'because', $this->dispatch( 'GET', '/812' )->get_data()['message'] );
	}

	/**
	 * The routes describe themselves.
	 */
	public function test_the_schema_is_published(): void {
		$request = new \WP_REST_Request( 'OPTIONS', '/ticketd/v1/tickets/812' );
		$data    = rest_handle_options_request( null, rest_get_server(), $request )->get_data();
		$this->assertSame( 'ticketd-ticket', $data['schema']['title'] );
		$this->assertSame( array( 'id', 'revision', 'fields', 'stale', 'cut', 'spooled' ), array_keys( $data['schema']['properties'] ) );
	}
}
