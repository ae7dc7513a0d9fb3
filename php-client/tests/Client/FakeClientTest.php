<?php
/**
 * The client for unit tests.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\DaemonException;
use Ticketd\Client\FakeClient;
use Ticketd\Client\InputException;
use Ticketd\Client\LostException;
use Ticketd\Client\TicketdException;
use Ticketd\Client\TimeoutException;

/**
 * The fake answers as the daemon does.
 */
final class FakeClientTest extends TestCase {

	/**
	 * The error's reason.
	 *
	 * @param callable $call What is refused.
	 */
	private static function refusal( callable $call ): TicketdException {
		try {
			$call();
		} catch ( TicketdException $e ) {
			return $e;
		}
		self::fail( 'It was not refused.' );
	}

	/**
	 * Revisions, conditions, deletions and merging.
	 */
	public function test_changes(): void {
		$fake = new FakeClient( fn(): int => 1793613600 );
		$made = $fake->create( array( 'status' => 'open', 'customer_id' => 7 ) );
		$this->assertSame( array( 'id' => 1, 'revision' => 1 ), $made );
		$this->assertSame( 2, $fake->set( 1, array( 'status' => null, 'vip' => true ), 1 ) );
		$ticket = array(
			'id'       => 1,
			'revision' => 2,
			'fields'   => array(
				'created_at'  => '2026-11-02 10:00:00',
				'updated_at'  => '2026-11-02 10:00:00',
				'status'      => null,
				'customer_id' => 7,
				'vip'         => 1,
			),
		);
		$this->assertSame( $ticket, $fake->get( 1 ) );
		$conflict = self::refusal( fn() => $fake->set( 1, array( 'status' => 'closed' ), 1 ) );
		$this->assertSame( array( 'conflict', 2 ), array( $conflict->reason(), $conflict->revision() ) );
		$this->assertSame( 'not_found', self::refusal( fn() => $fake->set( 9, array( 'status' => 'x' ), 0, '', true ) )->reason() );
		$this->assertSame( 'exists', self::refusal( fn() => $fake->create( array( 'status' => 'x' ), '', 1 ) )->reason() );
		$this->assertSame( array( 'flushed' => 1, 'dead' => 0 ), $fake->flush() );
		$this->assertSame( 3, $fake->delete( 1 ) );
		$this->assertSame( 3, $fake->delete( 1 ) );
		$this->assertSame( 'not_found', self::refusal( fn() => $fake->get( 1 ) )->reason() );
		$this->assertSame( 'not_found', self::refusal( fn() => $fake->set( 1, array( 'status' => 'x' ) ) )->reason() );
		$this->assertSame( array( 1 => null, 2 => null ), $fake->get_many( array( 1, '2' ) ) );
		$this->assertSame( 1, $fake->status()['dirty'] );
	}

	/**
	 * A repeated request id gets the first answer; for another request it is refused.
	 */
	public function test_request_ids(): void {
		$fake  = new FakeClient();
		$first = $fake->create( array( 'status' => 'open' ), 'form-1' );
		$this->assertSame( $first, $fake->create( array( 'status' => 'open' ), 'form-1' ) );
		$this->assertSame( 1, $fake->count_tickets() );
		$other = self::refusal( fn() => $fake->create( array( 'status' => 'new' ), 'form-1' ) );
		$this->assertSame( array( 'invalid', 'request_id' ), array( $other->reason(), $other->field() ) );
	}

	/**
	 * A check tells what a change would be answered.
	 */
	public function test_check(): void {
		$fake = new FakeClient();
		$fake->create( array( 'status' => 'open', 'customer_id' => 7 ), 'form-1' );
		$fake->set( 2, array( 'status' => 'open' ) );
		$fake->delete( 2 );
		$entries = array(
			array( 1, array( 'status' => 'closed', 'customer_id' => '7' ) ),
			array( null, array( 'status' => 'open' ) ),
			array( null, array( 'status' => 'open' ), 'form-1' ),
			array( 2, array( 'status' => 'open' ) ),
		);
		$judged  = $fake->check( $entries );
		$this->assertSame( array( 'id' => 1, 'revision' => 1, 'differs' => array( 'status' ) ), $judged[0] );
		$this->assertSame( array( 'id' => null, 'revision' => 0, 'differs' => array( 'status' ) ), $judged[1] );
		$this->assertSame( array( 'id' => 1, 'revision' => 1, 'differs' => array() ), $judged[2] );
		$this->assertSame( 'not_found', $judged[3]->reason() );
		$this->assertSame( 1, $fake->count_tickets() );
	}

