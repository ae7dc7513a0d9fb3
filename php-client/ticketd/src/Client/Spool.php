<?php
/**
 * The spool: pending changes that could not be sent.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * A folder into which a user writes and from which the daemon ingests: before its first request, and, while it runs,
 * before any later request. Below the configured folder each user has a folder with the user's id as name. `ticketd
 * spool prepare` makes the folder: it belongs to the user, its group is the daemon's, and no other user may look into
 * it. A file holds a change, exactly the frame that the client would have sent:
 *
 *     {folder}/{user id}/{µs since 1970, 16 digits}-{ticket id}-{16 hex digits}.frame
 *
 * The daemon ingests the files in the order of their names, so the time only grows, see Order. The hex digits come
 * from site and request id: they keep names apart (a made-up request id is random), and find the same create when it
 * is made again.
 *
 * The folder is bounded in blocks of 4 KiB, the unit of file systems: at most 65,536, which are 256 MiB and as many
 * changes. Listing a large folder at each write would cost more than the write, so chance decides, drawn from the
 * file's name: every block written counts the folder with a probability of 1 in 256. So the bound is exceeded by 256
 * blocks (1 MiB) on average before the count notices, and by ten times as much once in 20,000 times. A full folder is
 * then noted in a file for all processes, which refuse without counting; after a second or two a process counts
 * again.
 */
final class Spool {

	/** Most blocks that the files of the folder may have. */
	public const MAX_BLOCKS = 65536;

	/** Bytes of a block. */
	public const BLOCK_BYTES = 4096;

	/** Blocks that are written, on average, for each time that the folder is counted. */
	private const BLOCKS_PER_COUNT = 256;

	/** Name of the file that says that the folder is full. */
	private const FULL = '.full';

	/** For how many seconds of its clock the note counts. */
	private const FULL_SECONDS = 1;

	/** Name of the folder in which the daemon sets aside what it cannot use. */
	private const BAD = 'bad';

	/** How names of files end that are whole. */
	private const SUFFIX = '.frame';

	/**
	 * The folder of all users' spools; an empty string without one.
	 *
	 * @var string
	 */
	private string $base;

	/**
	 * This user's folder; an empty string without one.
	 *
	 * @var string
	 */
	private string $folder;

	/**
	 * Most blocks that its files may have.
	 *
	 * @var int
	 */
	private int $max_blocks;

	/**
	 * Tells the time in microseconds since 1970.
	 *
	 * @var callable
	 */
	private $now_us;

	/**
	 * Keeps the folder's path; nothing is opened yet.
	 *
	 * @param string        $folder     The folder of all users' spools; with an empty string every write() fails.
	 * @param int           $max_blocks Most blocks that its files may have.
	 * @param callable|null $now_us     Tells the time in microseconds since 1970; null: the system's.
	 */
	public function __construct(
		string $folder = Breaker::DEFAULT_FOLDER,
		int $max_blocks = self::MAX_BLOCKS,
		?callable $now_us = null
	) {
		$this->base       = $folder;
		$this->folder     = Breaker::of_user( $folder );
		$this->max_blocks = $max_blocks;
		$this->now_us     = $now_us ?? static function (): int {
			return (int) round( microtime( true ) * 1000000 );
		};
	}

	/**
	 * Path of this user's folder; an empty string without one.
	 */
	public function folder(): string {
		return $this->folder;
	}

	/**
	 * Whether this user has a trusted folder. Only a write shows whether the folder is writable.
	 */
	public function exists(): bool {
		return '' !== $this->folder && null !== Files::mine( $this->folder, Files::DIR );
	}

	/**
	 * Why changes cannot be spooled, and what to do.
	 *
	 * @return string A text in English for people; an empty string where they can, or where no folder is configured.
	 */
	public function trouble(): string {
		if ( '' === $this->base ) {
			return '';
		}
		$lacks = Connection::lacks( Breaker::NEEDS );
		if ( '' !== $lacks ) {
			return 'There is no spool: ' . $lacks . '.';
		}
		if ( '' === $this->folder ) {
			return 'PHP cannot tell as which user it runs, so that no spool is its own: install the posix '
				. 'extension, or add /proc/self to open_basedir.';
		}
		if ( $this->exists() ) {
			return '';
		}
		clearstatcache( true, $this->folder );
		if ( false === @lstat( $this->folder ) ) {
			return sprintf(
				'There is no spool folder %s for the user of this site: run "ticketd spool prepare" as root, with that '
				. 'user in allow_users.',
				$this->folder
			);
		}
		return sprintf(
			'The spool folder %s is not used, as another user could have put changes there: it must be a folder that '
			. 'belongs to user %d and that not everybody may write to. Look at it, then run "ticketd spool prepare" as '
			. 'root.',
			$this->folder,
			(int) Breaker::user()
		);
	}

