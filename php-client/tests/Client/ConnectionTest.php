<?php
/**
 * The connection against peers that are slow, silent, dead or hostile.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Client;
use Ticketd\Client\ConnectException;
use Ticketd\Client\Connection;
use Ticketd\Client\DaemonException;
use Ticketd\Client\LostException;
use Ticketd\Client\Protocol;
use Ticketd\Client\ProtocolException;
use Ticketd\Client\PureCodec;
use Ticketd\Client\TicketdException;
use Ticketd\Client\TimeoutException;
use Ticketd\Tests\Support\Peer;

/**
 * The client's reaction to a misbehaving peer.
 */
final class ConnectionTest extends TestCase {

	/** What set() answers. */
	private const DONE = array( 'revision' => 9 );

	/** How much later than its deadline a call may end on a busy machine, in milliseconds. */
	private const TOLERANCE_MS = 300;

	/**
	 * Calls set() and returns the expected failure.
	 *
	 * @param Client $client The client.
	 * @param string $kind   The exception's class.
	 * @param array  $fields The fields to set.
	 */
	private function failure( Client $client, string $kind, array $fields = array( 'status' => 'open' ) ): TicketdException {
		try {
			$client->set( 1, $fields );
		} catch ( TicketdException $e ) {
			$this->assertInstanceOf( $kind, $e );
			return $e;
		}
		$this->fail( 'the call succeeded' );
	}

	/**
	 * Runs a call that must end at its deadline, not before and not much later.
	 *
	 * @param int      $limit_ms The deadline.
	 * @param callable $call     The call.
	 */
	private function assert_ends_at( int $limit_ms, callable $call ): void {
		$start = hrtime( true );
		$call();
		$took_ms = ( hrtime( true ) - $start ) / 1e6;
		$this->assertGreaterThanOrEqual( $limit_ms, $took_ms );
		$this->assertLessThan( $limit_ms + self::TOLERANCE_MS, $took_ms );
	}

	/**
	 * Nobody listens.
	 */
	public function test_an_absent_daemon_is_unavailable_at_once(): void {
		$failure = $this->failure( new Client( new Connection( Peer::free_path() ) ), ConnectException::class );
		$this->assertSame( 'unavailable', $failure->reason() );
		$this->assertTrue( $failure->retryable() );
		$this->assertFalse( $failure->ambiguous() );
		$this->assertStringContainsString( 'No such file', $failure->getMessage() );
	}

	/**
	 * PHP would cut a long path and connect to a different path.
	 */
	public function test_a_path_that_is_too_long_is_refused(): void {
		$failure = $this->failure( new Client( new Connection( '/tmp/' . str_repeat( 'x', 103 ) ) ), ConnectException::class );
		$this->assertStringContainsString( '107 bytes', $failure->getMessage() );
	}

	/**
	 * A listener that does not accept and whose backlog is full fails every connect at once.
	 */
	public function test_a_full_backlog_is_overloaded_at_once(): void {
		$path    = Peer::free_path();
		$context = stream_context_create( array( 'socket' => array( 'backlog' => 1 ) ) );
		$server  = stream_socket_server( 'unix://' . $path, $errno, $error, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context );
		$waiting = array();
		do {
			$last      = @stream_socket_client( 'unix://' . $path, $errno, $error, 1.0 );
			$waiting[] = $last;
		} while ( false !== $last );

		$failure = $this->failure( new Client( new Connection( $path ), '', 5000 ), ConnectException::class );
		$this->assertSame( 'overloaded', $failure->reason() );
		$this->assertFalse( $failure->ambiguous() );
		$this->assertIsResource( $server );
		unlink( $path );
	}

	/**
	 * A daemon that does not accept and does not answer: the call ends at its deadline, and may have been done.
	 */
	public function test_a_silent_peer_costs_one_deadline(): void {
		$path   = Peer::free_path();
		$server = stream_socket_server( 'unix://' . $path );
		$client = new Client( new Connection( $path ), '', 100 );
		$this->assert_ends_at(
			100,
			function () use ( $client ): void {
				$failure = $this->failure( $client, TimeoutException::class );
				$this->assertTrue( $failure->ambiguous() );
				$this->assertStringContainsString( '"set" within 100 ms', $failure->getMessage() );
			}
		);
		$this->assertIsResource( $server );
		unlink( $path );
	}

