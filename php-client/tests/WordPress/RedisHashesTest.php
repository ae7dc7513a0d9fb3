<?php
/**
 * Tickets that a plugin keeps in Redis.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use PHPUnit\Framework\TestCase;
use Ticketd\WordPress\RedisHashes;

/**
 * Hashes are read as by the daemon; TestUnpack in store/redis/stray_test.go has the same cases.
 */
final class RedisHashesTest extends TestCase {

	/**
	 * Hashes, and the fields that they hold.
	 */
	public static function hashes(): array {
		return array(
			'names'             => array( array( 'status' => 'open', 'customer_id' => '7' ), array( 'status' => 'open', 'customer_id' => '7' ) ),
			'a list'            => array( array( 'customer_id', '7', 'status', 'open' ), array( 'customer_id' => '7', 'status' => 'open' ) ),
			'a second list'     => array( array( 'status', 'closed', 'status', 'open', 'subject', 'x' ), array( 'status' => 'closed', 'subject' => 'x' ) ),
			'a list and a name' => array( array( 'status', 'open', 'status' => 'closed' ), array( 'status' => 'closed' ) ),
			'values'            => array( array( '12', 'open' ), array( '12', 'open' ) ),
			'an odd one'        => array( array( 'status', 'open', 'lonely' ), array( 'status' => 'open', 2 => 'lonely' ) ),
		);
	}

	/**
	 * Both shapes that phpredis makes are read.
	 *
	 * @dataProvider hashes
	 *
	 * @param array $hash The hash.
	 * @param array $want Its fields.
	 */
	public function test_unpack( array $hash, array $want ): void {
		$this->assertEquals( $want, RedisHashes::unpack( $hash ) );
	}
}
