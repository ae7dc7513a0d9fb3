<?php
/**
 * The public functions and the drop-in functions.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Peer;

/**
 * Functions return values, or a WP_Error that says what a caller needs to know.
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
	 * Set and delete return the revision, get what the daemon has.
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
	 * Nothing throws and nothing warns while the daemon is away.
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
	 * The site is asked for at each call, so that each blog may have its own, and all share the connection.
	 */
	public function test_each_call_asks_for_its_site(): void {
		$this->daemon( array( null, array( 'dirty' => 0 ) ), array( null, array( 'dirty' => 0 ) ) );
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
	}

	/**
	 * The functions of the guide write and read through ticketd.
	 */
	public function test_the_drop_in_functions(): void {
		$this->daemon( array( null, array( 'revision' => 8 ) ), array( null, array( 'revision' => 9 ) ), array( null, self::TICKET ), array( Peer::error( 'not_found' ), null ) );
		$this->assertTrue( my_support_plugin_write_ticket_metadata( 812, array( 'status' => 'open' ) ) );
		$this->assertTrue( my_support_plugin_update_ticket_metadata_field( 812, 'customer_id', 12 ) );
		$this->assertSame( self::TICKET['fields'], my_support_plugin_get_ticket_metadata( 812 ) );
		$this->assertFalse( my_support_plugin_get_ticket_metadata( 813 ) );
		$this->request();
		$this->assertSame( array( 'set', array( 'id' => 812, 'fields' => array( 'customer_id' => 12 ) ) ), $this->request() );
	}

	/**
	 * The functions of the guide say false while the daemon is away.
	 */
	public function test_the_drop_in_functions_without_a_daemon(): void {
		$this->assertFalse( my_support_plugin_write_ticket_metadata( 812, array( 'status' => 'open' ) ) );
		$this->assertFalse( my_support_plugin_update_ticket_metadata_field( 812, 'status', 'open' ) );
		$this->assertFalse( my_support_plugin_get_ticket_metadata( 812 ) );
	}
}
