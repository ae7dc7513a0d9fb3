<?php
/**
 * The public functions and the drop-in functions.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Peer;

/**
 * Functions return values, or a WP_Error with all that a caller needs to know.
 */
final class FunctionsTest extends SiteTestCase {

	/** A ticket as the daemon sends it. */
	private const TICKET = array(
		'id'       => 812,
		'revision' => 7,
		'fields'   => array(
			'status'      => 'open',
			'customer_id' => 12,
			'category'    => null,
		),
	);

	/**
	 * Create returns the id.
	 */
	public function test_create_returns_the_id(): void {
		$this->daemon( array( null, array( 'id' => 812, 'revision' => 7 ) ) );
		$this->assertSame( 812, ticketd_create_ticket( array( 'status' => 'open' ), 'form-1' ) );
		$this->assertSame( array( 'create', array( 'fields' => array( 'status' => 'open' ), 'request_id' => 'form-1' ) ), $this->request() );
	}

	/**
	 * Set and delete return the revision, get returns the daemon's ticket.
	 */
	public function test_set_get_and_delete(): void {
		$this->daemon( array( null, array( 'revision' => 8 ) ), array( null, self::TICKET ), array( null, array( 'revision' => 9 ) ) );
		$this->assertSame( 8, ticketd_set_ticket( 812, array( 'status' => 'open' ), 7 ) );
		$this->assertSame( self::TICKET, ticketd_get_ticket( 812 ) );
		$this->assertSame( 9, ticketd_delete_ticket( 812 ) );
		$this->assertSame( 7, $this->request()[1]['if_revision'] );
	}

	/**
	 * Batches are keyed by id; ids may be the strings of a database's result.
	 */
	public function test_batches_are_keyed_by_id(): void {
		$this->daemon(
			array( null, array( 'results' => array( 8, Peer::error( 'invalid' ) + array( 'field' => 'status' ) ) ) ),
			array( null, array( 'tickets' => array( self::TICKET, null ) ) )
		);
		$outcomes = ticketd_set_tickets( array( 812 => array( 'status' => 'open' ), 813 => array( 'status' => '?' ) ) );
		$this->assertSame( 8, $outcomes[812] );
		$this->assertSame( 'ticketd_invalid', $outcomes[813]->get_error_code() );
		$this->assertSame( 'status', $outcomes[813]->get_error_data()['field'] );
		$this->assertSame( array( 812 => self::TICKET, 813 => null ), ticketd_get_tickets( array( '812', 813 ) ) );
	}

	/**
	 * List and count pass on what is asked for.
	 */
	public function test_list_and_count(): void {
		$page = array( 'tickets' => array( self::TICKET ), 'next' => null );
		$this->daemon( array( null, $page ), array( null, array( 'count' => 1 ) ) );
		$this->assertSame( $page, ticketd_list_tickets( array( 'where' => array( 'status' => 'open' ), 'limit' => 20 ) ) );
		$this->assertSame( 1, ticketd_count_tickets( array( 'where' => array( 'status' => 'open' ) ) ) );
		$this->assertSame( array( 'list', array( 'where' => array( 'status' => 'open' ), 'limit' => 20 ) ), $this->request() );
	}

	/**
	 * Flush and status return the daemon's answer.
	 */
	public function test_flush_and_status(): void {
		$this->daemon( array( null, array( 'flushed' => 3, 'dead' => 0 ) ), array( null, array( 'dirty' => 0 ) ) );
		$this->assertSame( array( 'flushed' => 3, 'dead' => 0 ), ticketd_flush() );
		$this->assertSame( array( 'dirty' => 0 ), ticketd_status() );
		$this->assertSame( array( 'flush', array() ), $this->request() );
	}

	/**
	 * No function throws or warns while the daemon is away.
	 */
	public function test_an_absent_daemon_is_a_wp_error(): void {
		$results = array(
			ticketd_create_ticket( array( 'status' => 'open' ), 'form-1' ),
			ticketd_set_ticket( 1, array( 'status' => 'open' ) ),
			ticketd_set_tickets( array( 1 => array( 'status' => 'open' ) ) ),
			ticketd_get_ticket( 1 ),
			ticketd_get_tickets( array( 1 ) ),
			ticketd_list_tickets(),
			ticketd_count_tickets(),
			ticketd_count_tickets_by( 'status' ),
			ticketd_list_dead_letters(),
			ticketd_retry_dead_letters( null ),
			ticketd_drop_dead_letters( array( 1 ) ),
			ticketd_delete_ticket( 1 ),
			ticketd_flush(),
			ticketd_status(),
		);
		foreach ( $results as $result ) {
			$this->assertInstanceOf( \WP_Error::class, $result );
			$this->assertSame( 'ticketd_unavailable', $result->get_error_code() );
		}
		$this->assertSame(
			array( 'status' => 503, 'field' => '', 'retryable' => true, 'ambiguous' => false, 'request_id' => 'form-1' ),
			$results[0]->get_error_data()
		);
	}

	/**
	 * The site is read at each call, so that each blog may have its own site, and all blogs share the connection.
	 */
	public function test_each_call_asks_for_its_site(): void {
		$status = array( null, array( 'dirty' => 0 ) );
		$set    = array( null, array( 'revision' => 8 ) );
		$this->daemon( $status, $status, $set, $set );
		$blog = 1;
		add_filter(
			'ticketd_site',
			static function () use ( &$blog ): string {
				return "blog-$blog";
			}
		);
		ticketd_status();
		$blog = 2;
		ticketd_status();
		$this->assertSame( array( 'status', array( 'site' => 'blog-1' ) ), $this->request() );
		$this->assertSame( array( 'status', array( 'site' => 'blog-2' ) ), $this->request() );
		ticketd_set_ticket( 812, array( 'status' => 'open' ) );
		$blog = 1;
		ticketd_set_ticket( 812, array( 'status' => 'open' ) );
		$this->assertSame( 'blog-2', $this->request()[1]['site'] );
		$this->assertSame( 'blog-1', $this->request()[1]['site'] );
	}

