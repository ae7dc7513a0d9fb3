<?php
/**
 * The plugin while the daemon is away: reads.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Peer;

/**
 * Reads come from the database and the spool, in the daemon's form, and are marked stale.
 */
final class FallbackTest extends OutageTestCase {

	/** When a row was made. */
	private const MADE = '2026-11-01 10:00:00';

	/** The fields of a ticket with only its dates. */
	private const BLANK = array(
		'customer_id'    => null,
		'customer_name'  => null,
		'customer_email' => null,
		'subject'        => '',
		'status'         => 'open',
		'category'       => null,
		'priority'       => null,
		'assigned_to'    => null,
		'created_at'     => self::MADE,
		'updated_at'     => self::MADE,
		'deleted_at'     => null,
	);

	/**
	 * Puts a ticket into the table.
	 *
	 * @param int   $id      Its id.
	 * @param array $columns Its columns besides the dates.
	 */
	private function ticket( int $id, array $columns = array() ): void {
		$this->row( array( 'ticket_id' => $id ) + $columns + array( 'created_at' => self::MADE, 'updated_at' => self::MADE ) );
	}

	/**
	 * A row is shown as by the daemon: integers as integers, the extra column's members as fields.
	 */
	public function test_a_row_is_a_ticket(): void {
		$extra = '{"z":"last","note":"Gr\u00fc\u00dfe","12":"twelve","nothing":null,"_own":"x","n":1.50,"list":[1,"a/b"],"status":"shadow"}';
		$this->ticket( 812, array( 'customer_id' => 12, 'subject' => '007', 'revision' => 1763990000123456, 'extra' => $extra ) );
		$ticket = ticketd_get_ticket( 812 );
		$this->assertSame( array( 'id', 'revision', 'fields', 'stale' ), array_keys( $ticket ) );
		$this->assertSame( array( 812, 1763990000123456, true ), array( $ticket['id'], $ticket['revision'], $ticket['stale'] ) );
		$fields = array_replace( self::BLANK, array( 'customer_id' => 12, 'subject' => '007' ) )
			+ array( 12 => 'twelve', 'list' => '[1,"a/b"]', 'n' => '1.5', 'note' => 'Grüße', 'z' => 'last' );
		$this->assertSame( $fields, $ticket['fields'] );
	}

	/**
	 * A new column for a field of the extra column shows that field's value while the column is NULL, if the column
	 * accepts the value.
	 */
	public function test_a_column_follows_the_extra_column(): void {
		$GLOBALS['wpdb']->query( 'ALTER TABLE wp_support_tickets ADD COLUMN phone INT NULL, ADD COLUMN room VARCHAR(9) NULL' );
		$this->ticket( 812, array( 'room' => 'mine', 'extra' => '{"phone":"111","room":"old","category":"shadow"}' ) );
		$this->ticket( 813, array( 'extra' => '{"phone":"none","room":"7"}' ) );
		$fields = ticketd_get_ticket( 812 )['fields'];
		$this->assertSame( array( 111, 'mine', null ), array( $fields['phone'], $fields['room'], $fields['category'] ) );
		$fields = ticketd_get_ticket( 813 )['fields'];
		$this->assertSame( array( null, '7' ), array( $fields['phone'], $fields['room'] ) );
	}

	/**
	 * An id beyond PHP's integers stays text, a row that ticketd has never written has the revision 1, and an extra column
	 * that is no object has no fields.
	 */
	public function test_odd_rows(): void {
		$this->ticket( 812, array( 'customer_id' => '18446744073709551615', 'extra' => '[1]' ) );
		$ticket = ticketd_get_ticket( 812 );
		$this->assertSame( array( 1, '18446744073709551615' ), array( $ticket['revision'], $ticket['fields']['customer_id'] ) );
		$this->assertCount( count( self::BLANK ), $ticket['fields'] );
	}

