<?php
/**
 * The connection to the daemon.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * A connection over a Unix socket, made at the first use and kept for the PHP request.
 *
 * The connection is never persistent: a persistent stream that a dying request leaves behind hands its unread reply
 * to the next request of the same worker. The stream never blocks; stream_select() does all waiting, with the rest of
 * the call's deadline.
 */
final class Connection {

	/** Where the daemon listens by default. */
	public const DEFAULT_SOCKET = '/run/ticketd/ticketd.sock';

	/** Bytes of a frame before its payload: the version, and three bytes big-endian length. */
	public const HEADER_BYTES = 4;

	/** Longest path of a Unix socket in bytes; PHP would cut a longer path and connect to a different socket. */
	private const MAX_PATH = 107;

	/** Most bytes read at once. Replies are mostly shorter, and PHP allocates this much for each read. */
	private const READ_BYTES = 65536;

	/** Bytes of the first read of a frame. */
	private const FIRST_READ_BYTES = 8192;

	/** The functions without which no call reaches the daemon. */
	public const NEEDS = array(
		'stream_socket_client',
		'stream_socket_sendto',
		'stream_socket_recvfrom',
		'stream_select',
	);

	/** How many failures of stream_select() a wait forgives: signals interrupt a wait, other failures are permanent. */
	private const MAX_INTERRUPTIONS = 100;

	/**
	 * The socket's path.
	 *
	 * @var string
	 */
	private string $path;

	/**
	 * The stream, or null.
	 *
	 * @var resource|null
	 */
	private $stream = null;

	/**
	 * The process that connected: after a fork the child must not touch its parent's connection.
	 *
	 * @var int
	 */
	private int $pid = 0;

	/**
	 * Bytes that were read and not taken yet.
	 *
	 * @var string
	 */
	private string $buffer = '';

	/**
	 * The request id given out last.
	 *
	 * @var int
	 */
	private int $last_id = 0;

	/**
	 * Keeps the address; the connection is made later.
	 *
	 * @param string $path Path of the daemon's socket.
	 */
	public function __construct( string $path = self::DEFAULT_SOCKET ) {
		$this->path = $path;
	}

	/**
	 * The next request id, 1 to Protocol::MAX_ID.
	 */
	public function next_id(): int {
		$this->last_id = $this->last_id < Protocol::MAX_ID ? $this->last_id + 1 : 1;
		return $this->last_id;
	}

	/**
	 * Sends a frame, connecting first without a usable connection.
	 *
	 * A daemon that hangs up meanwhile is no error here: receive() finds the daemon's reason or the end of the
	 * stream.
	 *
	 * @param string   $frame    The frame.
	 * @param Deadline $deadline The call's deadline.
	 * @throws ConnectException If connecting fails.
	 * @throws TimeoutException If the deadline passes before the frame is sent.
	 */
	public function send( string $frame, Deadline $deadline ): void {
		if ( ! $this->is_usable() ) {
			$this->open( $deadline );
		}
		$length = strlen( $frame );
		$sent   = 0;
		$waited = false;
		while ( $sent < $length ) {
			$count = @stream_socket_sendto( $this->stream, 0 === $sent ? $frame : substr( $frame, $sent ) );
			if ( is_int( $count ) && $count > 0 ) {
				$sent  += $count;
				$waited = false;
			} elseif ( $waited ) {
				return;
			} else {
				$this->wait( true, $deadline );
				$waited = true;
			}
		}
	}

	/**
	 * Receives a frame.
	 *
	 * @param Deadline $deadline The call's deadline.
	 * @return string The frame's payload.
	 * @throws TimeoutException  If the deadline passes before the frame is complete.
	 * @throws LostException     If the connection ends before.
	 * @throws ProtocolException If the bytes are no frame.
	 */
	public function receive( Deadline $deadline ): string {
		$this->fill( self::HEADER_BYTES, self::FIRST_READ_BYTES, $deadline );
		$end = self::HEADER_BYTES + self::payload_length( $this->buffer );
		$this->fill( $end, self::READ_BYTES, $deadline );

		$payload      = substr( $this->buffer, self::HEADER_BYTES, $end - self::HEADER_BYTES );
		$this->buffer = strlen( $this->buffer ) > $end ? substr( $this->buffer, $end ) : '';
		return $payload;
	}

	/**
	 * Makes a frame: puts the header before a payload.
	 *
	 * @param string $payload One msgpack value.
	 * @throws InputException If the payload is longer than the protocol allows.
	 */
	public static function frame( string $payload ): string {
		$length = strlen( $payload );
		if ( $length > Protocol::MAX_PAYLOAD ) {
			throw new InputException(
				sprintf(
					'The request has %d bytes, at most %d are possible. Send fewer tickets at once or shorter values.',
					$length,
					Protocol::MAX_PAYLOAD
				),
				'',
				'too_large'
			);
		}
		// The version is the most significant of the four bytes, so a single 32-bit integer is the whole header.
		return pack( 'N', Protocol::VERSION << 24 | $length ) . $payload;
	}

