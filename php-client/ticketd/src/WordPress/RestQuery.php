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
