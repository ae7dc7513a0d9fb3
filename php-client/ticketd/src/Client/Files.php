<?php
/**
 * The few things that are done to files.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Looks at, writes and removes files in this user's spool folder.
 *
 * Nothing is opened before mine() has looked at it: opening a pipe waits for its writer, opening a file under a write
 * lease waits for its holder, and what another user has put there says what that user likes. PHP has no open(2) flag
 * that would refuse those, so only a look before the opening can.
 *
 * A file is always made under a name that cannot be guessed and then renamed, so that no reader sees half of it, and
 * that a symbolic link that another user has put there is replaced and not followed. WordPress' own WP_Filesystem can
 * do neither, and the client works without WordPress.
 */
final class Files {

	/** How names of files begin that are not whole yet. */
	public const DRAFT = '.tmp-';

	/** Takes from a file's mode what others may do with it: the daemon reads it, by the folder's group. */
	private const UMASK = 0027;

	/** The type of a file in its mode, and the types that mine() is asked for; the numbers are those of stat(2). */
	private const TYPE = 0170000;
	public const FILE  = 0100000;
	public const DIR   = 0040000;

	/** In a mode: everybody may write. */
	private const OTHERS_WRITE = 0002;

	/**
	 * Writes a file that is there whole or not at all.
	 *
	 * The bytes are on the disk when this returns, if PHP can see to that (from version 8.1). Of the folder's entry
	 * PHP cannot: it follows within seconds, which a crash of PHP survives and a loss of power may not.
	 *
	 * @param string $path  Where it is to be.
	 * @param string $bytes The content.
	 * @param bool   $sync  Whether to wait for the disk.
	 * @return bool Whether it is there. Where not, nothing of it is left.
	 */
	public static function write( string $path, string $bytes, bool $sync ): bool {
		$draft = dirname( $path ) . '/' . self::DRAFT . bin2hex( random_bytes( 8 ) );
		$mask  = umask( self::UMASK );
		try {
			$done = @file_put_contents( $draft, $bytes ) === strlen( $bytes )
				&& ( ! $sync || self::sync( $draft ) )
				// phpcs:ignore WordPress.WP.AlternativeFunctions -- The client works without WordPress.
				&& @rename( $draft, $path );
		} finally {
			umask( $mask );
		}
		if ( ! $done ) {
			self::remove( $draft );
		}
		return $done;
	}

	/**
	 * Makes an empty file, unless the name is taken.
	 *
	 * @param string $path Where it is to be.
	 * @return bool Whether it was made.
	 */
	public static function create( string $path ): bool {
		$draft = dirname( $path ) . '/' . self::DRAFT . bin2hex( random_bytes( 8 ) );
		$mask  = umask( self::UMASK );
		try {
			// A link is refused where its name is taken; a file that is opened or renamed is not.
			return @file_put_contents( $draft, '' ) === 0 && @link( $draft, $path );
		} finally {
			umask( $mask );
			self::remove( $draft );
		}
	}

	/**
	 * Removes a file; one that is not there is no error.
	 *
	 * @param string $path The path.
	 */
	public static function remove( string $path ): void {
		// phpcs:ignore WordPress.WP.AlternativeFunctions -- The client works without WordPress.
		@unlink( $path );
	}

	/**
	 * Looks whether something is what this user has made: of the type that is asked for, owned by the effective user of
	 * this process, a file of one name only, and a folder that not everybody may write to. Nothing is opened.
	 *
	 * @param string $path The path.
	 * @param int    $type self::FILE or self::DIR.
	 * @return array|null What lstat(2) says of it; null if it does not exist or belongs to another user.
	 */
	public static function mine( string $path, int $type = self::FILE ): ?array {
		do {
			// PHP remembers what it has seen of a file; it is other processes that write this one.
			clearstatcache( true, $path );
			$found = @lstat( $path );
			// A file without a name was replaced or removed during the look: look at what is there now.
		} while ( 0 === ( $found['nlink'] ?? 1 ) );
		if ( false === $found || ( $found['mode'] & self::TYPE ) !== $type || Breaker::user() !== $found['uid'] ) {
			return null;
		}
		$is_shared = self::DIR === $type ? 0 !== ( $found['mode'] & self::OTHERS_WRITE ) : 1 !== $found['nlink'];
		return $is_shared ? null : $found;
	}

	/**
	 * Whether something is there that is no file of this user's.
	 *
	 * @param string $path The path.
	 */
	public static function is_foreign( string $path ): bool {
		clearstatcache( true, $path );
		$found = @lstat( $path );
		return false !== $found
			&& ( ( $found['mode'] & self::TYPE ) !== self::FILE || Breaker::user() !== $found['uid'] );
	}

	/**
	 * When a file of this user's was written last.
	 *
	 * @param string $path The path.
	 * @return int|null Seconds since 1970; null if the file does not exist or belongs to another user.
	 */
	public static function written_at( string $path ): ?int {
		return self::mine( $path )['mtime'] ?? null;
	}

	/**
	 * Writes a file's bytes to the disk.
	 *
	 * @param string $path The path.
	 * @return bool False where the disk refused them.
	 */
	private static function sync( string $path ): bool {
		if ( ! function_exists( 'fsync' ) ) {
			return true;
		}
		// Syncing needs a stream, and nothing else opens one of a file.
		// phpcs:ignore WordPress.WP.AlternativeFunctions -- The client works without WordPress.
		$file = @fopen( $path, 'r' );
		return false !== $file && @fsync( $file );
	}
}
