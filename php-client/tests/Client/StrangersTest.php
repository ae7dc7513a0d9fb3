<?php
/**
 * Other users' files in a spool.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Breaker;
use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\Request;
use Ticketd\Client\Spool;
use Ticketd\Client\SpoolingClient;
use Ticketd\Client\TicketdException;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;

/**
 * The client trusts, opens and waits for no file in the spool that this user has not made.
 */
final class StrangersTest extends TestCase {

	/** A user id that no machine has. */
	private const STRANGER = 64107;

	/** An old time of a file, in seconds before now. */
	private const OLD = 100;

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
		if ( 0 !== posix_geteuid() ) {
			$this->markTestSkipped( 'Only root can give a file to another user.' );
		}
		$this->folder = new Folder();
	}

	/**
	 * A change.
	 *
	 * @param string $value What it sets.
	 */
	private static function set( string $value ): Request {
		return new Request(
			'set',
			array(
				'id'         => 7,
				'fields'     => array( 'customer_id' => $value ),
				'request_id' => $value,
			)
		);
	}

	/**
	 * Gives something in the folder to another user.
	 *
	 * @param string $name Its name; an empty string is the folder itself.
	 */
	private function give_away( string $name ): void {
		lchown( $this->folder->own . '/' . $name, self::STRANGER );
	}

	/**
	 * Whether a breaker of this folder lets a call through; a process that waits is ended.
	 */
	private function passes(): string {
		$code  = '
			try {
				( new Ticketd\Client\Breaker( $argv[1] ) )->pass();
				echo "passes\n";
			} catch ( Ticketd\Client\LocalException $e ) {
				echo "open\n";
			}';
		$child = new Child( $code, array( $this->folder->path ) );
		return $child->line();
	}

	/**
	 * Foreign files under a marker's name.
	 */
	public static function markers(): array {
		return array(
			'another user\'s file' => array( 'file' ),
			'a pipe'               => array( 'pipe' ),
			'another user\'s pipe' => array( 'foreign pipe' ),
			'a link to my file'    => array( 'link' ),
			'a second name'        => array( 'second name' ),
			'a folder'             => array( 'folder' ),
		);
	}

	/**
	 * Puts a foreign file under a marker's name.
	 *
	 * @param string $what What.
	 * @param string $name The marker's name.
	 */
	private function plant( string $what, string $name ): void {
		$path = $this->folder->own . '/' . $name;
		$this->folder->put( 'mine', '' );
		switch ( $what ) {
			case 'file':
				touch( $path );
				break;
			case 'pipe':
			case 'foreign pipe':
				posix_mkfifo( $path, 0666 );
				break;
			case 'link':
				symlink( $this->folder->own . '/mine', $path );
				break;
			case 'second name':
				link( $this->folder->own . '/mine', $path );
				break;
			case 'folder':
				mkdir( $path );
		}
		if ( in_array( $what, array( 'file', 'foreign pipe' ), true ) ) {
			$this->give_away( $name );
		}
	}

	/**
	 * A breaker's file that this user has not made neither stops calls nor keeps a process waiting, fresh or old.
	 * Fails without Files::mine() in Files::written_at().
	 *
	 * @dataProvider markers
	 * @param string $what What is there.
	 */
	public function test_a_strangers_breaker_is_not_believed( string $what ): void {
		$this->plant( $what, Breaker::FILE );
		$this->assertSame( 'passes', $this->passes() );
		if ( 'link' !== $what ) {
			$this->folder->age( Breaker::FILE, self::OLD );
			$this->assertSame( 'passes', $this->passes() );
		}
	}

	/**
	 * That the folder is full is believed of this user's own marker alone.
	 *
	 * @dataProvider markers
	 * @param string $what What is there.
	 */
	public function test_a_strangers_full_is_not_believed( string $what ): void {
		$this->plant( $what, '.full' );
		$this->assertTrue( ( new Spool( $this->folder->path ) )->write( self::set( 'mine' ) ) );
	}

	/**
	 * Another user's change is not read, not found by its request id, and not counted as pending; it is counted as a
	 * stranger.
	 */
	public function test_a_strangers_change_is_not_read(): void {
		$spool = new Spool( $this->folder->path, 3 );
		$spool->write( self::set( 'mine' ) );
		$spool->write( new Request( 'create', self::set( 'forged' )->params() ) );
		$spool->write( self::set( 'forged too' ) );
		foreach ( $this->folder->frames() as $name ) {
			if ( false !== strpos( $this->folder->contents( $name ), 'forged' ) ) {
				$this->give_away( $name );
			}
		}
		$waiting = $spool->waiting( array( 7 ) )[7];
		$this->assertSame( array( 'mine' ), array_map( fn( $pair ) => $pair[1]->request_id(), $waiting ) );
		$this->assertSame( 0, $spool->created( new Request( 'create', self::set( 'forged' )->params() ) ) );
		$this->assertSame( 2, $spool->strangers() );
		$this->assertTrue( $spool->write( self::set( 'the bound is this user\'s own' ) ) );
	}

	/**
	 * Untrusted folders: by the damage to this user's folder.
	 */
	public static function folders(): array {
		return array(
			'another user\'s'      => array( fn( $own ) => chown( $own, self::STRANGER ) ),
			'open to all'          => array( fn( $own ) => chmod( $own, 02777 ) ),
			'a link to one'        => array( fn( $own ) => rename( $own, $own . 'x' ) && symlink( $own . 'x', $own ) ),
			'a file'               => array( fn( $own ) => rmdir( $own ) && touch( $own ) ),
			'missing'              => array( fn( $own ) => rmdir( $own ) ),
		);
	}

	/**
	 * Such a folder is not written, read or trusted; the failure says so and names the command.
	 *
	 * @dataProvider folders
	 * @param callable $spoil Makes the folder one of them.
	 */
	public function test_a_strangers_folder_is_not_used( callable $spoil ): void {
		$spool = new Spool( $this->folder->path );
		$spool->write( self::set( 'before' ) );
		$this->folder->take();
		$spoil( $this->folder->own );
		$this->assertFalse( $spool->exists() );
		$this->assertFalse( $spool->write( self::set( 'x' ) ) );
		$this->assertSame( array(), $spool->waiting( array( 7 ) ) );

		$breaker = new Breaker( $this->folder->path );
		$breaker->open();
		$this->assertFileDoesNotExist( $this->folder->own . '/' . Breaker::FILE );
		$this->assertSame( 'passes', $this->passes() );

		$client = new SpoolingClient( new Client( new Connection( Peer::free_path() ) ), fn() => $spool );
		foreach ( array(
			fn() => $client->set( 7, array( 'status' => 'open' ) ),
			fn() => $client->create( array( 'status' => 'open' ) ),
			fn() => $client->set_many( array( 7 => array( 'status' => 'open' ) ) ),
			fn() => $client->delete( 7 ),
		) as $call ) {
			try {
				$call();
				$this->fail( 'the client reported it as done' );
			} catch ( TicketdException $e ) {
				$this->assertSame( 'unavailable', $e->reason() );
				$this->assertStringContainsString( $this->folder->own, $e->getMessage() );
				$this->assertSame( 1, substr_count( $e->getMessage(), 'ticketd spool prepare' ), $e->getMessage() );
			}
		}
	}

	/**
	 * A marker of this user in another user's folder was put there by the other user. Fails without the check of the
	 * folder in Breaker::opened_at().
	 */
	public function test_a_marker_in_a_strangers_folder_is_not_believed(): void {
		$this->folder->put( Breaker::FILE, '' );
		$this->assertSame( 'open', $this->passes() );
		chown( $this->folder->own, self::STRANGER );
		$this->assertSame( 'passes', $this->passes() );
	}

	/**
	 * The folder of another user is separate: its pending changes are neither seen nor laid over this user's tickets.
	 */
	public function test_users_do_not_share_a_folder(): void {
		chmod( $this->folder->path, 0711 );
		mkdir( $this->folder->path . '/' . self::STRANGER );
		chown( $this->folder->path . '/' . self::STRANGER, self::STRANGER );
		( new Spool( $this->folder->path ) )->write( self::set( 'mine' ) );
		$code  = '
			posix_setegid( 64107 );
			posix_seteuid( 64107 );
			$spool  = new Ticketd\Client\Spool( $argv[1] );
			$change = array( "id" => 7, "fields" => array( "a" => 1 ), "request_id" => "theirs" );
			$spool->write( new Ticketd\Client\Request( "set", $change ) );
			foreach ( $spool->waiting( array( 7 ) )[7] as list( , $request ) ) {
				echo $request->request_id(), " ";
			}
			echo @scandir( $argv[2] ) ? "sees" : "does not see", "\n";';
		$child = new Child( $code, array( $this->folder->path, $this->folder->own ) );
		$this->assertSame( 'theirs does not see', $child->line() );
		$this->assertCount( 1, $this->folder->frames() );
	}

	/**
	 * PHP knows its user also without the posix extension.
	 */
	public function test_the_user_is_known_without_posix(): void {
		$code = sprintf(
			'require %s; echo Ticketd\Client\Breaker::of_user( "/spool" );',
			var_export( dirname( __DIR__, 2 ) . '/ticketd/src/autoload.php', true )
		);
		$php  = array( PHP_BINARY, '-d', 'disable_functions=posix_geteuid', '-r', $code );
		$said = exec( implode( ' ', array_map( 'escapeshellarg', $php ) ) );
		$this->assertSame( '/spool/' . posix_geteuid(), $said );
		$this->assertSame( '', Breaker::of_user( '' ) );
	}
}
