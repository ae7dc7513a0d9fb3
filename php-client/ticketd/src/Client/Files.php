<?php
/**
 * The few things that are done to files.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Writes and removes files in the spool folder, which other users of the web server's group may write too.
 *
 * A file is always made under a name that nobody can guess and then renamed: so that nobody ever sees half of it, and
 * that a symbolic link which somebody has put there is replaced and not followed. WordPress' own WP_Filesystem can do
 * neither, and the client works without WordPress.
 */
final class Files {

	/** How names of files begin that are not whole yet. */
	public const DRAFT = '.tmp-';

	/** What others may do with a file: the daemon, which is another user, reads it. The folder is closed to the rest. */
	private const UMASK = 0022;

	/**
	 * Writes a file that is there whole or not at all.
	 *
	 * The bytes are on the disk when this returns, if PHP can see to that (from version 8.1). Of the folder's entry
	 * PHP cannot: it follows within seconds, which a crash of PHP survives and a loss of power may not.
	 *
	 * @param string $path  Where it is to be.
	 * @param string $bytes What is in it.
	 * @param bool   $sync  Whether to wait for the disk.
	 * @return bool Whether it is there. Where not, nothing of it is left.
	 */
	public static function write( string $path, string $bytes, bool $sync ): bool {
		$draft = dirname( $path ) . '/' . self::DRAFT . bin2hex( random_bytes( 8 ) );
		$mask  = umask( self::UMASK );
		try {
			$done = @file_put_contents( $draft, $bytes ) === strlen( $bytes )
				&& ( ! $sync || self::sync( $draft ) )
				&& @rename( $draft, $path ); // phpcs:ignore WordPress.WP.AlternativeFunctions.rename_rename
		} finally {
			umask( $mask );
		}
		if ( ! $done ) {
			self::remove( $draft );
		}
		return $done;
	}

	/**
	 * Removes a file; one that is not there is no error.
	 *
	 * @param string $path Where it is.
	 */
	public static function remove( string $path ): void {
		@unlink( $path ); // phpcs:ignore WordPress.WP.AlternativeFunctions.unlink_unlink
	}

	/**
	 * When a file was written last.
	 *
	 * @param string $path Where it is.
	 * @return int|null Seconds since 1970; null where there is none.
	 */
	public static function written_at( string $path ): ?int {
		// PHP remembers what it has seen of a file; it is others who write this one.
		clearstatcache( true, $path );
		$time = @filemtime( $path );
		return false === $time ? null : $time;
	}

	/**
	 * Brings a file's bytes to the disk.
	 *
	 * @param string $path Where it is.
	 * @return bool False where the disk refused them.
	 */
	private static function sync( string $path ): bool {
		if ( ! function_exists( 'fsync' ) ) {
			return true;
		}
		// Syncing needs a stream, and nothing else opens one of a file.
		$file = @fopen( $path, 'r' ); // phpcs:ignore WordPress.WP.AlternativeFunctions.file_system_operations_fopen
		return false !== $file && @fsync( $file );
	}
}
