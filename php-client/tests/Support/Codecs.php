<?php
/**
 * The codecs that this PHP can test.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

use Ticketd\Client\Codec;
use Ticketd\Client\ExtCodec;
use Ticketd\Client\PureCodec;

/**
 * The extension's codec, where ext-msgpack is loaded, and the codec in PHP.
 */
final class Codecs {

	/**
	 * The codecs by name.
	 *
	 * @return Codec[]
	 */
	public static function all(): array {
		$extension = ExtCodec::is_available() ? array( 'extension' => new ExtCodec() ) : array();
		return $extension + array( 'php' => new PureCodec() );
	}

	/**
	 * The codecs as the data sets of a test.
	 *
	 * @return array<string, array{Codec}>
	 */
	public static function data(): array {
		return array_map( static fn( Codec $codec ): array => array( $codec ), self::all() );
	}
}
