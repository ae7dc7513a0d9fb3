<?php
/**
 * The Abilities API.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Abilities;
use Ticketd\WordPress\Plugin;

/**
 * Which abilities exist, for which users, and with which results.
 */
final class AbilitiesTest extends SiteTestCase {

	/**
	 * Registers the abilities.
	 */
	protected function setUp(): void {
		parent::setUp();
		require_once __DIR__ . '/../Support/abilities.php';
	}

	/**
	 * Registers them with the current connection.
	 */
	private function register(): void {
		$abilities = new Abilities( Plugin::instance()->api() );
		$abilities->add_category();
		$abilities->add_abilities();
	}

	/**
	 * Every ability belongs to the category, describes its input, and is closed to users without the right.
	 */
	public function test_abilities_are_closed_to_strangers(): void {
		$this->register();
		$this->assertCount( 5, Site::$abilities );
		foreach ( array( 'get', 'create', 'update' ) as $verb ) {
			$ability = Site::$abilities[ "ticketd/$verb-ticket" ];
			$this->assertArrayHasKey( $ability['category'], Site::$abilities );
			$this->assertNotEmpty( $ability['input_schema']['required'] );
			Site::$capabilities = array( 'read' );
			$this->assertFalse( $ability['permission_callback']( array( 'id' => 1 ) ) );
			Site::$capabilities = array( 'ticketd_edit_tickets' );
			$this->assertTrue( $ability['permission_callback']( array( 'id' => 1 ) ) );
		}
		Site::$capabilities = array();
		$this->assertFalse( Site::$abilities['ticketd/list-tickets']['permission_callback']() );
	}

	/**
	 * The arguments reach the daemon.
	 */
	public function test_abilities_do_what_they_say(): void {
		$this->daemon( array( null, array( 'revision' => 8 ) ), array( null, array( 'tickets' => array(), 'next' => null ) ) );
		$this->register();
		$input = array( 'id' => 812, 'fields' => array( 'status' => 'open' ), 'if_revision' => 7 );
		$this->assertSame( array( 'revision' => 8 ), Site::$abilities['ticketd/update-ticket']['execute_callback']( $input ) );
		Site::$abilities['ticketd/list-tickets']['execute_callback']( array( 'where' => array( 'status' => 'open' ), 'orderby' => 'id' ) );
		$this->assertSame( array( 'set', $input ), $this->request() );
		$query = array( 'sort' => 'ticket_id', 'order' => 'desc', 'limit' => 10, 'where' => array( 'status' => 'open' ) );
		$this->assertSame( array( 'list', $query ), $this->request() );
	}

	/**
	 * What an ability returns fits its schema, and the schema says more than that it is an object.
	 */
	public function test_outputs_fit_their_schemas(): void {
		$ticket = array( 'id' => 812, 'revision' => 7, 'fields' => array( 'customer_id' => 3, 'status' => 'open', 'blob' => "\xff", 'category' => null, 12 => 'x' ), 'stale' => true );
		$page   = array( 'tickets' => array( $ticket, array( 'cut' => true ) + $ticket ), 'next' => null, 'stale' => true, 'locked' => array( 5 ) );
		$this->daemon( array( null, $ticket ), array( null, $page ), array( null, array( 'id' => 812, 'revision' => 7 ) ), array( null, array( 'revision' => 8 ) ) );
		$this->register();
		$fields = array( 'status' => 'open' );
		foreach ( array( 'get-ticket' => array( 'id' => 812 ), 'list-tickets' => array(), 'create-ticket' => array( 'fields' => $fields ), 'update-ticket' => array( 'id' => 812, 'fields' => $fields ) ) as $name => $input ) {
			$ability = Site::$abilities[ "ticketd/$name" ];
			$output  = $ability['execute_callback']( $input );
			$this->assertTrue( rest_validate_value_from_schema( $output, $ability['output_schema'], $name ), $name );
			$this->assertIsString( wp_json_encode( $output ) );
			foreach ( $ability['output_schema']['required'] as $key ) {
				$this->assertInstanceOf( \WP_Error::class, rest_validate_value_from_schema( array_diff_key( $output, array( $key => true ) ), $ability['output_schema'], $name ) );
			}
			$this->assertInstanceOf( \WP_Error::class, rest_validate_value_from_schema( array( 'more' => 1 ) + $output, $ability['output_schema'], $name ) );
		}
	}
}