	/**
	 * Reads the payload's length from a header.
	 *
	 * @param string $bytes At least HEADER_BYTES bytes.
	 * @return int Length in bytes, 1 to Protocol::MAX_PAYLOAD.
	 * @throws ProtocolException If the version or the length is not possible.
	 */
	public static function payload_length( string $bytes ): int {
		$header = unpack( 'N', $bytes )[1];
		if ( Protocol::VERSION !== $header >> 24 ) {
			throw new ProtocolException( sprintf( 'a frame of version %d', $header >> 24 ) );
		}
		$length = $header & 0xffffff;
		if ( 0 === $length || $length > Protocol::MAX_PAYLOAD ) {
			throw new ProtocolException( sprintf( 'a frame of %d bytes', $length ) );
		}
		return $length;
	}

	/**
	 * Whether bytes were read that belong to no frame received so far.
	 */
	public function has_unread(): bool {
		return '' !== $this->buffer;
	}

	/**
	 * Closes the connection; the next send() makes a new one.
	 */
	public function close(): void {
		// PHP closes the socket with the last reference.
		$this->stream = null;
		$this->buffer = '';
	}

	/**
	 * Whether the open connection may carry another request: not after the daemon has closed it, not with unrequested
	 * bytes in it, and not if it belongs to a parent process.
	 */
	private function is_usable(): bool {
		return null !== $this->stream
			&& self::process() === $this->pid
			&& false === @stream_socket_recvfrom( $this->stream, 1, STREAM_PEEK );
	}

	/**
	 * Functions that this PHP lacks. A host may have switched some off (`disable_functions`), and a call of such a
	 * function ends the page.
	 *
	 * @param string[] $functions The names of the functions.
	 * @return string A text in English for people; an empty string where none is missing.
	 */
	public static function lacks( array $functions ): string {
		$missing = array();
		foreach ( $functions as $name ) {
			if ( ! function_exists( $name ) ) {
				$missing[] = $name;
			}
		}
		if ( ! $missing ) {
			return '';
		}
		return 'this PHP has no ' . implode( ', ', $missing ) . '; remove the name from disable_functions';
	}

	/**
	 * The number of this process; 0 where the host does not tell.
	 */
	private static function process(): int {
		return function_exists( 'getmypid' ) ? (int) getmypid() : 0;
	}

	/**
	 * Connects.
	 *
	 * @param Deadline $deadline The call's deadline.
	 * @throws ConnectException If that fails.
	 */
	private function open( Deadline $deadline ): void {
		$this->close();
		if ( strlen( $this->path ) > self::MAX_PATH ) {
			throw new ConnectException( $this->path, 0, sprintf( 'the path is longer than %d bytes', self::MAX_PATH ) );
		}
		$lacks = self::lacks( self::NEEDS );
		if ( '' !== $lacks ) {
			throw new ConnectException( $this->path, 0, $lacks );
		}
		$errno = 0;
		$cause = '';
		$left  = max( 1, $deadline->remaining_us() ) / 1000000;
		// PHP connects without blocking and makes the socket block afterwards, unless a flag says that the caller
		// waits. A Unix socket needs no waiting: it is connected, or the queue is full.
		$flags  = STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT;
		$stream = @stream_socket_client( 'unix://' . $this->path, $errno, $cause, $left, $flags );
		if ( false === $stream ) {
			throw new ConnectException( $this->path, $errno, $cause );
		}
		$this->stream = $stream;
		$this->pid    = self::process();
	}

	/**
	 * Reads until the buffer holds at least so many bytes.
	 *
	 * @param int      $wanted   Bytes wanted in the buffer.
	 * @param int      $at_once  Most bytes to read at once.
	 * @param Deadline $deadline The call's deadline.
	 * @throws LostException If the connection ends before.
	 */
	private function fill( int $wanted, int $at_once, Deadline $deadline ): void {
		$missing = $wanted - strlen( $this->buffer );
		while ( $missing > 0 ) {
			$this->wait( false, $deadline );
			$bytes = @stream_socket_recvfrom( $this->stream, $at_once );
			if ( false === $bytes || '' === $bytes ) {
				throw new LostException( $deadline->operation() );
			}
			$this->buffer .= $bytes;
			$missing      -= strlen( $bytes );
		}
	}

	/**
	 * Waits until the stream can be written or read.
	 *
	 * @param bool     $for_writing Whether to wait until it can be written.
	 * @param Deadline $deadline    The call's deadline.
	 * @throws TimeoutException If the deadline passes before.
	 * @throws LostException    If waiting is not possible.
	 */
	private function wait( bool $for_writing, Deadline $deadline ): void {
		for ( $failures = 0; $failures < self::MAX_INTERRUPTIONS; ) {
			$left = $deadline->remaining_us();
			if ( $left <= 0 ) {
				throw new TimeoutException( $deadline, ! $for_writing );
			}
			$read   = $for_writing ? null : array( $this->stream );
			$write  = $for_writing ? array( $this->stream ) : null;
			$except = null;
			$ready  = @stream_select( $read, $write, $except, intdiv( $left, 1000000 ), $left % 1000000 );
			if ( $ready > 0 ) {
				return;
			}
			if ( false === $ready ) {
				++$failures;
			}
		}
		throw new LostException( $deadline->operation() );
	}
}