	/**
	 * How many files in the folder belong to other users. Neither the client nor the daemon opens or removes them.
	 */
	public function strangers(): int {
		$names = $this->exists() ? array_diff( (array) @scandir( $this->folder ), array( '.', '..' ) ) : array();
		$own   = function ( string $name ): bool {
			$found = @lstat( $this->folder . '/' . $name );
			// The folder for unusable files belongs to the daemon.
			return false === $found || self::BAD === $name || Breaker::user() === $found['uid'];
		};
		return count( $names ) - count( array_filter( $names, $own ) );
	}

	/**
	 * Spools a change.
	 *
	 * @param Request $request A `create` with an id, a `set` or a `delete`; it has a request id.
	 * @return bool Whether the change is in the spool; false where the folder cannot be written.
	 * @throws LocalException If the folder is full; the reason is `overloaded`. A request that is longer than a frame
	 *         is an InputException.
	 */
	public function write( Request $request ): bool {
		if ( ! $this->exists() ) {
			return false;
		}
		$frame  = Connection::frame( ( new PureCodec() )->encode_request( 1, $request->method(), $request->params() ) );
		$number = Order::next(
			$this->folder,
			( $this->now_us )(),
			function (): int {
				$names = $this->names( '*' );
				return (int) end( $names );
			}
		);
		$name   = sprintf( '%016d-%d-%s', $number, $request->param( 'id' ), self::tag( $request ) ) . self::SUFFIX;
		if ( $this->is_full( self::blocks( strlen( $frame ) ), $name ) ) {
			throw new LocalException(
				'overloaded',
				sprintf(
					'The spool %s is full: its backlog is %d MiB of changes. Start ticketd.',
					$this->folder,
					intdiv( $this->max_blocks * self::BLOCK_BYTES, 1048576 )
				),
				true
			);
		}
		return Files::write( $this->folder . '/' . $name, $frame, true );
	}

	/**
	 * How many changes of this user are pending here.
	 */
	public function backlog(): int {
		return count( $this->names( '*' ) );
	}

	/**
	 * The pending changes of tickets.
	 *
	 * @param int[] $ids Ticket ids, at least one.
	 * @return array<int, array> By ticket id a list of pairs of the time in microseconds since 1970 and the Request, in
	 *                           the order in which the daemon will ingest them. Tickets without any are left out.
	 */
	public function waiting( array $ids ): array {
		// A single listing serves all ids: a pattern for each id would list the folder as many times.
		$pattern = 1 === count( $ids ) ? sprintf( '*-%d-*', reset( $ids ) ) : '*';
		$wanted  = array_flip( $ids );
		$waiting = array();
		foreach ( $this->names( $pattern ) as $name ) {
			list( $time, $id ) = explode( '-', $name );
			$request           = isset( $wanted[ (int) $id ] ) ? $this->read( $name ) : null;
			if ( null !== $request && $request->param( 'id' ) === (int) $id ) {
				$waiting[ (int) $id ][] = array( (int) $time, $request );
			}
		}
		return $waiting;
	}

	/**
	 * Looks for a pending create with the same request id.
	 *
	 * @param Request $request The create.
	 * @return int The id of its ticket, or 0.
	 */
	public function created( Request $request ): int {
		foreach ( $this->names( '*-*-' . self::tag( $request ) ) as $name ) {
			$waiting = $this->read( $name );
			if ( null !== $waiting
				&& array( 'create', $request->request_id() ) === array( $waiting->method(), $waiting->request_id() )
				&& $waiting->is_of( $request->site(), (string) $request->param( 'table' ) )
			) {
				return (int) $waiting->param( 'id' );
			}
		}
		return 0;
	}

