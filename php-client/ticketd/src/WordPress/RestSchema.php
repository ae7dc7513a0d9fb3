<?php
/**
 * What REST requests and responses look like.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * JSON schemas of the REST arguments and of a ticket. Only the form is checked here: which fields there are, and of
 * which type, the daemon knows from the table.
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
	 * @param int $limit Most ids that may be given.
	 */
	public static function ids( int $limit ): array {
		return array(
			'ids' => array(
				'description'       => __( 'Ids of the tickets to return.', 'ticketd' ),
				'type'              => 'array',
				'items'             => array(
					'type'    => 'integer',
					'minimum' => 1,
				),
				'minItems'          => 1,
				'maxItems'          => $limit,
				'required'          => true,
				'validate_callback' => array( self::class, 'are_ids' ),
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
				'description' => __( 'Makes the request repeatable for a day.', 'ticketd' ),
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
				'fields'   => array( 'context' => array( 'view', 'edit' ) ) + self::fields(),
				'stale'    => array(
					'description' => __( 'Whether the latest changes may be missing; left out where not.', 'ticketd' ),
					'type'        => 'boolean',
					'context'     => array( 'view', 'edit' ),
					'readonly'    => true,
				),
				'spooled'  => array(
					'description' => __( 'In the answer to a change: it waits for the daemon.', 'ticketd' ),
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
	 * Whether a value is a list of ticket ids that fits the argument's schema.
	 *
	 * @param mixed            $value   The value.
	 * @param \WP_REST_Request $request The request.
	 * @param string           $name    The argument's name.
	 * @return bool|\WP_Error
	 */
	public static function are_ids( $value, $request, string $name ) {
		foreach ( wp_parse_list( $value ) as $id ) {
			if ( ! self::is_id( $id ) ) {
				return false;
			}
		}
		return rest_validate_request_arg( $value, $request, $name );
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
}
