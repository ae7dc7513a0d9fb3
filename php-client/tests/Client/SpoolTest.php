<?php
/**
 * The spool folder.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\LocalException;
use Ticketd\Client\Order;
use Ticketd\Client\Request;
use Ticketd\Client\Spool;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Folder;

/**
 * The spool's files, their order, and foreign files.
 */
final class SpoolTest extends TestCase {

	/** A moment, in microseconds since 1970. */
	private const NOW_US = 1763990000123456;

	/**
	 * The folder.
	 *
	 * @var Folder
	 */
	private Folder $folder;

	/**
	 * Makes a folder.
	 */
	protected function setUp(): void {
		$this->folder = new Folder();
	}

	/**
	 * A change.
	 *
	 * @param int    $id         The ticket's id.
	 * @param string $status     What it sets.
	 * @param string $request_id Its request id.
	 */
	private static function set( int $id, string $status = 'open', string $request_id = 'r' ): Request {
		return new Request(
			'set',
			array(
				'id'         => $id,
				'fields'     => array( 'status' => $status ),
				'request_id' => $request_id,
			)
		);
	}

	/**
	 * A spool whose clock stands still, or is set by a test.
	 *
	 * @param int ...$times Times in microseconds, one for each change; the last one stands.
	 */
	private function spool( int ...$times ): Spool {
		$clock = static function () use ( &$times ): int {
			return count( $times ) > 1 ? array_shift( $times ) : $times[0] ?? self::NOW_US;
		};
		return new Spool( $this->folder->path, Spool::MAX_BLOCKS, $clock );
	}

	/**
	 * The pending changes of a ticket, as statuses in their order.
	 *
	 * @param Spool $spool The spool.
	 * @param int   $id    The ticket's id.
	 */
	private static function statuses( Spool $spool, int $id ): array {
		$statuses = array();
		foreach ( $spool->waiting( array( $id ) )[ $id ] ?? array() as list( , $request ) ) {
			$statuses[] = $request->param( 'fields' )['status'];
		}
		return $statuses;
	}

	/**
	 * A file's name holds time and ticket; the folder has no other files, and the daemon may read the file with any
	 * umask of PHP.
	 */
	public function test_one_change_is_one_file(): void {
		$mask = umask( 0077 );
		try {
			$this->assertTrue( $this->spool()->write( self::set( 812 ) ) );
			$this->assertSame( 0077, umask() );
		} finally {
			umask( $mask );
		}
		$this->assertSame( array( Order::FILE, $this->folder->frames()[0] ), $this->folder->all() );
		$name = $this->folder->frames()[0];
		$this->assertStringStartsWith( '1763990000123456-812-', $name );
		$this->assertSame( 0640, fileperms( $this->folder->own . '/' . $name ) & 0777 );
	}

	/**
	 * Names are in the order of the changes, even where the clock stands or goes back.
	 */
	public function test_names_keep_the_order(): void {
		$spool = $this->spool( self::NOW_US, self::NOW_US, self::NOW_US - 5000000, self::NOW_US + 9 );
		foreach ( array( 'a', 'b', 'c', 'd' ) as $status ) {
			$spool->write( self::set( 812, $status, 'r-' . $status ) );
		}
		$this->assertSame( array( 'a', 'b', 'c', 'd' ), self::statuses( $spool, 812 ) );
		$times = array_map( 'intval', $this->folder->frames() );
		$this->assertSame( array( 0, 1, 2, 9 ), array_map( fn( $time ) => $time - self::NOW_US, $times ) );
	}

	/**
	 * Changes of several processes are in the order in which they were spooled, also after the clock was set back.
	 * Fails with the clock alone in Order::next().
	 */
	public function test_processes_are_put_in_order(): void {
		$this->spool( self::NOW_US + 30000000 )->write( self::set( 812, 'older', 'r1' ) );
		$this->spool( self::NOW_US )->write( self::set( 812, 'newer', 'r2' ) );
		$this->spool( self::NOW_US + 60000000 )->write( self::set( 812, 'newest', 'r3' ) );
		$this->assertSame( array( 'older', 'newer', 'newest' ), self::statuses( $this->spool(), 812 ) );
	}

