<?php
/**
 * The few operations on files.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Looks at, writes and removes files in this user's spool folder.
 *
 * The method mine() checks a file before anything is opened: opening a pipe waits for its writer, opening a file under
 * a write lease waits for its holder, and another user's file may have any content. PHP has no open(2) flag that would
 * refuse such files, so only a check before opening can.
 *
 * A new file gets a name that cannot be guessed and is then renamed, so that no reader sees half a file, and that
 * another user's symbolic link is replaced and not followed. WordPress' own WP_Filesystem can do neither, and the
 * client works without WordPress.
 */
final class Files {

	/** How names of files begin that are not whole yet. */
	public const DRAFT = '.tmp-';

	/** Removes other users' rights from a file's mode: the daemon reads the file by the folder's group. */
	private const UMASK = 0027;

	/** The type of a file in its mode, and the types that mine() is asked for; the numbers are those of stat(2). */
	private const TYPE = 0170000;
	public const FILE  = 0100000;
	public const DIR   = 0040000;

	/** In a mode: everybody may write. */
	private const OTHERS_WRITE = 0002;

	/**
	 * Writes a complete file or no file.
	 *
	 * With $sync the bytes are on the disk at the return, if PHP can sync files (from version 8.1). PHP cannot sync
	 * the folder's entry: the entry follows within seconds, which is safe in a crash of PHP but maybe not in a loss
	 * of power.
	 *
	 * @param string $path  Where it is to be.
	 * @param string $bytes The content.
	 * @param bool   $sync  Whether to wait for the disk.
	 * @return bool Whether the file was written. After a failure no part of the file remains.
	 */
	public static function write( string $path, string $bytes, bool $sync ): bool {
		$draft = dirname( $path ) . '/' . self::DRAFT . bin2hex( random_bytes( 8 ) );
		$mask  = umask( self::UMASK );
		try {
			// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- The client works without WordPress.
			$done = @file_put_contents( $draft, $bytes ) === strlen( $bytes )
				&& ( ! $sync || self::sync( $draft ) )
				// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- The client works without WordPress.
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
			// A link is refused if the name is taken; an opened or renamed file is not.
			// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- The client works without WordPress.
			return @file_put_contents( $draft, '' ) === 0 && @link( $draft, $path );
		} finally {
			umask( $mask );
			self::remove( $draft );
		}
	}

	/**
	 * Removes a file; a missing file is no error.
	 *
	 * @param string $path The path.
	 */
	public static function remove( string $path ): void {
		// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- The client works without WordPress.
		@unlink( $path );
	}

	/**
	 * Checks that a path is a file or folder of this user: of the wanted type, owned by the effective user of this
	 * process, a file with a single name, and a folder that not everybody may write to. The check opens no file.
	 *
	 * @param string $path The path.
	 * @param int    $type self::FILE or self::DIR.
	 * @return array|null The result of lstat(2); null if the path does not exist or belongs to another user.
	 */
	public static function mine( string $path, int $type = self::FILE ): ?array {
		do {
			// PHP caches what it has seen of a file, but other processes write this file.
			clearstatcache( true, $path );
			$found = @lstat( $path );
			// A file without a name was replaced or removed during the check: check the present file.
		} while ( 0 === ( $found['nlink'] ?? 1 ) );
		if ( false === $found || ( $found['mode'] & self::TYPE ) !== $type || Breaker::user() !== $found['uid'] ) {
			return null;
		}
		$is_shared = self::DIR === $type ? 0 !== ( $found['mode'] & self::OTHERS_WRITE ) : 1 !== $found['nlink'];
		return $is_shared ? null : $found;
	}

	/**
	 * Whether the path exists and is not a file of this user.
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
	 * @return bool False if the disk refused the bytes.
	 */
	private static function sync( string $path ): bool {
		if ( ! function_exists( 'fsync' ) || ! function_exists( 'fopen' ) ) {
			return true;
		}
		// Syncing needs a stream, and nothing else opens one of a file.
		// phpcs:ignore WordPress.WP.AlternativeFunctions, Generic.PHP.ForbiddenFunctions -- The client works without WordPress.
		$file = @fopen( $path, 'r' );
		return false !== $file && @fsync( $file );
	}
}