	/**
	 * A peer that sends a byte now and then does not move the deadline.
	 */
	public function test_a_dripping_peer_costs_one_deadline(): void {
		$peer   = new Peer( array( array( array( 'frame' ), array( 'drip', Peer::reply( 1, null, self::DONE ), 20000 ) ) ) );
		$client = new Client( new Connection( $peer->socket ), '', 200 );
		$this->assert_ends_at(
			200,
			function () use ( $client ): void {
				$this->failure( $client, TimeoutException::class );
			}
		);
	}

	/**
	 * A peer that does not read: the request is not sent completely, so the call was not done.
	 */
	public function test_a_peer_that_does_not_read_costs_one_deadline(): void {
		$path   = Peer::free_path();
		$server = stream_socket_server( 'unix://' . $path );
		$client = new Client( new Connection( $path ), '', 100 );
		$this->assert_ends_at(
			100,
			function () use ( $client ): void {
				$failure = $this->failure( $client, TimeoutException::class, array( 'subject' => str_repeat( 'x', 3000000 ) ) );
				$this->assertFalse( $failure->ambiguous() );
			}
		);
		$this->assertIsResource( $server );
		unlink( $path );
	}

	/**
	 * A reply that comes byte by byte, and a request far larger than the socket's buffer, both arrive completely.
	 */
	public function test_partial_reads_and_writes_are_put_together(): void {
		$peer   = new Peer( array( array( array( 'frame' ), array( 'drip', Peer::reply( 1, null, self::DONE ), 0 ), array( 'hold' ) ) ) );
		$client = new Client( new Connection( $peer->socket ), '', 90000 );
		$large  = str_repeat( 'x', 3000000 );
		$this->assertSame( 9, $client->set( 1, array( 'subject' => $large ), 0, 'again' ) );
		$payload = ( new PureCodec() )->encode_request(
			1,
			'set',
			array(
				'id'         => 1,
				'fields'     => array( 'subject' => $large ),
				'request_id' => 'again',
				'timeout_ms' => Protocol::MAX_TIMEOUT_MS,
			)
		);
		$this->assertSame( sha1( Connection::frame( $payload ) ), $peer->frame() );
	}

	/**
	 * A signal does not end a wait.
	 */
	public function test_a_signal_does_not_end_the_wait(): void {
		$peer     = new Peer( array( array( array( 'frame' ), array( 'drip', Peer::reply( 1, null, self::DONE ), 5000 ), array( 'hold' ) ) ) );
		$client   = new Client( new Connection( $peer->socket ), '', 5000 );
		$signals  = 0;
		$previous = pcntl_async_signals( true );
		pcntl_signal(
			SIGUSR1,
			static function () use ( &$signals ): void {
				++$signals;
			}
		);
		$code   = 'while ( posix_kill( ' . getmypid() . ', SIGUSR1 ) ) { echo "sent\n"; usleep( 10000 ); }';
		$sender = proc_open( array( PHP_BINARY, '-r', $code ), array( 1 => array( 'pipe', 'w' ) ), $pipes );
		try {
			// The first signal has been sent when the call begins; the reply takes long enough to meet more of them.
			fgets( $pipes[1] );
			$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
			$this->assertGreaterThan( 0, $signals );
		} finally {
			proc_terminate( $sender, 9 );
			proc_close( $sender );
			pcntl_signal( SIGUSR1, SIG_DFL );
			pcntl_async_signals( $previous );
		}
	}

	/**
	 * Messages of a peer in place of the reply.
	 */
	public static function anomalies(): array {
		$done = Peer::reply( 1, null, self::DONE );
		return array(
			'another id'              => array( Peer::reply( 2, null, self::DONE ), ProtocolException::class ),
			'id 0 without an error'   => array( Peer::reply( 0, null, self::DONE ), ProtocolException::class ),
			'a frame too long'        => array( '01400001' . str_repeat( '00', 64 ), ProtocolException::class ),
			'an empty frame'          => array( '01000000', ProtocolException::class ),
			'another version'         => array( '02' . substr( $done, 2 ), ProtocolException::class ),
			'HTTP'                    => array( bin2hex( 'HTTP/1.1 200 OK' ), ProtocolException::class ),
			'not msgpack'             => array( '01000001c1', ProtocolException::class ),
			'msgpack, but no array'   => array( '0100000107', ProtocolException::class ),
			'a request'               => array( Peer::frame_of( array( 0, 1, 'ping', array() ) ), ProtocolException::class ),
			'progress nobody wanted'  => array( Peer::frame_of( array( 2, 'flush', array( 'id' => 1 ) ) ), ProtocolException::class ),
			'neither error or result' => array( Peer::frame_of( array( 1, 1, null, null ) ), ProtocolException::class ),
			'both error and result'   => array( Peer::reply( 1, Peer::error( 'internal' ), self::DONE ), ProtocolException::class ),
			'an error without a code' => array( Peer::reply( 1, array( 'message' => 'x' ) ), ProtocolException::class ),
		);
	}