	/**
	 * Damages to the file with the last number.
	 */
	public static function last_numbers(): array {
		return array(
			'none, as of an older client' => array( fn( $path ) => unlink( $path ) ),
			'empty'                       => array( fn( $path ) => file_put_contents( $path, '' ) ),
			'torn'                        => array( fn( $path ) => file_put_contents( $path, '17639' ) ),
			'zeros after a loss of power' => array( fn( $path ) => file_put_contents( $path, str_repeat( "\0", 16 ) ) ),
			'no number'                   => array( fn( $path ) => file_put_contents( $path, str_repeat( 'x', 16 ) ) ),
			'a folder'                    => array( fn( $path ) => unlink( $path ) && mkdir( $path ) ),
			'a link'                      => array( fn( $path ) => unlink( $path ) && symlink( '/dev/null', $path ) ),
			'a pipe'                      => array( fn( $path ) => unlink( $path ) && posix_mkfifo( $path, 0600 ) ),
			'another user\'s'             => array( fn( $path ) => chown( $path, 64107 ) ),
		);
	}

	/**
	 * If the file is unusable, the names of the pending files give the order.
	 *
	 * @dataProvider last_numbers
	 * @param callable $spoil What is done to it.
	 */
	public function test_names_tell_the_order( callable $spoil ): void {
		$this->spool( self::NOW_US + 30000000 )->write( self::set( 812, 'a', 'r1' ) );
		$spoil( $this->folder->own . '/' . Order::FILE );
		foreach ( array( 'b', 'c' ) as $status ) {
			$this->spool( self::NOW_US )->write( self::set( 812, $status, 'r-' . $status ) );
		}
		$this->assertSame( array( 'a', 'b', 'c' ), self::statuses( $this->spool(), 812 ) );
	}

	/**
	 * A stopped process with the lock delays no other process, and its late number does not count.
	 */
	public function test_a_lock_that_is_held_is_passed(): void {
		$this->spool( self::NOW_US + 30000000 )->write( self::set( 812, 'a', 'r1' ) );
		$code  = '
			$file = new SplFileObject( $argv[1], "r+" );
			$file->flock( LOCK_EX );
			echo "locked\n";
			fgets( STDIN );
			$file->fwrite( "0000000000000001" );
			echo "written\n";';
		$child = new Child( $code, array( $this->folder->own . '/' . Order::FILE ) );
		$this->assertSame( 'locked', $child->line() );
		$began = microtime( true );
		$this->spool( self::NOW_US )->write( self::set( 812, 'b', 'r2' ) );
		$this->assertLessThan( 1, microtime( true ) - $began );
		$this->spool( self::NOW_US )->write( self::set( 812, 'c', 'r3' ) );
		$child->go_on();
		$this->assertSame( 'written', $child->line() );
		$this->spool( self::NOW_US )->write( self::set( 812, 'd', 'r4' ) );
		$this->assertSame( array( 'a', 'b', 'c', 'd' ), self::statuses( $this->spool(), 812 ) );
	}

	/**
	 * Many concurrent processes get different numbers, and each process keeps its order, with a clock that goes back.
	 */
	public function test_processes_at_once(): void {
		$code     = '
			use Ticketd\Client\Request;
			$now = 1763990000123456;
			for ( $i = 0; $i < 50; $i++ ) {
				$clock = function () use ( &$now ) { return $now -= 1000000; };
				$spool = new Ticketd\Client\Spool( $argv[1], Ticketd\Client\Spool::MAX_BLOCKS, $clock );
				$spool->write( new Request( "set", array(
					"id" => (int) $argv[2], "fields" => array( "status" => "$i" ), "request_id" => "$argv[2]-$i" ) ) );
			}
			echo "done\n";';
		$children = array();
		foreach ( range( 1, 4 ) as $id ) {
			$children[ $id ] = new Child( $code, array( $this->folder->path, (string) $id ) );
		}
		foreach ( $children as $child ) {
			$this->assertSame( 'done', $child->line() );
		}
		foreach ( array_keys( $children ) as $id ) {
			$this->assertSame( array_map( 'strval', range( 0, 49 ) ), self::statuses( $this->spool(), $id ) );
		}
		$this->assertCount( 200, array_unique( array_map( 'intval', $this->folder->frames() ) ) );
	}

	/**
	 * A ticket's changes are found by its whole id, alone or with other ids.
	 */
	public function test_changes_are_found_by_ticket(): void {
		$spool = $this->spool( 1, 2, 3, 4, 5 );
		foreach ( array( 1, 11, 111, 11 ) as $id ) {
			$spool->write( self::set( $id, "of $id" ) );
		}
		$this->assertSame( array( 'of 11', 'of 11' ), self::statuses( $spool, 11 ) );
		$this->assertSame( array(), self::statuses( $spool, 2 ) );
		$several = $spool->waiting( array( 1, 2, 111 ) );
		$this->assertSame( array( 1, 111 ), array_keys( $several ) );
		list( $time, $request ) = $several[111][0];
		$this->assertSame( 3, $time );
		$this->assertEquals( self::set( 111, 'of 111' ), $request );
	}

