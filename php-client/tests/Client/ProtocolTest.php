<?php
/**
 * The constants that both sides of the protocol share.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Connection;
use Ticketd\Client\Protocol;

/**
 * The client's constants equal the protocol's specification.
 */
final class ProtocolTest extends TestCase {

	/**
	 * SPEC.md has each number at its definition.
	 */
	public function test_limits_are_those_of_the_specification(): void {
		$spec = file_get_contents( __DIR__ . '/../../../protocol/SPEC.md' );
		$this->assertStringContainsString( '| payload of a frame | ' . number_format( Protocol::MAX_PAYLOAD ) . ' bytes |', $spec );
		$this->assertStringContainsString( sprintf( '| fields of one ticket in one request | %d |', Protocol::MAX_FIELDS ), $spec );
		$this->assertStringContainsString( '| tickets or ids in one request, tickets or letters of a page | ' . number_format( Protocol::MAX_TICKETS ) . ' |', $spec );
		$this->assertStringContainsString( sprintf( '| fields in a `where` / values of one of them | %d / %d |', Protocol::MAX_WHERE, Protocol::MAX_CHOICES ), $spec );
		$this->assertStringContainsString( sprintf( '| bytes of a text in `contains` | %d |', Protocol::MAX_CONTAINS ), $spec );
		$this->assertStringContainsString( '| groups of a `count` | ' . number_format( Protocol::MAX_GROUPS ) . ' |', $spec );
		$this->assertStringContainsString( sprintf( '| bytes of a field name / request id / site / method | %d |', Protocol::MAX_REQUEST_ID ), $spec );
		$this->assertStringContainsString( sprintf( '| bytes of a request id of `set` | %d |', Protocol::MAX_SET_REQUEST_ID ), $spec );
		$this->assertStringContainsString( '| time that a client waits for a reply: without `timeout_ms` / the most it says | ' . number_format( Protocol::TIMEOUT_MS ) . ' / ' . number_format( Protocol::MAX_TIMEOUT_MS ) . ' ms |', $spec );
		$this->assertStringContainsString( sprintf( 'version of the protocol: `0x%02x`', Protocol::VERSION ), $spec );
		$this->assertStringContainsString( '`id` is an integer from 1 to ' . number_format( Protocol::MAX_ID ), $spec );
	}

	/**
	 * Request ids start again at 1 behind the largest.
	 */
	public function test_request_ids_stay_within_their_limit(): void {
		$connection = new Connection();
		$last       = new \ReflectionProperty( Connection::class, 'last_id' );
		$last->setAccessible( true );
		$last->setValue( $connection, Protocol::MAX_ID - 1 );
		$this->assertSame( Protocol::MAX_ID, $connection->next_id() );
		$this->assertSame( 1, $connection->next_id() );
	}
}