	/**
	 * Filters, order, pages and groups.
	 */
	public function test_selections(): void {
		$fake = new FakeClient();
		foreach ( array( array( 'open', 'low', 7 ), array( 'Open', null, 10 ), array( 'closed', 'high', 9 ) ) as list( $status, $priority, $customer_id ) ) {
			$fake->create( compact( 'status', 'priority', 'customer_id' ) );
		}
		$ids = fn( array $where, array $args = array() ): array => array_column( $fake->list_tickets( compact( 'where' ) + $args )['tickets'], 'id' );
		$this->assertSame( array( 2, 1 ), $ids( array( 'status' => 'open' ) ) );
		$this->assertSame( array( 3 ), $ids( array( 'status' => array( '!=' => 'open' ) ) ) );
		$this->assertSame( array( 3, 2 ), $ids( array( 'priority' => array( '!=' => 'low' ) ) ) );
		$this->assertSame( array( 2 ), $ids( array( 'priority' => null ) ) );
		$this->assertSame( array( 3, 2 ), $ids( array( 'customer_id' => array( '>' => 7, '<=' => '10' ) ) ) );
		$this->assertSame( array( 2, 3 ), $ids( array( 'ticket_id' => array( '>=' => 2 ) ), array( 'order' => 'asc' ) ) );
		$this->assertSame( array( 2, 1, 3 ), $ids( array(), array( 'sort' => 'status' ) ) );
		$page = $fake->list_tickets( array( 'limit' => '2' ) );
		$this->assertSame( array( 1 ), $ids( array(), array( 'after' => $page['next'] ) ) );
		$this->assertSame( 1, $fake->count_tickets( array( 'contains' => array( 'status' => 'LOSE' ) ) ) );
		$this->assertSame( 0, $fake->count_tickets( array( 'created_at' => array( 'before' => '2026-01-01' ) ) ) );
		$by = $fake->count_tickets_by( 'priority' );
		$this->assertSame( array( 3, 3 ), array( $by['count'], count( $by['groups'] ) ) );
		$this->expectException( InputException::class );
		$fake->count_tickets( array( 'where' => array( 'status' => array( 'not' => 'open' ) ) ) );
	}

	/**
	 * What the daemon refuses for any table, the fake refuses, with the same reason and field: a test that passes with
	 * the fake would hide the fault.
	 */
	public function test_refusals(): void {
		$fake = new FakeClient();
		$fake->create( array( 'status' => 'open' ) );
		$many = array_fill_keys( range( 1, 1001 ), array( 'status' => 'open' ) );
		foreach (
			array(
				array( 'limit', fn() => $fake->list_tickets( array( 'limit' => 0 ) ) ),
				array( 'limit', fn() => $fake->list_tickets( array( 'limit' => 1001 ) ) ),
				array( 'page', fn() => $fake->list_tickets( array( 'page' => 2 ) ) ),
				array( 'limit', fn() => $fake->count_tickets( array( 'limit' => 1 ) ) ),
				array( 'after', fn() => $fake->list_tickets( array( 'after' => 'xyz' ) ) ),
				array( 'after', fn() => $fake->list_tickets( array( 'after' => null ) ) ),
				array( 'sort', fn() => $fake->list_tickets( array( 'sort' => 'subject' ) ) ),
				array( 'order', fn() => $fake->list_tickets( array( 'order' => 'DESC' ) ) ),
				array( 'deleted', fn() => $fake->count_tickets( array( 'deleted' => 1 ) ) ),
				array( 'where', fn() => $fake->count_tickets( array( 'where' => array( '_x' => 1 ) ) ) ),
				array( 'where', fn() => $fake->count_tickets( array( 'where' => array_fill( 1, 17, 'x' ) ) ) ),
				array( 'by', fn() => $fake->count_tickets_by( 'a b' ) ),
				array( 'id', fn() => $fake->get( 0 ) ),
				array( 'ids', fn() => $fake->get_many( array( -1 ) ) ),
				array( 'ids', fn() => $fake->get_many( range( 1, 1001 ) ) ),
				array( 'id', fn() => $fake->set( 0, array( 'status' => 'open' ) ) ),
				array( 'id', fn() => $fake->delete( 0 ) ),
				array( 'fields', fn() => $fake->set( 1, array() ) ),
				array( 'fields', fn() => $fake->create( array() ) ),
				array( '_x', fn() => $fake->set( 1, array( '_x' => 1 ) ) ),
				array( 'subject', fn() => $fake->set( 1, array( 'subject' => "\xFF" ) ) ),
				array( 'request_id', fn() => $fake->create( array( 'status' => 'open' ), 'a b' ) ),
				array( 'tickets', fn() => $fake->set_many( $many ) ),
			) as $index => list( $field, $call )
		) {
			$refusal = self::refusal( $call );
			$this->assertSame( array( 'invalid', $field ), array( $refusal->reason(), $refusal->field() ), "call $index" );
		}
		$outcomes = $fake->set_many( array( 1 => array( 'status' => 'new' ), 2 => array( '_x' => 1 ) ) );
		$this->assertSame( array( 2, '_x' ), array( $outcomes[1], $outcomes[2]->field() ) );
		$this->assertSame( 1, $fake->count_tickets() );
	}

