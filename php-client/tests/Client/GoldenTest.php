<?php
/**
 * Both codecs against the golden frames that the daemon's own tests read.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Codec;
use Ticketd\Client\Connection;
use Ticketd\Client\Result;
use Ticketd\Tests\Support\Codecs;

/**
 * All frames decode to their value, and canonical requests encode to their bytes.
 */
final class GoldenTest extends TestCase {

	/** Where the frames are. */
	private const DIRECTORY = __DIR__ . '/../../../protocol/testdata/';

	/**
	 * Every frame, with each codec.
	 */
	public static function frames(): array {
		$cases = array();
		foreach ( json_decode( file_get_contents( self::DIRECTORY . 'golden.json' ), true ) as $golden ) {
			foreach ( Codecs::all() as $codec => $of ) {
				$cases[ "{$golden['name']}, $codec" ] = array( $of, $golden );
			}
		}
		return $cases;
	}

	/**
	 * The bytes of a frame.
	 *
	 * @param string $file The file's name.
	 */
	private function frame( string $file ): string {
		$hex = preg_replace( array( '/^#.*$/m', '/\s+/' ), '', file_get_contents( self::DIRECTORY . $file ) );
		return hex2bin( $hex );
	}

	/**
	 * Decodes a frame, and encodes it again if there is a canonical form.
	 *
	 * @dataProvider frames
	 * @param Codec $codec  The codec.
	 * @param array $golden The frame's entry in the list.
	 */
	public function test_golden_frame( Codec $codec, array $golden ): void {
		$frame = $this->frame( $golden['file'] );
		$this->assertSame( strlen( $frame ), Connection::HEADER_BYTES + Connection::payload_length( $frame ) );
		$this->assertSame( $golden['value'], $codec->decode( substr( $frame, Connection::HEADER_BYTES ) ) );

		if ( 'request' === $golden['kind'] && $golden['canonical'] ) {
			list( , $id, $method, $params ) = $golden['value'];
			$this->assertSame( bin2hex( $frame ), bin2hex( Connection::frame( $codec->encode_request( $id, $method, $params ) ) ) );
		}
	}

	/**
	 * The list covers all requests of this client.
	 */
	public function test_every_method_has_a_canonical_request(): void {
		$methods = array();
		foreach ( $this->frames() as list( , $golden ) ) {
			if ( 'request' === $golden['kind'] && $golden['canonical'] ) {
				$methods[ $golden['value'][2] ] = true;
			}
		}
		$sent = array( 'create', 'delete', 'flush', 'get', 'get_many', 'list', 'count', 'ping', 'set', 'set_many', 'check', 'status', 'dead_list', 'dead_retry', 'dead_drop', 'history', 'erase_history', 'feed_status', 'feed_control', 'feed_dead_list', 'feed_dead_retry', 'feed_dead_drop', 'waiting', 'describe' );
		$this->assertSame( array(), array_diff( $sent, array_keys( $methods ) ) );
	}

	/**
	 * What the daemon answers about the history and the feed is what the client returns.
	 */
	public function test_replies_are_read(): void {
		$results = array();
		foreach ( $this->frames() as list( , $golden ) ) {
			$results[ $golden['name'] ] = $golden['value'][3] ?? null;
		}
		$page = Result::history( $results['reply-history'] );
		$this->assertSame( array( 1764000000123456, true ), array( $page['next'], $page['stale'] ) );
		$this->assertSame( array( 'assigned_to' => array( null, 3 ), 'notes' => array(), 'status' => array( 'pending' ) ), $page['changes'][0]['changes'] );
		$this->assertSame( array( true, false ), array_column( $page['changes'], 'gap' ) );
		$this->assertSame( array( false, true ), array_column( $page['changes'], 'erased' ) );
		$events = Result::events( $results['reply-feed_read'] )['events'];
		$this->assertSame( array( '812-1764000000000001', 'user:3', array( 'status' => 'open', 'assigned_to' => null ) ), array( $events[0]['id'], $events[0]['by'], $events[0]['was'] ) );
		$this->assertSame( array( 'gap', 0, array(), 88 ), array( $events[1]['kind'], $events[1]['ticket'], $events[1]['fields'], $events[1]['lost'] ) );
		$this->assertSame( array( 'by', 'feed' ), Result::pong( $results['reply-ping'] )['features'] );
		$feed = Result::feed( $results['reply-feed_status'] );
		$this->assertSame( array( 'crm', 'wordpress' ), array_column( $feed['destinations'], 'name' ) );
		$this->assertSame( array( 2, 864000 ), array( $feed['destinations'][0]['held'], $feed['history']['rows'] ) );
		$letter = Result::feed_letters( $results['reply-feed_dead_list'] )[0];
		$this->assertSame( array( 7, true, 'no such status' ), array( $letter['id'], $letter['held'], $letter['answer'] ) );
	}
}
