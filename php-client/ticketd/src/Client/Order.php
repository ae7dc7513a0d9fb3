<?php
/**
 * The order of the changes in the spool.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Gives each change of a user a number greater than that of every change spooled before by any process: the daemon
 * ingests changes in the order of these numbers. The number is the time, if the time is greater. The clock alone is
 * not enough: after it was set back, a new change would come before an older change, which then wins.
 *
 * The last number is in a file of the user's spool folder, in 16 digits, and is changed under a lock. If the file is
 * unusable, or a stopped process holds the lock for long, the names in the folder give the last number: changes wait
 * nowhere else. The next change then begins a new file, because this file no longer has the last number.
 */
final class Order {

	/** Name of the file in the spool folder. The daemon takes no notice of names that begin with a dot. */
	public const FILE = '.last';

	/** The file's content: a number of microseconds since 1970, of this millennium. */
	private const NUMBER = '/^[0-8]\d{15}$/D';

	/** How often the lock is tried, and the pause between two tries in microseconds: 50 ms in all. */
	private const TRIES    = 20;
	private const PAUSE_US = 2500;

	/**
	 * Gives the next number.
	 *
	 * @param string   $folder  The user's spool folder, which exists.
	 * @param int      $now_us  The time in microseconds since 1970.
	 * @param callable $highest Looks for the highest number among the changes that wait; 0 where none does.
	 */
	public static function next( string $folder, int $now_us, callable $highest ): int {
		$path = $folder . '/' . self::FILE;
		$file = self::lock( $path );
		$last = null === $file ? '' : (string) $file->fread( 17 );
		$next = max( $now_us, 1 + ( preg_match( self::NUMBER, $last ) ? (int) $last : $highest() ) );
		if ( null !== $file && 0 === $file->fseek( 0 ) && 16 === @$file->fwrite( sprintf( '%016d', $next ) ) ) {
			return $next;
		}
		if ( null !== Files::mine( $path ) ) {
			Files::remove( $path );
		}
		return $next;
	}

	/**
	 * Opens the file, which is made if missing, and takes its lock, which ends with the object.
	 *
	 * @param string $path The path.
	 * @return \SplFileObject|null Null if the file belongs to another user, or is locked for too long.
	 */
	private static function lock( string $path ): ?\SplFileObject {
		for ( $try = 0; $try < self::TRIES; $try++ ) {
			if ( $try > 0 ) {
				usleep( self::PAUSE_US );
			}
			if ( null === Files::mine( $path ) && ! Files::create( $path ) && Files::is_foreign( $path ) ) {
				return null;
			}
			if ( null === Files::mine( $path ) ) {
				continue; // The process that made the file has not removed the second name yet.
			}
			try {
				$file = new \SplFileObject( $path, 'r+' );
			} catch ( \RuntimeException $e ) {
				continue; // The file was removed meanwhile.
			}
			if ( $file->flock( LOCK_EX | LOCK_NB ) && ( Files::mine( $path )['ino'] ?? 0 ) === $file->fstat()['ino'] ) {
				return $file;
			}
		}
		return null;
	}
}