	/**
	 * For a ticket in neither place, only the daemon knows; a deleted ticket is gone for good.
	 */
	public function test_absent_and_deleted_tickets(): void {
		$this->ticket( 1 );
		$this->ticket( 2, array( 'deleted_at' => self::MADE ) );
		$this->assertSame( 'ticketd_not_found', ticketd_get_ticket( 2 )->get_error_code() );
		$this->assertSame( 404, ticketd_get_ticket( 2 )->get_error_data()['status'] );
		$this->assertSame( 'ticketd_unavailable', ticketd_get_ticket( 3 )->get_error_code() );
		$tickets = ticketd_get_tickets( array( '1', 2, 3 ) );
		$this->assertSame( array( 1, 2, 3 ), array_keys( $tickets ) );
		$this->assertSame( array( 1, true ), array( $tickets[1]['id'], $tickets[1]['stale'] ) );
		$this->assertNull( $tickets[2] );
		$this->assertNull( $tickets[3] );
		$this->assertSame( 'ticketd_invalid', ticketd_get_tickets( range( 1, 1001 ) )->get_error_code() );
	}

	/**
	 * Pending changes in the spool are laid over the row in their order, as the daemon will store them.
	 */
	public function test_the_spool_is_over_the_row(): void {
		$this->ticket( 812, array( 'status' => 'open', 'priority' => 'low', 'revision' => 9, 'extra' => '{"color":"red"}' ) );
		$this->spool( 'set', 812, array( 'status' => 'pending', 'color' => 'blue', 'subject' => 5, 'category' => true, 'score' => 0.1 ), 1795000001 );
		$this->spool( 'set', 812, array( 'status' => 'closed', 'about' => 'x', 'assigned_to' => '7' ), 1795000002 );
		$this->spool( 'set', 81, array( 'status' => 'not this one' ) );
		$this->spool( 'set', 812, array( 'status' => 'not this site' ), 1795000003, 'shop' );
		$this->spool( 'set', 812, array( 'status' => 'not this table' ), 1795000004, '', 'shop.wp_support_tickets' );
		$ticket  = ticketd_get_ticket( 812 );
		$changed = array( 'subject' => '5', 'status' => 'closed', 'category' => '1', 'priority' => 'low', 'assigned_to' => 7, 'updated_at' => '2026-11-18 11:06:42' );
		$this->assertSame( array_replace( self::BLANK, $changed ) + array( 'about' => 'x', 'color' => 'blue', 'score' => '0.1' ), $ticket['fields'] );
		$this->assertSame( array( 9, true ), array( $ticket['revision'], $ticket['stale'] ) );
	}

	/**
	 * A pending Unix time for a date column is shown as the date that the daemon will make of it; elsewhere it is a
	 * number.
	 */
	public function test_unix_times_in_the_spool(): void {
		$this->ticket( 812 );
		ticketd_set_ticket( 812, array( 'created_at' => 1700000000, 'subject' => '1700000000', 'updated_at' => self::MADE ) );
		$fields = ticketd_get_ticket( 812 )['fields'];
		$this->assertSame(
			array( '2023-11-14 22:13:20', '1700000000', self::MADE ),
			array( $fields['created_at'], $fields['subject'], $fields['updated_at'] )
		);
	}

	/**
	 * Pending numbers in the spool have the daemon's stored form.
	 */
	public function test_numbers_are_written_as_the_daemon_does(): void {
		$this->ticket( 812 );
		$forms = array(
			'0.1'                     => 0.1,
			'0.30000000000000004'     => 0.1 + 0.2,
			'-2.5'                    => -2.5,
			'3'                       => 3.0,
			'0'                       => -0.0,
			'1000000'                 => 1e6,
			'100000000000000000000'   => 1e20,
			'-1234567890123456800'    => -1234567890123456789.0,
			'1e+21'                   => 1e21,
			'1.5e+300'                => 1.5e300,
			'0.000001'                => 1e-6,
			'0.0000012345678901234567' => 1.2345678901234567e-6,
			'1e-7'                    => 1e-7,
			'-1.25e-9'                => -1.25e-9,
		);
		foreach ( array_values( $forms ) as $i => $number ) {
			$this->spool( 'set', 812, array( "n$i" => $number ), 1795000000 + $i );
		}
		$fields = ticketd_get_ticket( 812 )['fields'];
		foreach ( array_keys( $forms ) as $i => $form ) {
			$this->assertSame( (string) $form, $fields[ "n$i" ] );
		}
	}

