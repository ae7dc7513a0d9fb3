<?php
/**
 * How other plugins take part in changes.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Client\FakeClient;
use Ticketd\Tests\Support\Peer;
use Ticketd\WordPress\Plugin;

/**
 * Filters decide what is sent, actions report accepted changes only.
 */
final class HooksTest extends SiteTestCase {

	/**
	 * What the actions told: name and arguments.
	 *
	 * @var array[]
	 */
	private array $told = array();

	/**
	 * Listens.
	 */
	protected function setUp(): void {
		parent::setUp();
		foreach ( array( 'created', 'updated', 'deleted' ) as $name ) {
			add_action(
				'ticketd_ticket_' . $name,
				function ( ...$arguments ) use ( $name ): void {
					$this->told[] = array_merge( array( $name ), $arguments );
				},
				10,
				3
			);
		}
	}

	/**
	 * Every accepted change is reported once, with the values sent.
	 */
	public function test_accepted_changes_are_told_of(): void {
		add_filter( 'ticketd_ticket_fields', static fn( array $fields, string $action, int $id ): array => $fields + array( 'via' => "$action $id" ), 10, 3 );
		$this->daemon(
			array( null, array( 'id' => 812, 'revision' => 7 ) ),
			array( null, array( 'revision' => 8 ) ),
			array( null, array( 'results' => array( 9, Peer::error( 'invalid' ) ) ) ),
			array( null, array( 'revision' => 10 ) ),
			array( Peer::error( 'forbidden' ), null )
		);
		ticketd_create_ticket( array( 'status' => 'open' ) );
		ticketd_set_ticket( 812, array( 'status' => 'x' ) );
		ticketd_set_tickets( array( 1 => array( 'status' => 'a' ), 2 => array( 'status' => 'b' ) ) );
		ticketd_delete_ticket( 812 );
		ticketd_set_ticket( 812, array( 'status' => 'y' ) );
		$this->assertSame(
			array(
				array( 'created', 812, array( 'status' => 'open', 'via' => 'create 0' ), 7 ),
				array( 'updated', 812, array( 'status' => 'x', 'via' => 'update 812' ), 8 ),
				array( 'updated', 1, array( 'status' => 'a', 'via' => 'update 1' ), 9 ),
				array( 'deleted', 812, 10 ),
			),
			$this->told
		);
		$this->assertSame( array( 'status' => 'open', 'via' => 'create 0' ), $this->request()[1]['fields'] );
	}

	/**
	 * Who listens to changes with old values gets those of the fields that were set; then, and only then, the plugin
	 * reads tickets before it changes them. A plugin's test needs no daemon for this.
	 */
	public function test_changes_are_told_of_with_the_old_values(): void {
		$fake = new FakeClient();
		$fake->set( 1, array( 'status' => 'open', 'priority' => 'low' ) );
		Plugin::instance()->api()->use_client( $fake );
		$changes = array();
		$listen  = function ( ...$arguments ) use ( &$changes ): void {
			$changes[] = $arguments;
		};
		try {
			ticketd_set_ticket( 1, array( 'status' => 'pending' ) );
			add_action( 'ticketd_ticket_changed', $listen, 10, 4 );
			ticketd_set_ticket( 1, array( 'status' => 'closed', 'note' => 'x' ) );
			ticketd_set_tickets( array( 1 => array( 'priority' => 'high' ), 2 => array( 'status' => 'open' ) ) );
		} finally {
			remove_action( 'ticketd_ticket_changed', $listen );
			Plugin::instance()->api()->use_client( null );
		}
		$want = array(
			array( 1, array( 'status' => 'closed', 'note' => 'x' ), array( 'status' => 'pending', 'note' => null ), 3 ),
			array( 1, array( 'priority' => 'high' ), array( 'priority' => 'low' ), 4 ),
			array( 2, array( 'status' => 'open' ), null, 5 ),
		);
		$this->assertSame( $want, $changes );
		$this->assertSame( array( 'set', 'set', 'get_many', 'set', 'get_many', 'set_many' ), array_column( $fake->calls(), 0 ) );
	}

	/**
	 * A filter refuses with its own reason, in the form of every failure; the other tickets are changed.
	 */
	public function test_a_filter_refuses(): void {
		add_filter(
			'ticketd_ticket_fields',
			static function ( array $fields ) {
				return 'spam' === $fields['status'] ? new \WP_Error( 'spam', 'No spam, please.' ) : $fields;
			}
		);
		$this->daemon( array( null, array( 'results' => array( 9 ) ) ) );
		$refused = ticketd_create_ticket( array( 'status' => 'spam' ) );
		$this->assertSame( array( 'spam', 400, '' ), array( $refused->get_error_code(), $refused->get_error_data()['status'], $refused->get_error_data()['field'] ) );
		$outcomes = ticketd_set_tickets( array( 1 => array( 'status' => 'spam' ), 2 => array( 'status' => 'open' ) ) );
		$this->assertSame( array( 1, 2 ), array_keys( $outcomes ) );
		$this->assertSame( 'No spam, please.', $outcomes[1]->get_error_message() );
		$this->assertSame( 9, $outcomes[2] );
		$this->assertSame( array( array( 2, array( 'status' => 'open' ) ) ), $this->request()[1]['tickets'] );
	}

	/**
	 * If a filter refuses some tickets of a call with a request id, the others keep the ids that they have in the
	 * whole call: repeated without the refusal, each ticket has the same id.
	 */
	public function test_a_refusal_moves_no_request_id(): void {
		add_filter(
			'ticketd_ticket_fields',
			static function ( array $fields ) {
				return 'spam' === $fields['status'] ? new \WP_Error( 'spam', 'No spam, please.' ) : $fields;
			}
		);
		$this->daemon( array( null, array( 'revision' => 8 ) ), array( null, array( 'revision' => 9 ) ) );
		$outcomes = ticketd_set_tickets(
			array(
				1 => array( 'status' => 'a' ),
				2 => array( 'status' => 'spam' ),
				3 => array( 'status' => 'b' ),
			),
			'batch'
		);
		$this->assertSame( array( 8, 9 ), array( $outcomes[1], $outcomes[3] ) );
		$sent = array();
		foreach ( array( 1, 2 ) as $n ) {
			$params = $this->request()[1];
			$sent[] = array( $params['id'], $params['request_id'] );
		}
		$this->assertSame( array( array( 1, 'batch#0' ), array( 3, 'batch#2' ) ), $sent );
	}

	/**
	 * A filter's name stands in a single place: with two meanings, the return value for one would break the other.
	 */
	public function test_each_filter_has_one_meaning(): void {
		$names = array();
		$files = new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( dirname( __DIR__, 2 ) . '/ticketd/src' ) );
		foreach ( $files as $file ) {
			if ( 'php' === $file->getExtension() ) {
				preg_match_all( "/apply_filters\(\s*'(ticketd_\w+)'/", file_get_contents( $file->getPathname() ), $found );
				array_push( $names, ...$found[1] );
			}
		}
		$this->assertGreaterThan( 10, count( $names ) );
		$this->assertSame( array_values( array_unique( $names ) ), $names );
	}
}
