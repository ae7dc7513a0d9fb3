<?php
/**
 * The breaker.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Breaker;
use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\Files;
use Ticketd\Client\LocalException;
use Ticketd\Client\TicketdException;
use Ticketd\Client\TimeoutException;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;

/**
 * When calls are tried and when not, within a process and among several.
 */
final class BreakerTest extends TestCase {

	/**
	 * Seconds by which the injected clock is ahead of the system's.
	 *
	 * @var int
	 */
	private int $ahead = 0;

	/**
	 * A breaker with a clock of its own.
	 *
	 * @param string $folder The spool folder, or an empty string.
	 */
	private function breaker( string $folder ): Breaker {
		return new Breaker(
			$folder,
			Breaker::OPEN_SECONDS,
			function (): int {
				return time() + $this->ahead;
			}
		);
	}

	/**
	 * Whether a breaker lets a call through.
	 *
	 * @param Breaker $breaker The breaker.
	 */
	private static function passes( Breaker $breaker ): bool {
		try {
			$breaker->pass();
			return true;
		} catch ( LocalException $e ) {
			self::assertSame( array( 'unavailable', true, false ), array( $e->reason(), $e->retryable(), $e->ambiguous() ) );
			return false;
		}
	}

	/**
	 * Open for two seconds, then a single caller tries, and an answer closes the breaker.
	 */
	public function test_it_opens_half_opens_and_closes(): void {
		$folder = new Folder();
		$one    = $this->breaker( $folder->path );
		$other  = $this->breaker( $folder->path );
		$this->assertTrue( self::passes( $one ) );
		$one->open();
		$this->assertSame( array( Breaker::FILE ), $folder->all() );
		$this->assertFalse( self::passes( $one ) );
		$this->assertFalse( self::passes( $other ) );
		$folder->age( Breaker::FILE, 2 );
		$this->assertFalse( self::passes( $other ) );

		$folder->age( Breaker::FILE, 4 );
		$this->assertTrue( self::passes( $other ) );
		$this->assertFalse( self::passes( $one ), 'two tried at a time' );
		$other->close();
		$this->assertSame( array(), $folder->all() );
		$this->assertTrue( self::passes( $one ) );
	}

	/**
	 * A failed attempt keeps the breaker open; only time makes the next attempt possible.
	 */
	public function test_a_failed_attempt_keeps_it_open(): void {
		$folder  = new Folder();
		$breaker = $this->breaker( $folder->path );
		$breaker->open();
		$this->ahead = Breaker::OPEN_SECONDS + 2;
		$this->assertTrue( self::passes( $breaker ) );
		$this->ahead = 0;
		$breaker->open();
		$this->assertFalse( self::passes( $breaker ) );
	}

	/**
	 * Only the process that made the attempt closes the breaker: a call that began earlier may end well later.
	 */
	public function test_an_older_call_does_not_close_it(): void {
		$folder = new Folder();
		$slow   = $this->breaker( $folder->path );
		$this->assertTrue( self::passes( $slow ) );
		$this->breaker( $folder->path )->open();
		$slow->close();
		$this->assertFalse( self::passes( $slow ) );
	}

	/**
	 * A clock that was set back does not keep the breaker open until the clock has caught up.
	 */
	public function test_a_time_in_the_future_is_no_reason(): void {
		$folder  = new Folder();
		$breaker = $this->breaker( $folder->path );
		$breaker->open();
		$folder->age( Breaker::FILE, -3600 );
		$this->assertTrue( self::passes( $breaker ) );
	}

	/**
	 * Without a folder, or with a folder that cannot be written, the breaker works within the process.
	 */
	public function test_without_a_folder_it_holds_within_the_process(): void {
		foreach ( array( '', '/nonexistent/ticketd', '/proc' ) as $folder ) {
			$this->ahead = 0;
			$breaker     = $this->breaker( $folder );
			$breaker->open();
			$this->assertFalse( self::passes( $breaker ) );
			$this->assertTrue( self::passes( $this->breaker( $folder ) ) );
			$this->ahead = Breaker::OPEN_SECONDS + 2;
			$this->assertTrue( self::passes( $breaker ) );
			$this->assertFalse( self::passes( $breaker ), 'the attempt is not claimed' );
			$this->ahead *= 2;
			$this->assertTrue( self::passes( $breaker ) );
			$breaker->close();
			$this->assertTrue( self::passes( $breaker ) );
		}
	}

	/**
	 * A process that checked before another process claimed the attempt, and locks afterwards, does not try, too.
	 * Fails without the second check in Breaker::claim().
	 */
	public function test_a_claim_between_look_and_lock_counts(): void {
		$folder = new Folder();
		$folder->put( Breaker::FILE, '' );
		$folder->age( Breaker::FILE, 10 );
		$other  = $this->breaker( $folder->path );
		$tries  = null;
		$slower = new Breaker(
			$folder->path,
			Breaker::OPEN_SECONDS,
			static function () use ( $other, &$tries ): int {
				// At its first request for the time, the breaker has just checked the file.
				$tries = $tries ?? self::passes( $other );
				return time();
			}
		);
		$this->assertFalse( self::passes( $slower ) );
		$this->assertTrue( $tries );
	}