	/**
	 * Other files in the folder.
	 */
	public function test_what_is_no_change_is_passed_over(): void {
		$spool = $this->spool( 5 );
		$spool->write( self::set( 812 ) );
		$whole = $this->folder->contents( $this->folder->frames()[0] );
		$tag   = str_repeat( 'a', 16 );
		$bad   = array(
			"0000000000000001-812-$tag.frame" => substr( $whole, 0, -1 ),
			"0000000000000002-812-$tag.frame" => $whole . 'x',
			"0000000000000003-812-$tag.frame" => '',
			"0000000000000004-812-$tag.frame" => "\x01\x00\x00\x01\xc1",
			"0000000000000006-812-$tag.frame" => "\x02" . substr( $whole, 1 ),
			"0000000000000007-812-$tag.frame" => "\x01\x00\x00\x04\x94\x00\x01\xc0\xc0",
			"0000000000000008-813-$tag.frame" => $whole,
			"0000000000000011-812-$tag.frame" => "\x01\x00\x00\x1a\x94\x00\x01\xa3set\x82\xa2id\xcd\x03\x2c\xa6fields\x81\xa1v\x91\x01",
			"0000000000000012-812-$tag.frame" => "\x01\x00\x00\x15\x94\x00\x01\xa3set\x82\xa2id\xcd\x03\x2c\xa4site\x91\x01",
			'.tmp-812-aaaa'                   => $whole,
			'note-812-x.frame'                => $whole,
		);
		foreach ( $bad as $name => $bytes ) {
			$this->folder->put( $name, $bytes );
		}
		mkdir( $this->folder->own . "/0000000000000009-812-$tag.frame" );
		// A pipe without a writer would keep its reader waiting for ever.
		posix_mkfifo( $this->folder->own . "/0000000000000010-812-$tag.frame", 0600 );
		$this->assertSame( array( 'open' ), self::statuses( $spool, 812 ) );
		$this->assertSame( array(), self::statuses( $spool, 813 ) );
		unlink( $this->folder->own . "/0000000000000010-812-$tag.frame" );
	}

	/**
	 * A folder whose name is a pattern is that folder.
	 */
	public function test_a_folder_with_odd_letters(): void {
		$this->folder = new Folder( '-[a]*?' );
		$this->spool()->write( self::set( 812 ) );
		$this->assertSame( array( 'open' ), self::statuses( $this->spool(), 812 ) );
	}

	/**
	 * Folders that cannot be written.
	 */
	public static function useless_folders(): array {
		return array(
			'none'        => array( '', false ),
			'missing'     => array( '/nonexistent/ticketd', false ),
			'a file'      => array( __FILE__, false ),
			'not there'   => array( '/proc', false ),
		);
	}

	/**
	 * Such folders accept no changes, say why, and cause no warnings.
	 *
	 * @dataProvider useless_folders
	 * @param string $path   The path.
	 * @param bool   $exists Whether there is a folder.
	 */
	public function test_a_useless_folder_takes_nothing( string $path, bool $exists ): void {
		$spool = new Spool( $path );
		$this->assertSame( $exists, $spool->exists() );
		$this->assertFalse( $spool->write( self::set( 812 ) ) );
		$this->assertSame( array(), $spool->waiting( array( 812 ) ) );
		$this->assertSame( 0, $spool->created( self::set( 812 ) ) );
	}

	/**
	 * How a process ends that exceeds its file limit: with an error, or in the middle of the file.
	 */
	public static function limits(): array {
		return array(
			'it goes on' => array( 'SIG_IGN', 'false', array() ),
			'it dies'    => array( 'SIG_DFL', '', array( 20000 ) ),
		);
	}

	/**
	 * The disk accepts only a part of a file: the change is not spooled, and if PHP survives, no part of the file
	 * remains. Fails if the file is written under its final name.
	 *
	 * @dataProvider limits
	 * @param string $action What the signal does.
	 * @param string $said   What the process says of the second change.
	 * @param int[]  $sizes  Sizes of what is left besides the first.
	 */
	public function test_a_torn_write_never_has_its_name( string $action, string $said, array $sizes ): void {
		$code  = '
			use Ticketd\Client\Request;
			use Ticketd\Client\Spool;
			pcntl_signal( SIGXFSZ, constant( $argv[2] ) );
			posix_setrlimit( POSIX_RLIMIT_FSIZE, 20000, 20000 );
			$spool = new Spool( $argv[1] );
			foreach ( array( 1000, 100000 ) as $id => $length ) {
				$params = array( "id" => $id + 1, "fields" => array( "subject" => str_repeat( "x", $length ) ), "request_id" => "r" );
				var_export( $spool->write( new Request( "set", $params ) ) );
				echo "\n";
			}';
		$child = new Child( $code, array( $this->folder->path, $action ) );
		$this->assertSame( 'true', $child->line() );
		$this->assertSame( $said, $child->line() );
		$frames = $this->folder->frames();
		$this->assertCount( 1, $frames );
		$others = array_diff( $this->folder->all(), $frames, array( Order::FILE ) );
		$this->assertCount( count( $others ), preg_grep( '/^\.tmp-/', $others ) );
		$this->assertSame( $sizes, array_map( fn( $name ) => strlen( $this->folder->contents( $name ) ), array_values( $others ) ) );
	}