	/**
	 * Names in the folder, in their order.
	 *
	 * @param string $pattern What the names must be like, without the suffix.
	 * @return string[]
	 */
	private function names( string $pattern ): array {
		if ( ! $this->exists() ) {
			return array();
		}
		$folder = addcslashes( $this->folder, '*?[\\' );
		$names  = array_map( 'basename', (array) glob( $folder . '/' . $pattern . self::SUFFIX, GLOB_NOSORT ) );
		$names  = preg_grep( '/^\d{16}-[1-9]\d{0,18}-[0-9a-f]{16}\.frame$/D', $names );
		sort( $names, SORT_STRING );
		return $names;
	}

	/**
	 * Reads a file.
	 *
	 * @param string $name The name.
	 * @return Request|null Null where the file is ingested or holds no request; the daemon rejects such a file.
	 */
	private function read( string $name ): ?Request {
		$path = $this->folder . '/' . $name;
		if ( null === Files::mine( $path ) ) {
			return null;
		}
		// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- The client works without WordPress.
		$frame = @file_get_contents( $path, false, null, 0, Connection::HEADER_BYTES + Protocol::MAX_PAYLOAD + 1 );
		if ( false === $frame || strlen( $frame ) <= Connection::HEADER_BYTES ) {
			return null;
		}
		try {
			$payload  = substr( $frame, Connection::HEADER_BYTES );
			$is_whole = Connection::payload_length( $frame ) === strlen( $payload );
			$message  = $is_whole ? ( new PureCodec() )->decode( $payload ) : array();
		} catch ( ProtocolException $e ) {
			return null;
		}
		$method     = $message[2] ?? null;
		$params     = $message[3] ?? null;
		$is_request = 4 === count( $message ) && is_string( $method ) && is_array( $params );
		return $is_request && self::is_change( $params ) ? new Request( $method, $params ) : null;
	}

	/**
	 * Whether parameters have the shape of a change's: scalars, except for the map of fields, which holds scalars. An
	 * older client, or another program of this user, may have written the file.
	 *
	 * @param array $params The parameters by name.
	 */
	private static function is_change( array $params ): bool {
		$fields = $params['fields'] ?? array();
		if ( ! is_array( $fields ) ) {
			return false;
		}
		unset( $params['fields'] );
		foreach ( array( $params, $fields ) as $values ) {
			foreach ( $values as $value ) {
				if ( null !== $value && ! is_scalar( $value ) ) {
					return false;
				}
			}
		}
		return true;
	}

	/**
	 * The hex digits of a request's file.
	 *
	 * @param Request $request The request.
	 */
	private static function tag( Request $request ): string {
		return substr( hash( 'sha256', $request->site() . "\0" . $request->request_id() ), 0, 16 );
	}

	/**
	 * Whether there is no room for so many blocks, as far as known; see the class.
	 *
	 * @param int    $blocks Blocks that are to be written.
	 * @param string $name   Name of the file that they are to be in.
	 */
	private function is_full( int $blocks, string $name ): bool {
		$marker  = $this->folder . '/' . self::FULL;
		$full_at = Files::written_at( $marker );
		if ( null !== $full_at && abs( time() - $full_at ) <= self::FULL_SECONDS ) {
			return true;
		}
		// A small bound is counted each time: a small folder is not slow to list.
		$sides = max( 1, min( self::BLOCKS_PER_COUNT, intdiv( $this->max_blocks, self::BLOCKS_PER_COUNT ) ) );
		if ( null === $full_at && crc32( $name ) % $sides >= $blocks ) {
			return false;
		}
		$is_full = $this->count() + $blocks > $this->max_blocks;
		if ( $is_full ) {
			Files::write( $marker, '', false );
		} elseif ( null !== $full_at ) {
			Files::remove( $marker );
		}
		return $is_full;
	}

	/**
	 * Counts the blocks of the folder's files.
	 */
	private function count(): int {
		$blocks = 0;
		foreach ( $this->names( '*' ) as $name ) {
			$found   = Files::mine( $this->folder . '/' . $name );
			$blocks += null === $found ? 0 : self::blocks( $found['size'] );
		}
		return $blocks;
	}

	/**
	 * How many blocks a file takes.
	 *
	 * @param int $bytes Its size.
	 */
	private static function blocks( int $bytes ): int {
		return max( 1, intdiv( $bytes + self::BLOCK_BYTES - 1, self::BLOCK_BYTES ) );
	}
}