	/**
	 * Of several processes that find the time over at the same moment, exactly one tries. Fails without the lock in
	 * Breaker::claim().
	 */
	public function test_one_process_claims_the_attempt(): void {
		$folder = new Folder();
		$code   = '
			$breaker = new Ticketd\Client\Breaker( $argv[1] );
			echo "ready\n";
			while ( fgets( STDIN ) ) {
				try {
					$breaker->pass();
					echo "tries\n";
				} catch ( Ticketd\Client\LocalException $e ) {
					echo "waits\n";
				}
			}';
		$crowd  = array();
		for ( $i = 0; $i < 6; ++$i ) {
			$crowd[] = new Child( $code, array( $folder->path ) );
		}
		foreach ( $crowd as $child ) {
			$this->assertSame( 'ready', $child->line() );
		}
		for ( $round = 0; $round < 20; ++$round ) {
			$folder->put( Breaker::FILE, '' );
			$folder->age( Breaker::FILE, 10 );
			foreach ( $crowd as $child ) {
				$child->go_on();
			}
			$said = array();
			foreach ( $crowd as $child ) {
				$said[] = $child->line();
			}
			$this->assertSame( 1, array_count_values( $said )['tries'] ?? 0, implode( ' ', $said ) );
		}
	}

	/**
	 * A breaker's file that is renewed during a check still exists. Fails without the second check in Files::mine():
	 * lstat(2) can find the replaced file, which has no name any more, in one check of twenty on an idle machine.
	 */
	public function test_a_file_that_is_renewed_is_there(): void {
		$folder = new Folder();
		$path   = $folder->own . '/' . Breaker::FILE;
		$folder->put( Breaker::FILE, '' );
		$child = new Child(
			'echo "ready\n"; while ( true ) { Ticketd\Client\Files::write( $argv[1], "", false ); }',
			array( $path )
		);
		$this->assertSame( 'ready', $child->line() );
		for ( $look = 0; $look < 20000; ++$look ) {
			$this->assertNotNull( Files::mine( $path ), "look $look" );
		}
		$this->assertTrue( $child->is_running() );
	}

	/**
	 * How a call fails.
	 *
	 * @param callable $call The call.
	 */
	private function failure( callable $call ): TicketdException {
		try {
			$call();
		} catch ( TicketdException $e ) {
			return $e;
		}
		$this->fail( 'the call succeeded' );
	}

	/**
	 * A hanging daemon costs a single deadline, however many calls a page makes; the next process does not even wait
	 * for a deadline.
	 */
	public function test_a_hanging_daemon_costs_one_deadline(): void {
		$folder = new Folder();
		$path   = Peer::free_path();
		$server = stream_socket_server( 'unix://' . $path );
		foreach ( array( $folder->path, '' ) as $place ) {
			$client = new Client( new Connection( $path ), '', 300, null, new Breaker( $place ) );
			$this->assertInstanceOf( TimeoutException::class, $this->failure( fn() => $client->get( 1 ) ) );
			$start = hrtime( true );
			for ( $i = 0; $i < 5; ++$i ) {
				$failure = $this->failure( fn() => $client->set( 1, array( 'status' => 'open' ) ) );
				$this->assertInstanceOf( LocalException::class, $failure );
				$this->assertSame( 'unavailable', $failure->reason() );
				$this->assertNotSame( '', $failure->request_id() );
			}
			$this->assertLessThan( 1500, ( hrtime( true ) - $start ) / 1e6, 'the calls waited' );
		}
		$next = new Client( new Connection( $path ), '', 5000, null, new Breaker( $folder->path ) );
		$this->assertInstanceOf( LocalException::class, $this->failure( fn() => $next->status() ) );
		$this->assertIsResource( $server );
		unlink( $path );
	}

	/**
	 * A slow method says nothing about the daemon, and neither does a refused or lost call.
	 */
	public function test_other_failures_do_not_open_it(): void {
		$folder = new Folder();
		$path   = Peer::free_path();
		$server = stream_socket_server( 'unix://' . $path );
		$client = new Client( new Connection( $path ), '', 50, null, new Breaker( $folder->path ) );
		foreach ( array( fn() => $client->list_tickets(), fn() => $client->count_tickets(), fn() => $client->flush( array(), null, 50 ) ) as $call ) {
			$this->assertInstanceOf( TimeoutException::class, $this->failure( $call ) );
		}
		$this->assertIsResource( $server );
		unlink( $path );
		$this->assertSame( 'unavailable', $this->failure( fn() => $client->get( 1 ) )->reason() );

		$lost   = new Peer( array( array( array( 'frame' ) ), array( array( 'frame' ) ) ) );
		$client = new Client( new Connection( $lost->socket ), '', 5000, null, new Breaker( $folder->path ) );
		$this->assertSame( 'lost', $this->failure( fn() => $client->get( 1 ) )->reason() );
		$this->assertSame( array(), $folder->all() );
	}

	/**
	 * Results of an attempt that show a daemon that does not hang: an answer, a refusal, or no daemon.
	 */
	public function test_an_attempt_closes_it(): void {
		$ticket = array(
			'id'       => 1,
			'revision' => 5,
			'fields'   => array(),
		);
		foreach ( array( Peer::reply( 1, null, $ticket ), Peer::reply( 1, Peer::error( 'unavailable' ) ), null ) as $reply ) {
			$folder = new Folder();
			$folder->put( Breaker::FILE, '' );
			$folder->age( Breaker::FILE, 10 );
			$peer   = null === $reply ? null : new Peer( array( array( array( 'frame' ), array( 'send', $reply ), array( 'hold' ) ) ) );
			$client = new Client( new Connection( null === $peer ? Peer::free_path() : $peer->socket ), '', 5000, null, new Breaker( $folder->path ) );
			try {
				$client->get( 1 );
			} catch ( TicketdException $e ) {
				$this->assertSame( 'unavailable', $e->reason() );
			}
			$this->assertSame( array(), $folder->all() );
		}
	}
}
