<?php
/**
 * Decodes and encodes with both of the plugin's codecs, for as long as it is asked to.
 *
 * Usage: php worker.php AUTOLOAD. On standard input: one byte, "d" to decode or "e" to encode, four bytes big-endian length, and that
 * many bytes: a payload, or array( id, method, params ) as serialize() writes it. On standard output, for the codec in PHP and then
 * for the one on the extension, four texts with their length before them: what came out ("=" and a dump of the value or the bytes,
 * or "!" and the class of the refusal), what PHP complained of, the most memory that it took, what of it was
 * not given back, and the nanoseconds.
 *
 * @package Ticketd
 */

use Ticketd\Client\ExtCodec;
use Ticketd\Client\PureCodec;

require $argv[1];

/** A class that a message may name; nobody may make one of it. */
final class Trap {
	public $a;

	public function __construct() {
		complain( 'a trap was constructed' );
	}

	public function __wakeup() {
		complain( 'a trap was woken' );
	}

	public function __destruct() {
		complain( 'a trap was destroyed' );
	}
}

/**
 * Notes a complaint, or returns and forgets those that were noted.
 *
 * @param string|null $complaint What is wrong.
 */
function complain( ?string $complaint = null ): string {
	static $noted = '';
	$before = $noted;
	$noted  = null === $complaint ? '' : $noted . $complaint . "\n";
	return $before;
}

set_error_handler(
	static function ( int $level, string $message ): bool {
		if ( error_reporting() & $level ) { // Not suppressed with @.
			complain( $message );
		}
		return true;
	}
);

/**
 * Writes a value so that values are equal exactly where their dumps are.
 *
 * @param mixed $value The value.
 */
function dump( $value ): string {
	switch ( gettype( $value ) ) {
		case 'NULL':
			return 'n';
		case 'boolean':
			return $value ? 't' : 'f';
		case 'integer':
			return "i$value;";
		case 'double':
			return 'd' . ( is_nan( $value ) ? 'nan' : bin2hex( pack( 'E', $value ) ) ) . ';';
		case 'string':
			return 's' . strlen( $value ) . ":$value";
		case 'array':
			$out = 'a' . count( $value ) . '{';
			foreach ( $value as $key => $item ) {
				$out .= dump( $key ) . dump( $item );
			}
			return $out . '}';
	}
	return 'an ' . gettype( $value );
}

/**
 * Runs one codec.
 *
 * @param callable $work What it is to do; returns a text.
 * @return string[] The five texts.
 */
function measure( callable $work ): array {
	complain();
	memory_reset_peak_usage();
	$memory = memory_get_usage();
	$began  = hrtime( true );
	try {
		$result = $work();
		$took   = hrtime( true ) - $began;
		$peak   = memory_get_peak_usage() - $memory;
		$result = '=' . ( is_string( $result ) ? $result : dump( $result ) );
	} catch ( \Throwable $e ) {
		$took   = hrtime( true ) - $began;
		$peak   = memory_get_peak_usage() - $memory;
		$result = '!' . get_class( $e );
	}
	unset( $e );
	$kept = memory_get_usage() - $memory - strlen( $result );
	return array( $result, complain(), (string) $peak, (string) $kept, (string) $took );
}

/**
 * Reads from standard input.
 *
 * @param int $length Number of bytes.
 */
function take( int $length ): string {
	$bytes = '';
	while ( strlen( $bytes ) < $length ) {
		$more = fread( STDIN, $length - strlen( $bytes ) );
		if ( '' !== $more && false !== $more ) {
			$bytes .= $more;
		} elseif ( feof( STDIN ) ) {
			exit( 0 );
		}
	}
	return $bytes;
}

$codecs = array( new PureCodec(), new ExtCodec() );
foreach ( $codecs as $codec ) { // What PHP loads at the first use is no message's.
	foreach ( array( "\x90", "\x90\x90", "\xc1" ) as $first ) {
		measure(
			static function () use ( $codec, $first ) {
				return $codec->decode( $first );
			}
		);
	}
}
while ( true ) {
	$head = unpack( 'aop/Nlength', take( 5 ) );
	$data = $head['length'] > 0 ? take( $head['length'] ) : '';
	$call = 'e' === $head['op'] ? unserialize( $data, array( 'allowed_classes' => false ) ) : null;
	$out  = '';
	foreach ( $codecs as $codec ) {
		$texts = measure(
			static function () use ( $codec, $call, $data ) {
				return null === $call ? $codec->decode( $data ) : $codec->encode_request( ...$call );
			}
		);
		foreach ( $texts as $text ) {
			$out .= pack( 'N', strlen( $text ) ) . $text;
		}
	}
	fwrite( STDOUT, $out );
}
