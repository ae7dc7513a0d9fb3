<?php
/**
 * Clients of named options.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Psr\Log\LoggerInterface;
use Ticketd\Client\Client;
use Ticketd\Client\ClientFactory;
use Ticketd\Client\ConnectException;
use Ticketd\Client\InputException;
use Ticketd\Client\SpoolingClient;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;

require_once __DIR__ . '/../Support/psr-log.php';

/**
 * The factory makes the client that the options ask for, and what no exception tells goes to the logger.
 */
final class ClientFactoryTest extends TestCase {

	/**
	 * A logger that keeps the lines: level, message with its placeholders filled, and the context.
	 */
	private function logger(): LoggerInterface {
		return new class() implements LoggerInterface {
			/**
			 * The lines.
			 *
			 * @var array[]
			 */
			public array $lines = array();

			/**
			 * Keeps a line.
			 *
			 * @param string $message The message.
			 * @param array  $context Its context.
			 */
			public function warning( $message, array $context = array() ) {
				$this->keep( 'warning', $message, $context );
			}

			/**
			 * Keeps a line.
			 *
			 * @param string $message The message.
			 * @param array  $context Its context.
			 */
			public function notice( $message, array $context = array() ) {
				$this->keep( 'notice', $message, $context );
			}

			/**
			 * Keeps a line.
			 *
			 * @param string $level   The level.
			 * @param string $message The message.
			 * @param array  $context Its context.
			 */
			private function keep( string $level, string $message, array $context ): void {
				foreach ( $context as $name => $value ) {
					$message = is_scalar( $value ) ? str_replace( '{' . $name . '}', (string) $value, $message ) : $message;
				}
				$this->lines[] = array( $level, $message, $context );
			}
		};
	}

	/**
	 * Without a spool a change fails while no daemon listens, and nothing is logged: the exception tells it.
	 */
	public function test_without_a_spool(): void {
		$logger = $this->logger();
		$client = ClientFactory::create( array( 'socket' => Peer::free_path(), 'logger' => $logger ) );
		$this->assertInstanceOf( Client::class, $client );
		try {
			$client->set( 812, array( 'status' => 'open' ) );
			$this->fail( 'It was taken.' );
		} catch ( ConnectException $e ) {
			$this->assertSame( array(), $logger->lines );
		}
	}

	/**
	 * With a spool the change is kept, and the logger gets a warning with names and ids, not with values.
	 */
	public function test_a_spooled_change_is_logged(): void {
		$folder = new Folder();
		$logger = $this->logger();
		$client = ClientFactory::create(
			array(
				'socket' => Peer::free_path(),
				'site'   => 'desk',
				'spool'  => $folder->path,
				'logger' => $logger,
			)
		);
		$this->assertInstanceOf( SpoolingClient::class, $client );
		$this->assertSame( 0, $client->set( 812, array( 'status' => 'secret' ), 0, 'r-1' ) );
		list( $level, $message, $context ) = $logger->lines[0];
		$this->assertSame( array( 'warning', 'ticketd is unreachable (unavailable): set of ticket 812 was spooled.' ), array( $level, $message ) );
		$this->assertInstanceOf( ConnectException::class, $context['exception'] );
		unset( $context['exception'] );
		$want = array( 'method' => 'set', 'ticket' => 812, 'site' => 'desk', 'request_id' => 'r-1', 'reason' => 'unavailable' );
		$this->assertSame( $want, $context );
		$this->assertCount( 1, $logger->lines );
	}

	/**
	 * A call that is sent again, and a daemon that hangs.
	 */
	public function test_a_lost_connection_and_a_hanging_daemon_are_logged(): void {
		$answer = array( array( 'frame' ), array( 'send', Peer::reply( 2, null, array( 'revision' => 7 ) ) ), array( 'frame' ), array( 'hold' ) );
		$peer   = new Peer( array( array( array( 'frame' ) ), $answer ) );
		$logger = $this->logger();
		$client = ClientFactory::create( array( 'socket' => $peer->socket, 'timeout_ms' => 300, 'logger' => $logger ) );
		$this->assertSame( 7, $client->set( 812, array( 'status' => 'open' ) ) );
		try {
			$client->set( 812, array( 'status' => 'open' ) );
			$this->fail( 'It was answered.' );
		} catch ( \Ticketd\Client\TimeoutException $e ) {
			$want = array(
				array( 'notice', 'set: ticketd hung up; the call is sent again.' ),
				array( 'warning', 'set: ticketd hangs; calls fail at once for a moment.' ),
			);
			$this->assertSame( $want, array_map( fn( array $line ): array => array_slice( $line, 0, 2 ), $logger->lines ) );
		}
	}

	/**
	 * A mistyped option is refused.
	 */
	public function test_an_unknown_option_is_refused(): void {
		$this->expectException( InputException::class );
		ClientFactory::create( array( 'sockett' => '/run/ticketd/ticketd.sock' ) );
	}
}
