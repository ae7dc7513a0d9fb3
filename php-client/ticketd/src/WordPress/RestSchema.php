<?php
/**
 * What REST requests and responses look like.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Protocol;

defined( 'ABSPATH' ) || exit;

/**
 * JSON schemas of the REST arguments and of a ticket. Only the form is checked here: the daemon knows the fields and
 * their types from the table.
 */
final class RestSchema {

	/**
	 * A ticket id in the route.
	 */
	public static function id(): array {
		return array(
			'description'       => __( 'Id of the ticket.', 'ticketd' ),
			'type'              => 'integer',
			'minimum'           => 1,
			'validate_callback' => array( self::class, 'is_id' ),
		);
	}

	/**
	 * The arguments of a collection.
	 *
	 * @param int $most Most tickets of a page, and ids that may be given.
	 */
	public static function collection( int $most ): array {
		$args = self::context() + array(
			'ids'      => array(
				'description'       => __( 'Ids of the tickets to return, without other conditions.', 'ticketd' ),
				'type'              => 'array',
				'items'             => array(
					'type'    => 'integer',
					'minimum' => 1,
				),
				'minItems'          => 1,
				'maxItems'          => $most,
				'validate_callback' => array( self::class, 'are_ids' ),
			),
			'per_page' => array(
				'description' => __( 'Most tickets of a page.', 'ticketd' ),
				'type'        => 'integer',
				'default'     => 10,
				'minimum'     => 1,
				'maximum'     => $most,
			),
			'page'     => array(
				'description'       => __( 'At most 1: the next page has no number but begins at after.', 'ticketd' ),
				'type'              => 'integer',
				'validate_callback' => array( self::class, 'is_first_page' ),
			),
			'search'   => array(
				'description' => __( 'Only tickets with this text in the subject.', 'ticketd' ),
				'type'        => 'string',
				'minLength'   => 1,
			),
			'after'    => array(
				'description' => __( 'Where the page before ended: X-Ticketd-Next of its answer.', 'ticketd' ),
				'type'        => 'string',
				'pattern'     => '^[A-Za-z0-9_-]{1,4096}$',
			),
			'orderby'  => array(
				'description' => __( 'What to sort by.', 'ticketd' ),
				'type'        => 'string',
				'default'     => 'id',
				'enum'        => array( 'id', 'created_at', 'updated_at', 'priority', 'status' ),
			),
			'order'    => array(
				'description' => __( 'In which direction to sort.', 'ticketd' ),
				'type'        => 'string',
				'default'     => 'desc',
				'enum'        => array( 'asc', 'desc' ),
			),
			'deleted'  => array(
				'description' => __( 'Deleted tickets, too.', 'ticketd' ),
				'type'        => 'boolean',
				'default'     => false,
			),
			'fresh'    => array(
				'description' => __( 'False: without pending changes.', 'ticketd' ),
				'type'        => 'boolean',
				'default'     => true,
			),
			'where'    => array(
				'description'          => __(
					'By field name the value that tickets must have, a list of values, or comparisons by operator.',
					'ticketd'
				),
				'type'                 => 'object',
				'patternProperties'    => array(
					'^[A-Za-z0-9-][A-Za-z0-9_-]{0,63}$' => self::filter(),
				),
				'additionalProperties' => false,
				'maxProperties'        => 16,
			),
		);
		foreach ( array( 'status', 'category', 'priority' ) as $field ) {
			$args[ $field ] = array(
				/* translators: %s: name of a field */
				'description' => sprintf( __( 'Only tickets with one of these values in %s.', 'ticketd' ), $field ),
				'type'        => 'array',
				'items'       => array( 'type' => 'string' ),
				'maxItems'    => 100,
			);
		}
		foreach ( array( 'customer_id', 'assigned_to' ) as $field ) {
			$args[ $field ] = array(
				/* translators: %s: name of a field */
				'description' => sprintf( __( 'Only tickets with one of these users in %s.', 'ticketd' ), $field ),
				'type'        => 'array',
				'items'       => array(
					'type'    => 'integer',
					'minimum' => 1,
				),
				'maxItems'    => 100,
			);
		}
		foreach ( array( 'created_after', 'created_before', 'updated_after', 'updated_before' ) as $name ) {
			$args[ $name ] = array(
				'description' => __( 'Only tickets from this time on, or from before it; in UTC.', 'ticketd' ),
				'type'        => 'string',
				'format'      => 'date-time',
			);
		}
		return $args;
	}

	/**
	 * The argument of every reading.
	 */
	public static function context(): array {
		return array(
			'context' => array(
				'description' => __( 'Which of a ticket is returned; all of it in either.', 'ticketd' ),
				'type'        => 'string',
				'enum'        => array( 'view', 'edit' ),
				'default'     => 'view',
			),
		);
	}

	/**
	 * The arguments of every change.
	 */
	public static function changes(): array {
		return array(
			'fields'     => array( 'required' => true ) + self::fields(),
			'request_id' => array(
				'description' => __(
					'Makes the request repeatable for a day; another request of the same user needs another id.',
					'ticketd'
				),
				'type'        => 'string',
				'pattern'     => '^[!-~]{1,64}$',
			),
		);
	}