	/**
	 * A continuous reader never sees an incomplete file.
	 */
	public function test_a_reader_sees_whole_files_only(): void {
		$code  = '
			use Ticketd\Client\Request;
			use Ticketd\Client\Spool;
			$spool = new Spool( $argv[1] );
			for ( $id = 1; $id <= 50; ++$id ) {
				$params = array( "id" => $id, "fields" => array( "subject" => str_repeat( "x", 1000000 ) ), "request_id" => "r" );
				$spool->write( new Request( "set", $params ) );
			}
			echo "done\n";
			fgets( STDIN );';
		$child = new Child( $code, array( $this->folder->path ) );
		$torn  = array();
		$known = array();
		while ( count( $known ) < 50 && $child->is_running() ) {
			foreach ( array_diff( $this->folder->frames(), $known ) as $name ) {
				$known[] = $name;
				$size    = strlen( $this->folder->contents( $name ) );
				if ( $size < 1000000 ) {
					$torn[ $name ] = $size;
				}
			}
		}
		$this->assertSame( array(), $torn );
		$this->assertCount( 50, $known );
	}

	/**
	 * A full folder refuses changes and says so, until the daemon has emptied it.
	 */
	public function test_a_full_folder_refuses(): void {
		$spool = new Spool( $this->folder->path, 3 );
		$spool->write( self::set( 1 ) );
		$spool->write( self::set( 2, str_repeat( 'x', Spool::BLOCK_BYTES ) ) );
		try {
			$spool->write( self::set( 3 ) );
			$this->fail( 'a block too many was taken' );
		} catch ( LocalException $e ) {
			$this->assertSame( array( 'overloaded', true, false ), array( $e->reason(), $e->retryable(), $e->ambiguous() ) );
			$this->assertStringContainsString( $this->folder->own . ' is full', $e->getMessage() );
		}
		$this->assertCount( 2, $this->folder->frames() );

		// For a moment no process counts again.
		$this->folder->take();
		$this->assertContains( '.full', $this->folder->all() );
		try {
			( new Spool( $this->folder->path, 3 ) )->write( self::set( 3 ) );
			$this->fail( 'the folder was counted again' );
		} catch ( LocalException $e ) {
			$this->folder->age( '.full', 2 );
		}
		$this->assertTrue( $spool->write( self::set( 3 ) ) );
		$this->assertNotContains( '.full', $this->folder->all() );
	}

	/**
	 * If chance decides when the folder is counted, the bound holds approximately. Fails if the folder is counted
	 * each time, and if it is never counted.
	 */
	public function test_chance_keeps_the_bound(): void {
		$spool = new Spool( $this->folder->path, 600, fn() => self::NOW_US );
		for ( $id = 1; $id <= 599; ++$id ) {
			$this->folder->put( sprintf( '%016d-%d-%016x.frame', $id, $id, $id ), 'x' );
		}
		$taken = 0;
		try {
			while ( $taken < 100 ) {
				$spool->write( self::set( ++$taken ) );
			}
			$this->fail( 'there is no bound' );
		} catch ( LocalException $e ) {
			$this->assertSame( 3, $taken );
		}
	}

	/**
	 * A pending create is found by its site and request id; a set under the same request id is not found.
	 */
	public function test_a_create_is_found_by_its_request_id(): void {
		$create = new Request( 'create', self::set( 812, 'open', 'form-1' )->params() );
		$other  = new Request( 'create', array( 'site' => 'shop' ) + $create->params() );
		$spool  = $this->spool();
		$spool->write( self::set( 7, 'open', 'form-1' ) );
		$this->assertSame( 0, $spool->created( $create ) );
		$spool->write( $create );
		$this->assertSame( 812, $spool->created( $create ) );
		$this->assertSame( 0, $spool->created( $other ) );
	}
}
