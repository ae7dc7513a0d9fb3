<?php
/**
 * Who a visitor is.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\WordPress\Visitor;

/**
 * Which addresses are the same visitor's.
 */
final class VisitorTest extends SiteTestCase {

	/**
	 * Leaves no address behind.
	 */
	protected function tearDown(): void {
		unset( $_SERVER['REMOTE_ADDR'] );
		parent::tearDown();
	}

	/**
	 * The visitor with an address.
	 *
	 * @param string $address The address.
	 */
	private static function visitor( string $address ): string {
		$_SERVER['REMOTE_ADDR'] = $address;
		return Visitor::current();
	}

	/**
	 * A network of IPv6 is one visitor. IPv4 addresses stay apart, also written as IPv6 by a server or a translator.
	 */
	public function test_addresses(): void {
		$this->assertSame( self::visitor( '2001:db8:1:2::3' ), self::visitor( '2001:db8:1:2:ffff::4' ) );
		$this->assertNotSame( self::visitor( '2001:db8:1:2::3' ), self::visitor( '2001:db8:1:3::3' ) );
		$this->assertNotSame( self::visitor( '192.0.2.1' ), self::visitor( '192.0.2.2' ) );
		foreach ( array( '::ffff:', '64:ff9b::' ) as $network ) {
			$this->assertSame( self::visitor( '192.0.2.1' ), self::visitor( $network . '192.0.2.1' ) );
		}
		$this->assertNotSame( self::visitor( '64:ff9b:1::192.0.2.1' ), self::visitor( '64:ff9b:1::192.0.2.2' ) );
		$this->assertNotSame( self::visitor( '64:ff9b:1:c000:2:100::' ), self::visitor( '64:ff9b:1:c000:2:200::' ) );
		$this->assertSame( self::visitor( 'no address' ), self::visitor( '' ) );
	}
}