	/**
	 * An unexpected message fails the call and closes the connection: the next call gets a new connection and its own
	 * reply.
	 *
	 * @dataProvider anomalies
	 * @param string $bytes What the peer sends, in hex.
	 * @param string $kind  What the call must end with.
	 */
	public function test_an_anomaly_closes_the_connection( string $bytes, string $kind ): void {
		$peer    = new Peer(
			array(
				array( array( 'frame' ), array( 'send', $bytes ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 2, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$client  = new Client( new Connection( $peer->socket ), '', 5000 );
		$failure = $this->failure( $client, $kind );
		$this->assertTrue( $failure->ambiguous() );
		$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
	}

	/**
	 * A reply that comes after its call gave up is never taken for the reply to the next call.
	 */
	public function test_a_late_reply_meets_nobody(): void {
		$late   = Peer::reply( 1, null, array( 'revision' => 1 ) );
		$peer   = new Peer(
			array(
				array( array( 'frame' ), array( 'drip', $late, 10000 ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 2, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$shared = new Connection( $peer->socket );
		$this->failure( new Client( $shared, '', 150 ), TimeoutException::class );
		$patient = new Client( $shared, '', 5000 );
		$this->assertSame( 9, $patient->set( 1, array( 'status' => 'open' ) ) );
	}

	/**
	 * Unrequested bytes, and a connection that the daemon closed while idle, cost a reconnect and no failure.
	 */
	public function test_an_idle_connection_is_looked_at_before_it_is_used(): void {
		$peer   = new Peer(
			array(
				array( array( 'frame' ), array( 'send', Peer::reply( 1, null, self::DONE ) . Peer::reply( 2, null, array( 'revision' => 666 ) ) ), array( 'hold' ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 2, null, self::DONE ) ), array( 'close' ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 3, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
		$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
		$peer->frame();
		$peer->frame();
		$this->assertSame( 'closed', $peer->frame() );
		$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
	}

	/**
	 * The connection is kept for the calls of one PHP request.
	 */
	public function test_calls_share_the_connection(): void {
		$steps = array();
		for ( $id = 1; $id <= 3; ++$id ) {
			array_push( $steps, array( 'frame' ), array( 'send', Peer::reply( $id, null, self::DONE ) ) );
		}
		$peer   = new Peer( array( $steps ) );
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		for ( $id = 1; $id <= 3; ++$id ) {
			$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
		}
	}

	/**
	 * A refusal leaves the connection open, unless the daemon says that it closes the connection.
	 */
	public function test_a_refusal_keeps_the_connection_unless_it_closes(): void {
		$peer   = new Peer(
			array(
				array(
					array( 'frame' ),
					array( 'send', Peer::reply( 1, Peer::error( 'invalid' ) ) ),
					array( 'frame' ),
					array( 'send', Peer::reply( 2, Peer::error( 'shutting_down', true ) ) ),
					array( 'hold' ),
				),
				array( array( 'frame' ), array( 'send', Peer::reply( 3, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		$this->assertSame( 'invalid', $this->failure( $client, DaemonException::class )->reason() );
		$this->assertSame( 'shutting_down', $this->failure( $client, DaemonException::class )->reason() );
		$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
	}

	/**
	 * A daemon at its limit of connections says so right after accepting and hangs up, before it reads a request.
	 */
	public function test_the_reason_for_hanging_up_is_read(): void {
		$overloaded = array( array( 'send', Peer::reply( 0, Peer::error( 'overloaded', true ) ) ) );
		$peer       = new Peer( array( $overloaded ) );
		$client     = new Client( new Connection( $peer->socket ), '', 5000 );
		$failure    = $this->failure( $client, DaemonException::class, array( 'subject' => str_repeat( 'x', 3000000 ) ) );
		$this->assertSame( 'overloaded', $failure->reason() );
	}

	/**
	 * A create that met a restart of the daemon is sent again under the same request id.
	 */
	public function test_a_lost_create_is_repeated_under_its_request_id(): void {
		$made   = array(
			'id'       => 812,
			'revision' => 7,
		);
		$peer   = new Peer(
			array(
				array( array( 'frame' ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 2, null, $made ) ), array( 'hold' ) ),
			)
		);
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		$this->assertSame( $made, $client->create( array( 'status' => 'open' ) ) );
		// The two frames differ in the request's number alone: header and envelope are the first 14 digits.
		$first = $peer->request();
		$this->assertSame( substr( $first, 14 ), substr( $peer->request(), 14 ) );
		$this->assertStringContainsString( bin2hex( 'request_id' ), $first );
	}

	/**
	 * Messages of a peer before it hangs up.
	 */
	public static function beginnings(): array {
		return array(
			'half a frame' => array( substr( Peer::reply( 1, null, self::DONE ), 0, 20 ) ),
			'nothing'      => array( '' ),
		);
	}

	/**
	 * A lost set is sent once more, under the same made-up request id.
	 *
	 * @dataProvider beginnings
	 * @param string $bytes What the peer sends at first, in hex.
	 */
	public function test_a_lost_set_is_repeated_once( string $bytes ): void {
		$peer   = new Peer(
			array(
				array( array( 'frame' ), array( 'send', $bytes ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 2, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
		$first = $peer->request();
		$this->assertSame( substr( $first, 14 ), substr( $peer->request(), 14 ) );
		$this->assertStringContainsString( bin2hex( 'remember' ), $first );
	}

	/**
	 * A set that was lost twice is given up; it may have been done.
	 */
	public function test_a_set_that_is_lost_twice_fails(): void {
		$peer    = new Peer( array( array( array( 'frame' ) ), array( array( 'frame' ) ) ) );
		$client  = new Client( new Connection( $peer->socket ), '', 5000 );
		$failure = $this->failure( $client, LostException::class );
		$this->assertTrue( $failure->ambiguous() );
		$this->assertMatchesRegularExpression( '/^[0-9a-f]{32}$/', $failure->request_id() );
	}

	/**
	 * If the daemon is gone at the repetition, the first attempt may still have been done; a refusal says that it was
	 * not. Fails without set_request()'s second argument in Caller.
	 */
	public function test_a_repetition_that_cannot_be_made_is_ambiguous(): void {
		$peer    = new Peer( array( array( array( 'frame' ), array( 'unlink' ) ) ) );
		$failure = $this->failure( new Client( new Connection( $peer->socket ), '', 5000 ), ConnectException::class );
		$this->assertTrue( $failure->ambiguous() );

		$refusal = array( array( 'frame' ), array( 'send', Peer::reply( 2, Peer::error( 'invalid' ) ) ), array( 'hold' ) );
		$peer    = new Peer( array( array( array( 'frame' ) ), $refusal ) );
		$failure = $this->failure( new Client( new Connection( $peer->socket ), '', 5000 ), DaemonException::class );
		$this->assertFalse( $failure->ambiguous() );
	}

	/**
	 * An exception out of the progress callback leaves no unread reply behind.
	 */
	public function test_a_callback_that_throws_closes_the_connection(): void {
		$progress = Peer::frame_of(
			array(
				2,
				'flush',
				array(
					'id'    => 1,
					'done'  => 1,
					'total' => 2,
				),
			)
		);
		$peer     = new Peer(
			array(
				array( array( 'frame' ), array( 'send', $progress ), array( 'hold' ) ),
				array( array( 'frame' ), array( 'send', Peer::reply( 2, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$client   = new Client( new Connection( $peer->socket ), '', 5000 );
		try {
			$client->flush(
				array(),
				static function (): void {
					throw new \DomainException( 'enough' );
				}
			);
			$this->fail( 'the exception was swallowed' );
		} catch ( \DomainException $e ) {
			$this->assertSame( 9, $client->set( 1, array( 'status' => 'open' ) ) );
		}
	}

	/**
	 * A forked child does not use its parent's connection: parent and child would use the same ids.
	 */
	public function test_a_forked_child_connects_for_itself(): void {
		$peer   = new Peer(
			array(
				array( array( 'frame' ), array( 'send', Peer::reply( 1, null, self::DONE ) ), array( 'hold' ) ),
			)
		);
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		$client->set( 1, array( 'status' => 'open' ) );
		unlink( $peer->socket );

		$child = pcntl_fork();
		if ( 0 === $child ) {
			try {
				$client->set( 1, array( 'status' => 'open' ) );
			} catch ( ConnectException $e ) {
				// Only a signal ends the child without running the parent's destructors.
				posix_kill( getmypid(), SIGKILL );
			} finally {
				posix_kill( getmypid(), SIGTERM );
			}
		}
		pcntl_waitpid( $child, $status );
		$this->assertSame( SIGKILL, pcntl_wtermsig( $status ), 'the child used the connection of its parent' );
	}
}
