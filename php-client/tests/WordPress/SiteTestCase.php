<?php
/**
 * Shared code of the tests of the plugin.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Connection;
use Ticketd\Client\PureCodec;
use Ticketd\Tests\Support\Peer;
use Ticketd\Tests\Support\Site;

/**
 * A new site for each test, and a stand-in for its daemon.
 */
abstract class SiteTestCase extends TestCase {

	/**
	 * The daemon's stand-in.
	 *
	 * @var Peer|null
	 */
	private ?Peer $peer = null;

	/**
	 * Starts with an empty site and an absent daemon.
	 */
	protected function setUp(): void {
		Site::reset();
		Site::connect( Peer::free_path() );
	}

	/**
	 * Ends the peer.
	 */
	protected function tearDown(): void {
		$this->peer = null;
	}

	/**
	 * Starts a peer that answers so many requests.
	 *
	 * @param array ...$answers For each request the error and the result.
	 */
	protected function daemon( array ...$answers ): void {
		$steps = array();
		foreach ( $answers as $index => list( $error, $result ) ) {
			$steps[] = array( 'frame' );
			$steps[] = array( 'send', Peer::reply( $index + 1, $error, $result ) );
		}
		$steps[]    = array( 'hold' );
		$this->peer = new Peer( array( $steps ) );
		Site::connect( $this->peer->socket );
	}

	/**
	 * The next request that the peer read: method and parameters, without a request id that was made up.
	 */
	protected function request(): array {
		list( $method, $params ) = $this->whole_request();
		if ( isset( $params['remember'] ) ) {
			$this->assertMatchesRegularExpression( '/^[0-9a-f]{32}$/', $params['request_id'] );
			$this->assertSame( 600, $params['remember'] );
			unset( $params['request_id'], $params['remember'] );
		}
		return array( $method, $params );
	}

	/**
	 * The next request that the peer read: method and parameters.
	 */
	protected function whole_request(): array {
		$message = ( new PureCodec() )->decode( substr( hex2bin( $this->peer->frame() ), Connection::HEADER_BYTES ) );
		return array( $message[2], $message[3] );
	}
}