	/**
	 * A ticket that only the spool has is found, with the table's defaults.
	 */
	public function test_a_ticket_that_only_the_spool_has(): void {
		$id     = ticketd_create_ticket( array( 'subject' => 'No coffee', 'customer_id' => '7' ) );
		$before = gmdate( 'Y-m-d H:i:s', time() - 60 );
		ticketd_set_ticket( $id, array( 'priority' => 'high' ) );
		$ticket = ticketd_get_tickets( array( $id, 999 ) )[ $id ];
		$this->assertSame( array( $id, 0 ), array( $ticket['id'], $ticket['revision'] ) );
		$this->assertGreaterThan( $before, $ticket['fields']['created_at'] );
		$given = array( 'subject' => 'No coffee', 'customer_id' => 7, 'priority' => 'high' );
		$times = array( 'created_at' => $ticket['fields']['created_at'], 'updated_at' => $ticket['fields']['updated_at'] );
		$this->assertSame( array_replace( self::BLANK, $given, $times ), $ticket['fields'] );
	}

	/**
	 * A pending create under the id of another ticket shows none of its fields under that id, and neither do the
	 * changes after it: the daemon gives the new ticket another id.
	 */
	public function test_a_create_is_not_put_over_a_row(): void {
		$this->ticket( 812, array( 'status' => 'open', 'customer_id' => 5 ) );
		$this->spool( 'set', 812, array( 'priority' => 'high' ), 1795000001 );
		$this->spool( 'create', 812, array( 'subject' => 'mine', 'customer_id' => 4 ), 1795000002 );
		$this->spool( 'set', 812, array( 'status' => 'closed' ), 1795000003 );
		$fields = ticketd_get_ticket( 812 )['fields'];
		$this->assertSame(
			array( 5, 'open', 'high' ),
			array( $fields['customer_id'], $fields['status'], $fields['priority'] )
		);
	}

	/**
	 * A deletion in the spool hides the ticket; later changes have no effect.
	 */
	public function test_a_deletion_that_waits_hides_the_ticket(): void {
		$this->ticket( 812 );
		$this->spool( 'delete', 812, array(), 1795000001 );
		$this->spool( 'set', 812, array( 'status' => 'open' ), 1795000002 );
		$this->assertSame( 'ticketd_not_found', ticketd_get_ticket( 812 )->get_error_code() );
		$this->assertSame( array( 812 => null ), ticketd_get_tickets( array( 812 ) ) );
	}

	/**
	 * A daemon that cannot serve now counts as away; a refusal does not.
	 */
	public function test_which_failures_fall_back(): void {
		$this->ticket( 812 );
		$this->daemon( array( Peer::error( 'unavailable' ), null ), array( Peer::error( 'overloaded' ), null ), array( Peer::error( 'not_found' ), null ), array( Peer::error( 'internal' ), null ) );
		$this->assertTrue( ticketd_get_ticket( 812 )['stale'] );
		$this->assertTrue( ticketd_list_tickets()['stale'] );
		$this->assertSame( 'ticketd_not_found', ticketd_get_ticket( 812 )->get_error_code() );
		$this->assertSame( 'ticketd_internal', ticketd_get_ticket( 812 )->get_error_code() );
	}

