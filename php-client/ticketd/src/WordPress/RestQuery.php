<?php
/**
 * What a REST request asks for.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Makes the arguments of a list of those of a request.
 */
final class RestQuery {

	/** Fields with an argument of their own. */
	private const FIELDS = array( 'status', 'category', 'priority', 'customer_id', 'assigned_to' );

	/** Arguments that are times: the field, and which end of its period. */
	private const TIMES = array(
		'created_after'  => array( 'created_at', 'from' ),
		'created_before' => array( 'created_at', 'before' ),
		'updated_after'  => array( 'updated_at', 'from' ),
		'updated_before' => array( 'updated_at', 'before' ),
	);

	/**
	 * Makes a route refuse parameters that it does not have, and those that contradict the address. WordPress passes
	 * the former over, so that a misspelled condition would be none; the latter win over the address, so that
	 * `DELETE /tickets/3?id=2` would delete ticket 2.
	 *
	 * @param callable $serve Serves the request.
	 */
	public static function strict( callable $serve ): callable {
		return static function ( \WP_REST_Request $request ) use ( $serve ) {
			$unknown = self::unknown( $request );
			if ( array() !== $unknown ) {
				/* translators: %s: names of parameters */
				$text = sprintf( __( 'There is no such parameter: %s', 'ticketd' ), implode( ', ', $unknown ) );
				return self::invalid( $text, $unknown, __( 'There is no such parameter.', 'ticketd' ) );
			}
			$moved = array();
			foreach ( $request->get_url_params() as $name => $value ) {
				if ( ! is_scalar( $request[ $name ] ) || (string) $request[ $name ] !== (string) $value ) {
					$moved[] = $name;
				}
			}
			if ( array() !== $moved ) {
				/* translators: %s: names of parameters */
				$text = sprintf( __( 'The address has another value: %s', 'ticketd' ), implode( ', ', $moved ) );
				return self::invalid( $text, $moved, __( 'The address has another value.', 'ticketd' ) );
			}
			return $serve( $request );
		};
	}

	/**
	 * Refuses parameters, in the form that WordPress has for them.
	 *
	 * @param string   $text  What is wrong.
	 * @param string[] $names The parameters.
	 * @param string   $each  What is wrong with each.
	 */
	private static function invalid( string $text, array $names, string $each ): \WP_Error {
		return new \WP_Error(
			'rest_invalid_param',
			$text,
			array(
				'status' => 400,
				'params' => array_fill_keys( $names, $each ),
			)
		);
	}

	/**
	 * The parameters that a request has and its route does not. Those of WordPress itself begin with `_`.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return string[] Their names.
	 */
	private static function unknown( \WP_REST_Request $request ): array {
		/**
		 * Filters the parameters that every route accepts and passes over, such as those of a plugin for logins or
		 * languages.
		 *
		 * @param string[]         $names   Their names.
		 * @param \WP_REST_Request $request The request.
		 */
		$others  = (array) apply_filters( 'ticketd_rest_foreign_parameters', array( 'rest_route' ), $request );
		$known   = $request->get_attributes()['args'] + $request->get_url_params() + array_flip( $others );
		$unknown = array_map( 'strval', array_keys( array_diff_key( $request->get_params(), $known ) ) );
		return array_values( array_filter( $unknown, static fn( string $name ): bool => 0 !== strpos( $name, '_' ) ) );
	}

	/**
	 * The address of the next page, with the request's other parameters, each once.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @param string           $address The collection's address.
	 * @param string           $after   Where the next page begins.
	 */
	public static function next( \WP_REST_Request $request, string $address, string $after ): string {
		$query = array_diff_key( $request->get_query_params(), array_flip( array( 'rest_route', 'page' ) ) );
		// add_query_arg() would leave out what is false.
		$query = http_build_query( array( 'after' => $after ) + $query, '', '&', PHP_QUERY_RFC3986 );
		return $address . ( false === strpos( $address, '?' ) ? '?' : '&' ) . $query;
	}

	/**
	 * Which tickets are asked for.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array The arguments of Api::count_tickets().
	 */
	public static function selection( \WP_REST_Request $request ): array {
		$where = (array) ( $request['where'] ?? array() );
		foreach ( self::FIELDS as $field ) {
			if ( null !== $request[ $field ] && array() !== $request[ $field ] ) {
				$where[ $field ] = $request[ $field ];
			}
		}
		$selection = array(
			'deleted' => (bool) $request['deleted'],
			'fresh'   => (bool) $request['fresh'],
		) + ( array() === $where ? array() : array( 'where' => $where ) );
		if ( null !== $request['search'] ) {
			$selection['contains'] = array( 'subject' => $request['search'] );
		}
		foreach ( self::TIMES as $name => list( $field, $end ) ) {
			if ( null !== $request[ $name ] ) {
				$selection[ $field ][ $end ] = gmdate( 'Y-m-d H:i:s', (int) rest_parse_date( $request[ $name ] ) );
			}
		}
		return $selection;
	}

	/**
	 * Which page of them.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array What Api::list_tickets() takes besides.
	 */
	public static function page( \WP_REST_Request $request ): array {
		$page = array(
			'sort'  => 'id' === $request['orderby'] ? 'ticket_id' : $request['orderby'],
			'order' => $request['order'],
			'limit' => (int) $request['per_page'],
		);
		return null === $request['after'] ? $page : $page + array( 'after' => $request['after'] );
	}
}
