<?php
/**
 * The client as a Composer package.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;

/**
 * The package in php-client/composer.json works without WordPress and without the plugin's autoloader.
 */
final class PackageTest extends TestCase {

	/** The folder of composer.json. */
	private const PACKAGE = __DIR__ . '/../..';

	/**
	 * Loads classes as Composer's autoloader does with the package's PSR-4 map: the file of a class has its name.
	 */
	private const AUTOLOAD = '<?php spl_autoload_register( function ( $name ) {'
		. ' foreach ( json_decode( file_get_contents( %1$s . "/composer.json" ), true )["autoload"]["psr-4"] as $prefix => $folder ) {'
		. ' if ( 0 === strpos( $name, $prefix ) ) {'
		. ' require %1$s . "/" . $folder . strtr( substr( $name, strlen( $prefix ) ), "\\\\", "/" ) . ".php"; } } } );';

	/**
	 * Runs PHP.
	 *
	 * @param string ...$words Its arguments.
	 * @return string What it printed, errors included.
	 */
	private static function php( string ...$words ): string {
		return (string) shell_exec( implode( ' ', array_map( 'escapeshellarg', array_merge( array( PHP_BINARY, '-d', 'error_reporting=-1', '-d', 'display_errors=1' ), $words ) ) ) . ' 2>&1' );
	}

	/**
	 * A file that loads the package's classes by PSR-4.
	 *
	 * @param Folder $folder Where it is made.
	 */
	private static function autoload( Folder $folder ): string {
		$file = $folder->path . '/autoload.php';
		file_put_contents( $file, sprintf( self::AUTOLOAD, var_export( realpath( self::PACKAGE ), true ) ) );
		return $file;
	}

	/**
	 * A daemon that answers the example: the ticket is at another revision than the example read.
	 */
	private static function daemon(): Peer {
		$ticket  = array(
			'id'       => 812,
			'revision' => 7,
			'fields'   => array( 'status' => 'open' ),
		);
		$answers = array(
			array( null, array( 'id' => 812, 'revision' => 7 ) ),
			array( null, $ticket ),
			array( Peer::error( 'conflict' ) + array( 'revision' => 9 ), null ),
			array( null, array( 'tickets' => array( $ticket ), 'next' => null ) ),
		);
		$steps   = array();
		foreach ( $answers as $index => list( $error, $result ) ) {
			$steps[] = array( 'frame' );
			$steps[] = array( 'send', Peer::reply( $index + 1, $error, $result ) );
		}
		return new Peer( array( array_merge( $steps, array( array( 'hold' ) ) ) ) );
	}

	/** What the example prints. */
	private const PRINTED = "ticket 812\nsomebody was faster: revision 9\n812 is open\n";

	/**
	 * The example for plain PHP runs.
	 */
	public function test_the_example(): void {
		$folder = new Folder();
		$peer   = self::daemon();
		$this->assertSame( self::PRINTED, self::php( self::PACKAGE . '/examples/plain.php', $peer->socket, self::autoload( $folder ) ) );
	}

	/**
	 * Every class loads alone, by its name, and asks for nothing of WordPress.
	 */
	public function test_every_class_loads_alone(): void {
		$folder  = new Folder();
		$classes = array();
		foreach ( glob( self::PACKAGE . '/ticketd/src/Client/*.php' ) as $file ) {
			$classes[] = 'Ticketd\\Client\\' . basename( $file, '.php' );
		}
		$this->assertGreaterThan( 20, count( $classes ) );
		$code = 'require $argv[1]; foreach ( array_slice( $argv, 2 ) as $name ) {'
			. ' class_exists( $name ) || interface_exists( $name ) || print "$name is missing\n"; }';
		$this->assertSame( '', self::php( '-r', $code, '--', self::autoload( $folder ), ...$classes ) );
	}

	/** The parts of Laravel that the example uses: a container that makes what it was told, and the configuration. */
	private const LARAVEL = '<?php namespace Illuminate\Contracts\Foundation { interface Application {} }'
		. ' namespace Illuminate\Support { class ServiceProvider { public $app; } }'
		. ' namespace Psr\Log { interface LoggerInterface {} }'
		. ' namespace { function env( $name, $default ) { return getenv( $name ) ?: $default; }'
		. ' class Container implements Illuminate\Contracts\Foundation\Application { public $made; public $config;'
		. ' public function scoped( $name, $make ) { $this->made[ $name ] = $make; }'
		. ' public function get( $name ) { return $this->config[ $name ]; }'
		. ' public function make( $name ) { return "config" === $name ? $this : ( $this->made[ $name ] )( $this ); } }'
		. ' require $argv[1]; require $argv[2] . "/TicketdServiceProvider.php"; $provider = new App\Providers\TicketdServiceProvider();'
		. ' $provider->app = new Container(); $provider->app->config = array( "ticketd" => require $argv[2] . "/ticketd.php" );'
		. ' $provider->app->scoped( Psr\Log\LoggerInterface::class, fn() => new class() implements Psr\Log\LoggerInterface {} );'
		. ' $provider->register(); $client = $provider->app->make( Ticketd\Client\ClientInterface::class );'
		. ' echo $client->create( array( "status" => "open" ) )["id"]; }';

	/**
	 * The example for Laravel makes a client of its configuration.
	 */
	public function test_the_example_for_laravel(): void {
		$folder = new Folder();
		$peer   = self::daemon();
		file_put_contents( $folder->path . '/app.php', self::LARAVEL );
		putenv( 'TICKETD_SOCKET=' . $peer->socket );
		try {
			$said = self::php( $folder->path . '/app.php', self::autoload( $folder ), self::PACKAGE . '/examples/laravel' );
		} finally {
			putenv( 'TICKETD_SOCKET' );
		}
		$this->assertSame( '812', $said );
	}

	/**
	 * Where Composer is installed, it installs the package, offline, and the example runs with its autoloader.
	 */
	public function test_composer_installs_it(): void {
		if ( '' === trim( (string) shell_exec( 'command -v composer' ) ) ) {
			$this->markTestSkipped( 'There is no composer.' );
		}
		$folder  = new Folder();
		$project = array(
			'repositories' => array(
				array( 'type' => 'path', 'url' => realpath( self::PACKAGE ), 'options' => array( 'symlink' => false ) ),
				array( 'packagist.org' => false ),
			),
			'require'      => array( 'ticketd/client' => '*@dev' ),
		);
		file_put_contents( $folder->path . '/composer.json', json_encode( $project ) );
		$command = sprintf( 'cd %1$s && COMPOSER_HOME=%1$s COMPOSER_ALLOW_SUPERUSER=1 composer install --no-interaction --no-progress 2>&1', escapeshellarg( $folder->path ) );
		$said    = (string) shell_exec( $command );
		$this->assertFileExists( $folder->path . '/vendor/autoload.php', $said );
		$peer = self::daemon();
		$this->assertSame( self::PRINTED, self::php( self::PACKAGE . '/examples/plain.php', $peer->socket, $folder->path . '/vendor/autoload.php' ) );
	}
}