	/**
	 * The arguments of a change of a ticket that there may be already.
	 */
	public static function conditional_changes(): array {
		return self::changes() + array(
			'if_revision' => array(
				'description' => __( 'Change the ticket only if it is at this revision.', 'ticketd' ),
				'type'        => 'integer',
				'minimum'     => 1,
			),
		);
	}

	/**
	 * A ticket.
	 */
	public static function ticket(): array {
		return array(
			'$schema'    => 'http://json-schema.org/draft-04/schema#',
			'title'      => 'ticketd-ticket',
			'type'       => 'object',
			'properties' => array(
				'id'       => array(
					'description' => __( 'Id of the ticket.', 'ticketd' ),
					'type'        => 'integer',
					'context'     => array( 'view', 'edit' ),
					'readonly'    => true,
				),
				'revision' => array(
					'description' => __( 'Revision of the ticket; it grows. 0: not known yet.', 'ticketd' ),
					'type'        => 'integer',
					'context'     => array( 'view', 'edit' ),
					'readonly'    => true,
				),
				'fields'   => array(
					'description'          => __( 'Values by field name.', 'ticketd' ),
					'type'                 => 'object',
					'context'              => array( 'view', 'edit' ),
					'additionalProperties' => array(
						'description' => __( 'The value; bytes that are no UTF-8 as an object with hex.', 'ticketd' ),
						'type'        => array( 'string', 'null', 'integer', 'object' ),
					),
				),
				'stale'    => array(
					'description' => __( 'Whether pending changes may be missing; left out otherwise.', 'ticketd' ),
					'type'        => 'boolean',
					'context'     => array( 'view', 'edit' ),
					'readonly'    => true,
				),
				'cut'      => array(
					'description' => __( 'Whether long values are cut, in a list; left out otherwise.', 'ticketd' ),
					'type'        => 'boolean',
					'context'     => array( 'view', 'edit' ),
					'readonly'    => true,
				),
				'spooled'  => array(
					'description' => __( 'In the answer to a change: it is pending in the spool.', 'ticketd' ),
					'type'        => 'boolean',
					'context'     => array( 'edit' ),
					'readonly'    => true,
				),
			),
		);
	}

	/**
	 * Whether a value is a ticket id. PHP would turn a number beyond its integers into another ticket's id.
	 *
	 * @param mixed $value The value.
	 */
	public static function is_id( $value ): bool {
		return is_scalar( $value ) && (string) (int) $value === (string) $value && (int) $value > 0;
	}

	/**
	 * Whether a value is a list of ticket ids that fits the argument's schema, and the only condition of its request.
	 *
	 * @param mixed            $value   The value.
	 * @param \WP_REST_Request $request The request.
	 * @param string           $name    The argument's name.
	 * @return bool|\WP_Error
	 */
	public static function are_ids( $value, $request, string $name ) {
		$conditions = array_diff_key( self::collection( 1 ), self::context(), array( $name => true ) );
		$others     = array_keys( array_intersect_key( $request->get_query_params(), $conditions ) );
		if ( array() !== $others ) {
			/* translators: %s: names of parameters */
			$text = __( 'Give ids or conditions, not both: %s.', 'ticketd' );
			return new \WP_Error( 'rest_invalid_param', sprintf( $text, implode( ', ', $others ) ) );
		}
		foreach ( wp_parse_list( $value ) as $id ) {
			if ( ! self::is_id( $id ) ) {
				return false;
			}
		}
		return rest_validate_request_arg( $value, $request, $name );
	}

	/**
	 * Whether a value is the number of the first page, of a request that names no later one.
	 *
	 * @param mixed            $value   The value.
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public static function is_first_page( $value, $request ) {
		if ( '1' === (string) $value && null === $request['after'] ) {
			return true;
		}
		$text = __( 'Pages have no numbers: follow the Link header, or give its X-Ticketd-Next as after.', 'ticketd' );
		return new \WP_Error( 'rest_invalid_param', $text );
	}

	/**
	 * The fields of a ticket.
	 */
	private static function fields(): array {
		return array(
			'description'          => __( 'Values by field name.', 'ticketd' ),
			'type'                 => 'object',
			'patternProperties'    => array(
				// The order decides what a value is taken for where it could be several: a string stays one.
				'^[A-Za-z0-9-][A-Za-z0-9_-]{0,63}$' => array(
					'type' => array( 'string', 'null', 'integer', 'number', 'boolean' ),
				),
			),
			'additionalProperties' => false,
			'minProperties'        => 1,
			'maxProperties'        => 128,
		);
	}

	/**
	 * A filter of `where`: a value, a list of values, or comparisons by operator.
	 */
	private static function filter(): array {
		$value  = array( 'type' => array( 'string', 'null', 'integer', 'number', 'boolean' ) );
		$values = array(
			'type'     => array_merge( $value['type'], array( 'array' ) ),
			'items'    => $value,
			'minItems' => 1,
			'maxItems' => Protocol::MAX_CHOICES,
		);
		$filter = $values;

		$filter['type'][]               = 'object';
		$filter['additionalProperties'] = false;
		foreach ( Protocol::OPERATORS as $operator ) {
			$takes_list = in_array( $operator, Protocol::LIST_OPERATORS, true );

			$filter['properties'][ $operator ] = $takes_list ? $values : $value;
		}
		return $filter;
	}
}