	/**
	 * The functions of the guide write and read through ticketd, and return the same as the guide's: times and
	 * customer_id as integers, other values as texts, nothing for NULL.
	 */
	public function test_the_drop_in_functions(): void {
		$ticket = self::TICKET;

		$ticket['fields'] += array( 'created_at' => '2023-11-14 22:13:20', 'assigned_to' => 3, 'seen_at' => '1700000001', 'subject' => '2023-11-14' );
		$this->daemon(
			array( null, $ticket ),
			array( null, array( 'revision' => 8 ) ),
			array( null, $ticket ),
			array( null, array( 'revision' => 9 ) ),
			array( null, $ticket ),
			array( Peer::error( 'not_found' ), null )
		);
		$this->assertTrue( my_support_plugin_write_ticket_metadata( 812, array( 'ticket_id' => 812, 'created_at' => 1700000000 ) ) );
		$this->assertTrue( my_support_plugin_update_ticket_metadata_field( 812, 'customer_id', 12 ) );
		$this->assertSame(
			array(
				'status'      => 'open',
				'customer_id' => 12,
				'created_at'  => 1700000000,
				'assigned_to' => '3',
				'seen_at'     => 1700000001,
				'subject'     => '2023-11-14',
			),
			my_support_plugin_get_ticket_metadata( 812 )
		);
		$this->assertFalse( my_support_plugin_get_ticket_metadata( 813 ) );
		$this->request();
		$this->assertSame( array( 'set', array( 'id' => 812, 'fields' => array( 'created_at' => 1700000000 ) ) ), $this->request() );
		$this->request();
		$this->assertSame( array( 'set', array( 'id' => 812, 'fields' => array( 'customer_id' => 12 ) ) ), $this->request() );
	}

	/**
	 * A plugin says which of its fields it casts.
	 */
	public function test_the_integers_of_the_drop_in_functions(): void {
		$this->daemon( array( null, self::TICKET ) );
		add_filter( 'ticketd_drop_in_integers', '__return_empty_array' );
		$this->assertSame( array( 'status' => 'open', 'customer_id' => '12' ), my_support_plugin_get_ticket_metadata( 812 ) );
		remove_filter( 'ticketd_drop_in_integers', '__return_empty_array' );
	}

	/**
	 * Listeners receive a ticket made by the functions of the guide as a new ticket.
	 */
	public function test_the_drop_in_functions_tell_of_a_new_ticket(): void {
		$told = array();
		$tell = static function ( int $id, array $fields, int $revision ) use ( &$told ): void {
			$told[] = array( current_action(), $id, $fields, $revision );
		};
		add_action( 'ticketd_ticket_created', $tell, 10, 3 );
		add_action( 'ticketd_ticket_updated', $tell, 10, 3 );
		$this->daemon(
			array( Peer::error( 'not_found' ), null ),
			array( null, array( 'revision' => 8 ) ),
			array( null, self::TICKET ),
			array( null, array( 'revision' => 9 ) )
		);
		my_support_plugin_write_ticket_metadata( 812, array( 'status' => 'open' ) );
		my_support_plugin_write_ticket_metadata( 812, array( 'status' => 'closed' ) );
		$this->assertSame(
			array(
				array( 'ticketd_ticket_created', 812, array( 'status' => 'open' ), 8 ),
				array( 'ticketd_ticket_updated', 812, array( 'status' => 'closed' ), 9 ),
			),
			$told
		);
	}

	/**
	 * The functions of the guide return false if the daemon is away or refuses, and PHP's log has the reason but no
	 * value.
	 */
	public function test_the_drop_in_functions_log_why_they_fail(): void {
		$log  = tempnam( sys_get_temp_dir(), 'ticketd' );
		$here = ini_set( 'error_log', $log );
		$this->assertFalse( my_support_plugin_write_ticket_metadata( 812, array( 'status' => 'private' ) ) );
		$this->assertFalse( my_support_plugin_update_ticket_metadata_field( 812, 'status', 'private' ) );
		$this->assertFalse( my_support_plugin_get_ticket_metadata( 812 ) );
		$this->daemon( array( null, self::TICKET ), array( Peer::error( 'invalid' ) + array( 'field' => 'status' ), null ) );
		$this->assertFalse( my_support_plugin_write_ticket_metadata( 812, array( 'status' => 'private' ) ) );
		ini_set( 'error_log', (string) $here );
		$lines = file( $log );
		unlink( $log );
		$this->assertCount( 4, $lines );
		$this->assertStringContainsString( 'could not read ticket 812', $lines[2] );
		$this->assertStringContainsString( 'could not write ticket 812 (field status)', $lines[3] );
		$this->assertStringNotContainsString( 'private', implode( '', $lines ) );
	}

	/**
	 * A conflict tells the revision that the ticket is at.
	 */
	public function test_a_conflict_has_the_revision(): void {
		$this->daemon( array( Peer::error( 'conflict' ) + array( 'revision' => 9 ), null ) );
		$conflict = ticketd_set_ticket( 812, array( 'status' => 'closed' ), 7 );
		$this->assertSame( 'ticketd_conflict', $conflict->get_error_code() );
		$this->assertSame( 9, $conflict->get_error_data()['revision'] );
		$this->assertSame( 409, $conflict->get_error_data()['status'] );
	}
}
