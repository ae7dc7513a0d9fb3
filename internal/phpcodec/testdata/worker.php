<?php
/**
 * Decodes and encodes with each of the plugin's codecs, until the input ends.
 *
 * Usage: php worker.php AUTOLOAD. On standard input: one byte, "d" to decode, "e" to encode or "r" to read as the client does, four bytes
 * big-endian length, and that many bytes: a payload, or for "e" array( id, method, params ) as serialize() writes it. On standard output, for the codec in PHP and then
 * for the one on the extension, four texts with their length before them: what came out ("=" and a dump of the value or the bytes,
 * or "!" and the class of the refusal), what PHP complained of, the most memory that it took, what of it was
 * not given back, and the nanoseconds.
 *
 * @package Ticketd
 */

use Ticketd\Client\Breaker;
use Ticketd\Client\Caller;
use Ticketd\Client\Codec;
use Ticketd\Client\Connection;
use Ticketd\Client\DaemonException;
use Ticketd\Client\Deadline;
use Ticketd\Client\ExtCodec;
use Ticketd\Client\ProtocolException;
use Ticketd\Client\PureCodec;
use Ticketd\Client\Request;
use Ticketd\Client\Result;
use Ticketd\Client\Spool;

require $argv[1];

/** A class that a message may name, and that must never be instantiated. */
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
 * Notes a complaint, or returns and forgets the noted complaints.
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
 * Writes a value so that two values are equal exactly if their dumps are.
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
 * Reads a payload as the answer to a request, as the client does.
 *
 * @param Codec  $codec   The codec.
 * @param string $payload The payload.
 * @return string[] Which readers of results take it.
 * @throws ProtocolException If the payload is no answer.
 */
function read_answer( Codec $codec, string $payload ): array {
	$id         = $codec->decode( $payload )[1] ?? 0;
	$connection = new Connection();
	$buffer     = new ReflectionProperty( Connection::class, 'buffer' );
	$reply      = new ReflectionMethod( Caller::class, 'reply' );
	$buffer->setAccessible( true );
	$reply->setAccessible( true );
	$buffer->setValue( $connection, pack( 'N', 1 << 24 | strlen( $payload ) ) . $payload );
	$caller  = new Caller( $connection, $codec, new Breaker() );
	$message = $reply->invoke( $caller, is_int( $id ) && $id > 0 ? $id : 1, new Deadline( 1000, 'get' ), null );
	if ( null !== $message[2] ) {
		return array( 'error ' . DaemonException::from_wire( $message[2] )->reason() );
	}
	$taken = array();
	foreach ( array( 'revision', 'created', 'flushed', 'pong', 'status', 'ticket', 'page', 'counted', 'groups', 'letters' ) as $reader ) {
		try {
			Result::$reader( $message[3] );
			$taken[] = $reader;
		} catch ( ProtocolException $e ) {
			unset( $e );
		}
	}
	foreach ( array( 'tickets', 'outcomes' ) as $reader ) {
		try {
			Result::$reader( $message[3], 2 );
			$taken[] = $reader;
		} catch ( ProtocolException $e ) {
			unset( $e );
		}
	}
	return $taken;
}

/**
 * Reads a payload as a change that a user has put into the spool.
 *
 * @param string $payload The payload.
 * @return string[] How often it is taken for one, and what it asks for.
 */
function read_spool( string $payload ): array {
	static $folder = '';
	if ( '' === $folder ) {
		$folder = sys_get_temp_dir() . '/ticketd-spool-' . getmypid();
		mkdir( Breaker::of_user( $folder ), 0770, true );
		register_shutdown_function(
			static function () use ( $folder ): void {
				array_map( 'unlink', glob( Breaker::of_user( $folder ) . '/*' ) );
				rmdir( Breaker::of_user( $folder ) );
				rmdir( $folder );
			}
		);
	}
	$create = new Request( 'create', array( 'site' => 'main', 'request_id' => 'a' ) );
	$tag    = substr( hash( 'sha256', "main\0a" ), 0, 16 );
	file_put_contents( Breaker::of_user( $folder ) . "/1764000000000005-7-$tag.frame", pack( 'N', 1 << 24 | strlen( $payload ) ) . $payload );
	$spool = new Spool( $folder );
	$taken = array( 'created ' . $spool->created( $create ) );
	foreach ( $spool->waiting( array( 7 ) )[7] ?? array() as list( , $request ) ) {
		$taken[] = $request->method() . ' ' . $request->site() . ' ' . $request->request_id();
		foreach ( (array) $request->param( 'fields' ) as $value ) {
			if ( null !== $value && ! is_scalar( $value ) ) {
				complain( 'a field in the spool is no single value' );
			}
		}
	}
	return $taken;
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
foreach ( $codecs as $codec ) { // The cost of loading classes at their first use does not belong to a message.
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
	$op   = $head['op'];
	$call = 'e' === $op ? unserialize( $data, array( 'allowed_classes' => false ) ) : null;
	$out  = '';
	foreach ( $codecs as $codec ) {
		$texts = measure(
			static function () use ( $codec, $op, $call, $data ) {
				if ( null !== $call ) {
					return $codec->encode_request( ...$call );
				}
				return 'r' === $op ? array_merge( read_spool( $data ), read_answer( $codec, $data ) ) : $codec->decode( $data );
			}
		);
		foreach ( $texts as $text ) {
			$out .= pack( 'N', strlen( $text ) ) . $text;
		}
	}
	fwrite( STDOUT, $out );
}
