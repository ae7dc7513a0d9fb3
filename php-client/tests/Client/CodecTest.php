<?php
/**
 * The codecs against each other and against hostile input.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\ExtCodec;
use Ticketd\Client\ProtocolException;
use Ticketd\Client\PureCodec;
use Ticketd\Tests\Support\Codecs;
use Ticketd\Tests\Support\Wakeable;

/**
 * Both codecs write the same bytes, read the same values and refuse the same bad input.
 */
final class CodecTest extends TestCase {

	/**
	 * Says that one of the codecs is not tested.
	 */
	public function test_the_extension_is_there(): void {
		if ( ! ExtCodec::is_available() ) {
			$this->markTestSkipped( 'ext-msgpack is not loaded: all tests run with the codec in PHP alone' );
		}
		$this->assertSame( array( 'extension', 'php' ), array_keys( Codecs::all() ) );
	}

	/**
	 * Parameters at the edges of msgpack's formats and of PHP's arrays.
	 */
	public static function params(): array {
		$cases = array(
			'no parameters'      => array(),
			'names like numbers' => array( 'fields' => array( '12' => 'a', 'b' => 'c' ) ),
			'names like a list'  => array( 'fields' => array( '0' => 'a', '1' => 'b' ) ),
			'no fields'          => array( 'fields' => array() ),
			'15 fields'          => array( 'fields' => self::many( 15 ) ),
			'16 fields'          => array( 'fields' => self::many( 16 ) ),
			'15 ids'             => array( 'ids' => range( 1, 15 ) ),
			'16 ids'             => array( 'ids' => range( 1, 16 ) ),
			'65,536 ids'         => array( 'ids' => range( 1, 65536 ) ),
			'pairs'              => array( 'tickets' => array( array( 1, self::many( 2 ) ), array( 2, array( '7' => null ) ) ) ),
			'invalid UTF-8'      => array( 'fields' => array( 'v' => "\xff\xfe" ) ),
			'NUL bytes'          => array( 'fields' => array( 'v' => "a\0b" ) ),
		);
		foreach ( array( 0, 31, 32, 255, 256, 65535, 65536 ) as $length ) {
			$cases[ "a string of $length bytes" ] = array( 'fields' => array( 'v' => str_repeat( 'x', $length ) ) );
		}
		foreach ( array( 0x7f, 0xff, 0xffff, 0xffffffff, PHP_INT_MAX - 1 ) as $edge ) {
			$cases[ "from $edge" ] = array( 'fields' => array( 'a' => $edge, 'b' => $edge + 1 ) );
		}
		foreach ( array( -0x20, -0x80, -0x8000, -0x80000000, PHP_INT_MIN + 1 ) as $edge ) {
			$cases[ "down from $edge" ] = array( 'fields' => array( 'a' => $edge, 'b' => $edge - 1 ) );
		}
		return array_map(
			static function ( array $params ): array {
				return array( $params );
			},
			$cases
		);
	}

	/**
	 * So many fields.
	 *
	 * @param int $count How many.
	 */
	private static function many( int $count ): array {
		$fields = array();
		for ( $i = 0; $i < $count; ++$i ) {
			$fields[ "field-$i" ] = $i;
		}
		return $fields;
	}

	/**
	 * The same bytes from both, and the same values from those bytes.
	 *
	 * @dataProvider params
	 * @param array $params Parameters.
	 */
	public function test_codecs_agree( array $params ): void {
		$codecs  = Codecs::all();
		$payload = $codecs['php']->encode_request( 4294967295, 'set', $params );
		foreach ( $codecs as $codec ) {
			$this->assertSame( bin2hex( $payload ), bin2hex( $codec->encode_request( 4294967295, 'set', $params ) ) );
			$this->assertSame( array( 0, 4294967295, 'set', $params ), $codec->decode( $payload ) );
		}
	}

	/**
	 * Payloads that are no message.
	 */
	public static function nonsense(): array {
		return array(
			'nothing'                         => array( '' ),
			'nil'                             => array( 'c0' ),
			'an integer'                      => array( '07' ),
			'a real false'                    => array( 'c2' ),
			'the byte that msgpack never has' => array( 'c1' ),
			'an array cut short'              => array( '9401' ),
			'an array of 2^32-1'              => array( 'ddffffffff' ),
			'a map of 2^32-1'                 => array( '91dfffffffff' ),
			'a string of 2^32-1 bytes'        => array( '91dbffffffff61' ),
			'bin cut short'                   => array( '91c40261' ),
			'a float cut short'               => array( '91cb3fb9' ),
			'a length cut short'              => array( '91da00' ),
			'two values'                      => array( '9090' ),
			'deep nesting'                    => array( str_repeat( '91', 100000 ) . 'c0' ),
			'long arrays in each other'       => array( str_repeat( 'dc00ffc0', 1000 ) ),
			'longer ones'                     => array( str_repeat( 'dd00010000c0', 1000 ) ),
			'long maps in each other'         => array( '91' . str_repeat( 'df0001000001c002', 1000 ) ),
			'ten long maps in each other'     => array( '91' . str_repeat( 'df0001000001c002', 10 ) ),
		);
	}

