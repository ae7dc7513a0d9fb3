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
		$this->add_reads();
		$this->add_changes();
	}

	/**
	 * Adds the abilities that read.
	 */
	private function add_reads(): void {
		$api = $this->api;
		$this->add(
			'get-ticket',
			array( __( 'Read a ticket', 'ticketd' ), __( 'Returns a support ticket by its id.', 'ticketd' ) ),
			array( self::input( self::id(), array( 'id' ) ), self::ticket() ),
			'read',
			static function ( array $input ) use ( $api ) {
				$ticket = $api->get( (int) $input['id'] );
				return is_wp_error( $ticket ) ? $ticket : RestController::shown( $ticket );
			}
		);
		$this->add(
			'list-tickets',
			array(
				__( 'List tickets', 'ticketd' ),
				__( 'Returns support tickets by what they hold, newest first.', 'ticketd' ),
			),
			array( self::input( self::list_input() ), self::page() ),
			'read',
			static function ( $input = array() ) use ( $api ) {
				$page = $api->list_tickets( self::query( (array) $input ) );
				if ( ! is_wp_error( $page ) ) {
					$page['tickets'] = array_map( array( RestController::class, 'shown' ), $page['tickets'] );
				}
				return $page;
			}
		);
	}

	/**
	 * Adds the abilities that change.
	 */
	private function add_changes(): void {
		$api    = $this->api;
		$id     = self::id();
		$fields = array( 'fields' => RestSchema::changes()['fields'] );
		unset( $fields['fields']['required'] );
		$revision = array( 'revision' => RestSchema::ticket()['properties']['revision'] );
		$this->add(
			'create-ticket',
			array( __( 'Make a ticket', 'ticketd' ), __( 'Makes a support ticket and returns its id.', 'ticketd' ) ),
			array( self::input( $fields, array( 'fields' ) ), self::output( $id + $revision ) ),
			'create',
			static function ( array $input ) use ( $api ) {
				$fields = Opening::fields( (array) $input['fields'] );
				return is_wp_error( $fields )
					? $fields
					: Actor::within( 'ability', static fn() => $api->create( $fields ) );
			}
		);
		$this->add(
			'update-ticket',
			array(
				__( 'Change a ticket', 'ticketd' ),
				__( 'Sets fields of a support ticket; the others stay.', 'ticketd' ),
			),
			array(
				self::input( $id + $fields + self::condition(), array( 'id', 'fields' ) ),
				self::output( $revision ),
			),
			'update',
			static function ( array $input ) use ( $api ) {
				$update   = static fn() => $api->update(
					(int) $input['id'],
					(array) $input['fields'],
					(int) ( $input['if_revision'] ?? 0 )
				);
				$revision = Actor::within( 'ability', $update );
				return is_wp_error( $revision ) ? $revision : compact( 'revision' );
			}
		);
	}

	/**
	 * Adds an ability.
	 *
	 * @param string   $name    Its name.
	 * @param string[] $texts   Its label and description.
	 * @param array[]  $schemas The schemas of its input and its output.
	 * @param string   $action  The action that the user must be allowed to do: `read`, `create` or `update`.
	 * @param callable $run     Does it.
	 */
	private function add( string $name, array $texts, array $schemas, string $action, callable $run ): void {
		wp_register_ability(
			'ticketd/' . $name,
			array(
				'label'               => $texts[0],
				'description'         => $texts[1],
				'category'            => self::CATEGORY,
				'input_schema'        => $schemas[0],
				'output_schema'       => $schemas[1],
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
	 * The schema of a ticket id, by its name.
	 */
	private static function id(): array {
		$id = RestSchema::id();
		unset( $id['validate_callback'] );
		return array( 'id' => $id );
	}

	/**
	 * The schema of an output.
	 *
	 * @param array    $properties Its properties.
	 * @param string[] $sometimes  The names of those that may be missing.
	 */
	private static function output( array $properties, array $sometimes = array() ): array {
		return array(
			'type'                 => 'object',
			'properties'           => $properties,
			'required'             => array_values( array_diff( array_keys( $properties ), $sometimes ) ),
			'additionalProperties' => false,
		);
	}

	/**
	 * The schema of a ticket.
	 */
	private static function ticket(): array {
		$properties = RestSchema::ticket()['properties'];
		unset( $properties['spooled'] );
		return self::output( $properties, array( 'stale', 'cut' ) );
	}

	/**
	 * The schema of a page of tickets.
	 */
	private static function page(): array {
		$properties = array(
			'tickets' => array(
				'type'  => 'array',
				'items' => self::ticket(),
			),
			'next'    => array(
				'description' => __( 'Where the next page begins, for after; null on the last page.', 'ticketd' ),
				'type'        => array( 'string', 'null' ),
			),
			'stale'   => RestSchema::ticket()['properties']['stale'],
			'locked'  => array(
				'description' => __( 'Ids of tickets whose changes are missing; may be left out.', 'ticketd' ),
				'type'        => 'array',
				'items'       => array( 'type' => 'integer' ),
			),
		);
		return self::output( $properties, array( 'stale', 'locked' ) );
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
