<?php
/**
 * The Abilities API.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Offers what can be done with tickets as abilities of WordPress (6.9 and later). An
 * older WordPress never calls these hooks.
 */
final class Abilities {

	/** The category of the abilities. */
	private const CATEGORY = 'ticketd';

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
	 * Adds the category.
	 */
	public function add_category(): void {
		wp_register_ability_category(
			self::CATEGORY,
			array(
				'label'       => __( 'Support tickets', 'ticketd' ),
				'description' => __( 'Read and change support tickets.', 'ticketd' ),
			)
		);
	}

	/**
	 * Adds the abilities.
	 */
	public function add_abilities(): void {
		$id     = array( 'id' => RestSchema::id() );
		$fields = array( 'fields' => RestSchema::changes()['fields'] );
		unset( $id['id']['validate_callback'], $fields['fields']['required'] );
		$this->add(
			'get-ticket',
			array( __( 'Read a ticket', 'ticketd' ), __( 'Returns a support ticket by its id.', 'ticketd' ) ),
			self::input( $id, array( 'id' ) ),
			'read',
			fn( array $input ) => $this->api->get( (int) $input['id'] )
		);
		$this->add(
			'list-tickets',
			array(
				__( 'List tickets', 'ticketd' ),
				__( 'Returns support tickets by what they hold, newest first.', 'ticketd' ),
			),
			self::input( self::list_input() ),
			'read',
			fn( $input = array() ) => $this->api->list_tickets( self::query( (array) $input ) )
		);
		$this->add(
			'create-ticket',
			array( __( 'Make a ticket', 'ticketd' ), __( 'Makes a support ticket and returns its id.', 'ticketd' ) ),
			self::input( $fields, array( 'fields' ) ),
			'create',
			fn( array $input ) => $this->api->create( (array) $input['fields'] )
		);
		$this->add(
			'update-ticket',
			array(
				__( 'Change a ticket', 'ticketd' ),
				__( 'Sets fields of a support ticket; the others stay.', 'ticketd' ),
			),
			self::input( $id + $fields + self::condition(), array( 'id', 'fields' ) ),
			'update',
			function ( array $input ) {
				$revision = $this->api->update(
					(int) $input['id'],
					(array) $input['fields'],
					(int) ( $input['if_revision'] ?? 0 )
				);
				return is_wp_error( $revision ) ? $revision : compact( 'revision' );
			}
		);
	}

	/**
	 * Adds an ability.
	 *
	 * @param string   $name   Its name.
	 * @param string[] $texts  Its label and description.
	 * @param array    $input  The schema of its input.
	 * @param string   $action The action that the user must be allowed to do: `read`, `create` or `update`.
	 * @param callable $run    Does it.
	 */
	private function add( string $name, array $texts, array $input, string $action, callable $run ): void {
		wp_register_ability(
			'ticketd/' . $name,
			array(
				'label'               => $texts[0],
				'description'         => $texts[1],
				'category'            => self::CATEGORY,
				'input_schema'        => $input,
				'output_schema'       => array( 'type' => 'object' ),
				'execute_callback'    => $run,
				'permission_callback' => static function ( $input = null ) use ( $action ): bool {
					return Hooks::is_permitted( $action, array( 'id' => (int) ( $input['id'] ?? 0 ) ) );
				},
				'meta'                => array(
					'annotations'  => array(
						'readonly'    => 'read' === $action,
						'destructive' => false,
						'idempotent'  => 'create' !== $action,
					),
					'show_in_rest' => true,
				),
			)
		);
	}

	/**
	 * The schema of an input.
	 *
	 * @param array    $properties Its properties.
	 * @param string[] $required   The required names.
	 */
	private static function input( array $properties, array $required = array() ): array {
		return array(
			'type'                 => 'object',
			'properties'           => $properties,
			'additionalProperties' => false,
		) + ( array() === $required ? array( 'default' => array() ) : array( 'required' => $required ) );
	}

	/**
	 * The condition of a change.
	 */
	private static function condition(): array {
		return array( 'if_revision' => RestSchema::conditional_changes()['if_revision'] );
	}

	/**
	 * The properties of a list's input.
	 */
	private static function list_input(): array {
		$args = RestSchema::collection( 100 );
		return array_intersect_key( $args, array_flip( array( 'where', 'per_page', 'after', 'orderby', 'order' ) ) );
	}

	/**
	 * The list's arguments.
	 *
	 * @param array $input The input.
	 */
	private static function query( array $input ): array {
		$sort  = $input['orderby'] ?? 'id';
		$query = array(
			'sort'  => 'id' === $sort ? 'ticket_id' : $sort,
			'order' => $input['order'] ?? 'desc',
			'limit' => (int) ( $input['per_page'] ?? 10 ),
		);
		$where = (array) ( $input['where'] ?? array() );
		return $query
			+ ( array() === $where ? array() : array( 'where' => $where ) )
			+ ( isset( $input['after'] ) ? array( 'after' => $input['after'] ) : array() );
	}
}