	/**
	 * Both codecs refuse the input, without a warning and without allocating the announced memory.
	 *
	 * @dataProvider nonsense
	 * @param string $hex The payload.
	 */
	public function test_nonsense_is_refused( string $hex ): void {
		foreach ( Codecs::all() as $name => $codec ) {
			$before = memory_get_peak_usage();
			try {
				$codec->decode( hex2bin( $hex ) );
				$this->fail( "accepted by $name" );
			} catch ( ProtocolException $e ) {
				$this->assertTrue( $e->ambiguous() );
			}
			$this->assertLessThan( 32 << 20, memory_get_peak_usage() - $before );
		}
	}

	/**
	 * The decoded part of a refused message is freed, also after many refusals in the same process.
	 */
	public function test_refused_messages_leave_nothing_behind(): void {
		foreach ( Codecs::all() as $name => $codec ) {
			$before = memory_get_usage();
			for ( $round = 0; $round < 50; ++$round ) {
				try {
					$codec->decode( str_repeat( "\xdc\xff\xff\xc0", 2 ) );
					$this->fail( "accepted by $name" );
				} catch ( ProtocolException $e ) {
					unset( $e );
				}
			}
			$this->assertLessThan( 1 << 20, memory_get_usage() - $before, $name );
		}
	}

	/**
	 * The byte that names an extension type, and a key that is no name, are refused by the codec in PHP.
	 */
	public function test_the_php_codec_refuses_extension_types_and_odd_keys(): void {
		foreach ( array( '91d40100', '91c7010500', '9181c0a161', '9181cb3ff0000000000000a161', str_repeat( '91', 33 ) . 'c0' ) as $hex ) {
			try {
				( new PureCodec() )->decode( hex2bin( $hex ) );
				$this->fail( "accepted $hex" );
			} catch ( ProtocolException $e ) {
				$this->assertSame( 'protocol', $e->reason() );
			}
		}
	}

	/**
	 * A count that the bytes left cannot hold is refused before the first element is read.
	 */
	public function test_the_php_codec_looks_at_the_count_first(): void {
		$this->expectException( ProtocolException::class );
		$this->expectExceptionMessage( 'an array or map that is cut short' );
		( new PureCodec() )->decode( hex2bin( 'ddffffffff' . str_repeat( 'c0', 1000 ) ) );
	}

	/**
	 * The extension's own format for objects, a map with a nil key that holds the class, makes no object.
	 */
	public function test_no_object_is_made_from_the_wire(): void {
		$class   = Wakeable::class;
		$payload = "\x91\x82\xc0" . chr( 0xa0 | strlen( $class ) ) . $class . "\xa1\x61\x01";
		foreach ( Codecs::all() as $codec ) {
			try {
				$this->assertIsArray( $codec->decode( $payload )[0] );
			} catch ( ProtocolException $e ) {
				$this->assertSame( 'protocol', $e->reason() );
			}
		}
		$this->assertFalse( Wakeable::$woken );
		if ( ! ExtCodec::is_available() ) {
			return;
		}
		// The extension's default mode: the test notices it.
		( new \MessagePack( true ) )->unpack( substr( $payload, 1 ) );
		$this->assertTrue( Wakeable::$woken );
	}

	/**
	 * A randomly damaged message becomes a message or a refusal.
	 */
	public function test_damaged_messages_are_decoded_or_refused(): void {
		$good = ( new PureCodec() )->encode_request( 1, 'set', array( 'id' => 812, 'fields' => self::many( 20 ) ) );
		mt_srand( 20261123 );
		for ( $round = 0; $round < 2000; ++$round ) {
			$bad = $good;
			for ( $hits = mt_rand( 1, 3 ); $hits > 0; --$hits ) {
				$bad[ mt_rand( 0, strlen( $bad ) - 1 ) ] = chr( mt_rand( 0, 255 ) );
			}
			foreach ( Codecs::all() as $codec ) {
				try {
					$this->assertIsArray( $codec->decode( $bad ) );
				} catch ( ProtocolException $e ) {
					$this->assertSame( 'protocol', $e->reason() );
				}
			}
		}
	}
}