	/**
	 * Calls fail as they are told to, and are remembered.
	 */
	public function test_failures(): void {
		$fake = new FakeClient();
		$fake->fail_next( 'unavailable', 2 );
		$fake->fail_next( 'timeout' );
		$fake->fail_next( 'lost' );
		$fake->fail_next( new DaemonException( 'invalid', 'too long', false, false, 'subject' ) );
		$outage = self::refusal( fn() => $fake->get( 1 ) );
		$this->assertSame( array( true, true ), array( $outage->is_outage(), $outage->retryable() ) );
		$this->assertSame( 'unavailable', self::refusal( fn() => $fake->ping() )->reason() );
		$this->assertInstanceOf( TimeoutException::class, self::refusal( fn() => $fake->get( 1 ) ) );
		$this->assertInstanceOf( LostException::class, self::refusal( fn() => $fake->get( 1 ) ) );
		$this->assertSame( 'subject', self::refusal( fn() => $fake->set( 1, array( 'subject' => 'x' ) ) )->field() );
		$this->assertSame( 1, $fake->set( 1, array( 'subject' => 'x' ) ) );
		$this->assertSame( array( 'set', array( 1, array( 'subject' => 'x' ), 0, '', false ) ), $fake->calls()[5] );
		$outcomes = $fake->set_many( array( 1 => array( 'a' => 1 ), 2 => array( 'a' => 1 ) ), '', true );
		$this->assertSame( 2, $outcomes[1] );
		$this->assertSame( 'not_found', $outcomes[2]->reason() );
	}

	/**
	 * Changes are pending until a flush hands them over.
	 */
	public function test_pending_changes(): void {
		$fake = new FakeClient();
		$seen = array();
		$fake->flush_into(
			static function ( int $id, array $fields, bool $is_deleted ) use ( &$seen ): void {
				$seen[] = array( $id, $fields, $is_deleted );
			}
		);
		$fake->set( 7, array( 'status' => 'open' ) );
		$fake->set( 7, array( 'note' => null ) );
		$pending = array(
			'revision' => 2,
			'fields'   => array( 'status' => 'open', 'note' => null ),
		);
		$this->assertSame( array( 7 => $pending, 8 => null ), $fake->waiting( array( 7, 8 ) )['tickets'] );
		$fake->flush( array( 7 ) );
		$this->assertSame( array( array( 7, $pending['fields'], false ) ), $seen );
		$this->assertSame( array( 7 => null ), $fake->waiting( array( 7 ) )['tickets'] );
		$this->assertSame( 'table', $fake->describe()['kind'] );
		$fake->describe_as( array( 'kind' => 'postmeta', 'keys' => array( 'status' => '_st' ) ) );
		$this->assertSame( array( 'status' => '_st' ), $fake->describe()['keys'] );
	}
}