	/**
	 * A page reads its own writes, also if the daemon accepted the changes and was gone before the database had them.
	 * Without that memory the new ticket is not found here (tried).
	 */
	public function test_a_page_reads_its_own_changes(): void {
		$this->ticket( 812 );
		$gone = array( Peer::error( 'unavailable' ), null );
		$this->daemon(
			array( null, array( 'id' => 900, 'revision' => 5 ) ),
			array( null, array( 'revision' => 6 ) ),
			array( null, array( 'results' => array( 7 ) ) ),
			array( null, array( 'revision' => 8 ) ),
			$gone,
			$gone
		);
		$this->assertSame( 900, ticketd_create_ticket( array( 'subject' => 'New' ) ) );
		$this->assertSame( 6, ticketd_set_ticket( 900, array( 'status' => 'pending' ) ) );
		$this->assertSame( array( 812 => 7 ), ticketd_set_tickets( array( 812 => array( 'status' => 'closed' ) ) ) );
		$this->assertSame( 8, ticketd_delete_ticket( 812 ) );
		$ticket = ticketd_get_ticket( 900 );
		$this->assertSame( array( 'New', 'pending', true ), array( $ticket['fields']['subject'], $ticket['fields']['status'], $ticket['stale'] ) );
		$this->assertSame( 'ticketd_not_found', ticketd_get_ticket( 812 )->get_error_code() );
	}

	/**
	 * Tickets for lists: id, status, priority, customer, created.
	 */
	private function several(): void {
		$tickets = array(
			array( 1, 'open', 'low', 7, '2026-11-01 10:00:00' ),
			array( 2, 'closed', null, 7, '2026-11-02 10:00:00' ),
			array( 3, 'open', 'high', 8, '2026-11-02 10:00:00' ),
			array( 4, 'pending', null, null, '2026-11-03 10:00:00' ),
			array( 5, 'open', 'low', 9, '2026-11-04 10:00:00' ),
		);
		foreach ( $tickets as list( $id, $status, $priority, $customer_id, $created_at ) ) {
			$this->row( array( 'ticket_id' => $id, 'updated_at' => self::MADE ) + compact( 'status', 'priority', 'customer_id', 'created_at' ) );
		}
		$this->ticket( 6, array( 'deleted_at' => self::MADE ) );
	}

	/**
	 * The ids of a page.
	 *
	 * @param array $args What is asked for.
	 */
	private static function ids( array $args ): array {
		return array_column( ticketd_list_tickets( $args )['tickets'], 'id' );
	}

	/**
	 * Revisions and ids can be asked for. A row that ticketd has not written is at revision 1. A limit may be a text.
	 */
	public function test_selects_by_revision_and_id(): void {
		$this->several();
		$this->ticket( 7, array( 'revision' => 5 ) );
		$at = fn( $filter ): array => self::ids( array( 'where' => array( 'revision' => $filter ) ) );
		$this->assertSame( array( 7 ), $at( array( '>' => 4 ) ) );
		$this->assertSame( array( 7 ), $at( array( '>=' => 2, '<=' => 5 ) ) );
		$this->assertSame( array( 5, 4, 3, 2, 1 ), $at( array( '!=' => 5 ) ) );
		$this->assertSame( array( 7, 5, 4, 3, 2, 1 ), $at( array( '5', 1 ) ) );
		$later = array( 'ticket_id' => array( '>' => 2 ) );
		$this->assertSame( array( 7, 5 ), self::ids( array( 'where' => $later, 'limit' => '2' ) ) );
	}

	/**
	 * Tickets are counted by the values of a field.
	 */
	public function test_counts_by_a_field(): void {
		$this->several();
		$by_status = ticketd_count_tickets_by( 'status', array( 'where' => array( 'priority' => null ) ) );
		$this->assertSame( array( 2, true ), array( $by_status['count'], $by_status['stale'] ) );
		$this->assertSame( array( 1, 1 ), array_column( $by_status['groups'], 'count' ) );
		$customers = array_column( ticketd_count_tickets_by( 'customer_id' )['groups'], 'value' );
		$this->assertContains( 7, $customers );
		$this->assertContains( null, $customers );
		foreach ( array( 'colour', 'extra', 'status`' ) as $field ) {
			$this->assertSame( 'ticketd_invalid', ticketd_count_tickets_by( $field )->get_error_code() );
		}
	}

