<?php
/**
 * The developers' page.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Protocol;

/**
 * The file docs/api.md names every function with its signature, every hook and every code, and its PHP is PHP.
 */
final class ApiDocTest extends TestCase {

	/** The folder of the plugin's sources. */
	private const SOURCES = __DIR__ . '/../../ticketd/src';

	/**
	 * The page.
	 */
	private static function page(): string {
		return file_get_contents( __DIR__ . '/../../../docs/api.md' );
	}

	/**
	 * Fails where the page lacks a text.
	 *
	 * @param string $text The text.
	 */
	private function assert_there( string $text ): void {
		$this->assertTrue( false !== strpos( self::page(), "`$text`" ), "docs/api.md lacks `$text`" );
	}

	/**
	 * The signatures of the functions.
	 */
	public function test_every_function(): void {
		preg_match_all( '/^function (ticketd_\w+\(.*?\)) \{/ms', file_get_contents( self::SOURCES . '/functions.php' ), $found );
		$this->assertGreaterThan( 10, count( $found[1] ) );
		foreach ( $found[1] as $signature ) {
			$this->assert_there( preg_replace( array( '/\s+/', '/,? \)$/' ), array( ' ', ' )' ), $signature ) );
		}
	}

	/**
	 * The hooks that other plugins may use.
	 */
	public function test_every_hook(): void {
		$names = array();
		foreach ( new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( self::SOURCES, \FilesystemIterator::SKIP_DOTS ) ) as $file ) {
			preg_match_all( '/(?:apply_filters|do_action)\(\s*\'(ticketd_\w+)\'/', file_get_contents( $file->getPathname() ), $found );
			$names = array_merge( $names, $found[1] );
		}
		$this->assertGreaterThan( 15, count( $names ) );
		foreach ( array_unique( $names ) as $name ) {
			$this->assert_there( $name );
		}
	}

	/**
	 * The codes of a WP_Error.
	 */
	public function test_every_code(): void {
		foreach ( array_merge( Protocol::CODES, array( 'timeout', 'lost', 'protocol' ) ) as $code ) {
			$this->assert_there( "ticketd_$code" );
		}
	}

	/**
	 * The examples.
	 */
	public function test_the_examples_are_php(): void {
		preg_match_all( '/^```php\n(.*?)^```/ms', self::page(), $found );
		$this->assertGreaterThan( 4, count( $found[1] ) );
		foreach ( $found[1] as $example ) {
			$this->assertNotEmpty( token_get_all( "<?php\n" . $example, TOKEN_PARSE ) );
		}
	}
}
