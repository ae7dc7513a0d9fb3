<?php
/**
 * Starts the daemon's stand-in.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

use Ticketd\Client\Connection;
use Ticketd\Client\PureCodec;

/**
 * A child process that listens on its own socket and follows a script; see peer.php.
 */
final class Peer {

	/**
	 * The socket's path.
	 *
	 * @var string
	 */
	public string $socket;

	/**
	 * The child process.
	 *
	 * @var resource
	 */
	private $process;

	/**
	 * What it prints.
	 *
	 * @var resource
	 */
	private $output;

	/**
	 * Starts the process; returns when it listens.
	 *
	 * @param array $script Connections, each a list of steps.
	 */
	public function __construct( array $script ) {
		$this->socket  = self::free_path();
		$command       = array( PHP_BINARY, '-n', __DIR__ . '/peer.php', $this->socket, serialize( $script ) );
		$this->process = proc_open( $command, array( 1 => array( 'pipe', 'w' ) ), $pipes );
		$this->output  = $pipes[1];
		if ( "ready\n" !== fgets( $this->output ) ) {
			throw new \RuntimeException( 'the peer did not start' );
		}
	}

	/**
	 * Ends the process at once.
	 */
	public function __destruct() {
		proc_terminate( $this->process, 9 );
		proc_close( $this->process );
		@unlink( $this->socket );
	}

	/**
	 * Waits for the next line of the process' output.
	 *
	 * @return string The received frame in hex, empty if the client closed instead; or "closed".
	 */
	public function frame(): string {
		return trim( (string) fgets( $this->output ) );
	}

	/**
	 * The next received frame, in hex, without the client's deadline, which differs in every call.
	 */
	public function request(): string {
		list( , $id, $method, $params ) = ( new PureCodec() )->decode( substr( hex2bin( $this->frame() ), Connection::HEADER_BYTES ) );
		unset( $params['timeout_ms'] );
		return bin2hex( Connection::frame( ( new PureCodec() )->encode_request( $id, $method, $params ) ) );
	}

	/**
	 * A path where no socket is yet.
	 */
	public static function free_path(): string {
		return sys_get_temp_dir() . '/ticketd-' . bin2hex( random_bytes( 8 ) ) . '.sock';
	}

	/**
	 * A whole frame in hex.
	 *
	 * @param array $message The message.
	 */
	public static function frame_of( array $message ): string {
		$payload = Msgpack::encode( $message );
		return bin2hex( pack( 'N', 1 << 24 | strlen( $payload ) ) . $payload );
	}

	/**
	 * A reply's frame in hex.
	 *
	 * @param int        $id     Request id.
	 * @param array|null $error  The error, if it is one.
	 * @param array|null $result The result, if there is one.
	 */
	public static function reply( int $id, ?array $error, ?array $result = null ): string {
		return self::frame_of( array( 1, $id, $error, $result ) );
	}

	/**
	 * An error as the daemon sends it.
	 *
	 * @param string $code    Its code.
	 * @param bool   $closing Whether the daemon closes the connection.
	 */
	public static function error( string $code, bool $closing = false ): array {
		return array(
			'code'      => $code,
			'message'   => 'because',
			'retryable' => true,
			'closing'   => $closing,
		);
	}
}