	/**
	 * The tickets of a list are those of a get.
	 */
	public function test_a_list_holds_whole_tickets(): void {
		$this->ticket( 812, array( 'customer_id' => 12, 'extra' => '{"color":"red"}' ) );
		$this->assertSame( ticketd_get_ticket( 812 ), ticketd_list_tickets()['tickets'][0] );
	}

	/**
	 * Cursors are the daemon's: the daemon's cursors are read here, and these cursors equal the daemon's.
	 */
	public function test_cursors_are_those_of_the_daemon(): void {
		$this->several();
		$next = array();
		foreach ( array( array(), array( 'sort' => 'created_at', 'order' => 'asc' ), array( 'sort' => 'priority' ) ) as $args ) {
			$next[] = base64_decode( strtr( ticketd_list_tickets( $args + array( 'limit' => 4 ) )['next'], '-_', '+/' ) );
		}
		$this->assertSame( array( '{"s":"ticket_id","i":2}', '{"s":"created_at","a":true,"v":"2026-11-03 10:00:00","i":4}', '{"s":"priority","i":4}' ), $next );

		// As Go writes the mark of ticket 2 in the ascending order of created_at.
		$cursor = 'eyJzIjoiY3JlYXRlZF9hdCIsImEiOnRydWUsInYiOiIyMDI2LTExLTAyIDEwOjAwOjAwIiwiaSI6Mn0';
		$this->assertSame( array( 3, 4, 5 ), self::ids( array( 'sort' => 'created_at', 'order' => 'asc', 'after' => $cursor ) ) );
		$other = ticketd_list_tickets( array( 'sort' => 'created_at', 'after' => $cursor ) );
		$this->assertSame( array( 'ticketd_invalid', 'after' ), array( $other->get_error_code(), $other->get_error_data()['field'] ) );
	}

	/**
	 * Enums are sorted by the order of their members, bits are numbers, and dates of zeros do not mark a deletion.
	 */
	public function test_other_types_of_columns(): void {
		$GLOBALS['wpdb']->query( "ALTER TABLE wp_support_tickets MODIFY priority ENUM('low','high','absurd'), ADD vip BIT(1) DEFAULT b'0', ADD score DECIMAL(4,2)" );
		foreach ( array( 1 => 'absurd', 2 => 'low', 3 => 'high' ) as $id => $priority ) {
			$this->ticket( $id, array( 'priority' => $priority, 'score' => '1.5' ) );
		}
		$GLOBALS['wpdb']->query( "UPDATE wp_support_tickets SET vip = b'1', deleted_at = '0000-00-00 00:00:00'" );
		$args = array( 'sort' => 'priority', 'order' => 'asc', 'limit' => 1 );
		$page = ticketd_list_tickets( $args );
		$this->assertSame( array( 3, 1 ), self::ids( array( 'after' => $page['next'], 'limit' => 5 ) + $args ) );
		$this->assertSame( array( 1, '1.50' ), array( $page['tickets'][0]['fields']['vip'], $page['tickets'][0]['fields']['score'] ) );
	}

	/**
	 * Without the database, or with a missing or foreign table, the daemon's failure is returned, and nothing is
	 * printed.
	 */
	public function test_without_a_table_the_failure_is_told(): void {
		$calls = array(
			fn() => ticketd_get_ticket( 1 ),
			fn() => ticketd_get_tickets( array( 1 ) ),
			fn() => ticketd_list_tickets(),
			fn() => ticketd_count_tickets(),
			fn() => ticketd_count_tickets_by( 'status' ),
		);
		foreach ( array( 'wp_absent', 'wp_support_tickets_seq', 'no`name' ) as $table ) {
			remove_all_filters( 'ticketd_table' );
			add_filter( 'ticketd_table', fn() => $table );
			foreach ( $calls as $call ) {
				$this->assertSame( 'ticketd_unavailable', $call()->get_error_code() );
			}
		}
		$this->expectOutputString( '' );
	}
}
