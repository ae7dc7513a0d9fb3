<?php
/**
 * The breaker: it keeps pages fast while the daemon hangs.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * A circuit breaker. A call that reaches its deadline opens the breaker; while the breaker is open, calls fail at
 * once instead of waiting for their own deadlines. After that time, a single caller claims the attempt and tries,
 * while others go on failing at once; an answer closes the breaker.
 *
 * Only a passed deadline opens the breaker. A missing daemon, or a daemon with a full backlog, refuses at once, so
 * that leaving the daemon alone would save nothing.
 *
 * The PHP processes of a user share the breaker through the time of a file in the user's spool folder; a file of
 * another user does not count. Without the folder the breaker works within a single PHP process.
 */
final class Breaker {

	/**
	 * How long calls are not tried after a deadline, in seconds. PHP sees the times of files in whole seconds, so it is
	 * up to one second longer.
	 */
	public const OPEN_SECONDS = 2;

	/** Where the folder of all users' spools is by default. */
	public const DEFAULT_FOLDER = '/var/spool/ticketd';

	/** The functions without which there is no spool, nor a file of the breaker. */
	public const NEEDS = array(
		'file_put_contents',
		'rename',
		'link',
		'unlink',
		'umask',
		'lstat',
		'clearstatcache',
		'scandir',
		'glob',
	);

	/** Name of the file in the spool folder. The daemon takes no notice of names that begin with a dot. */
	public const FILE = '.breaker';

	/**
	 * Path of the file; empty: none.
	 *
	 * @var string
	 */
	private string $path;

	/**
	 * How long calls are not tried, in seconds.
	 *
	 * @var int
	 */
	private int $seconds;

	/**
	 * Tells the time in seconds since 1970.
	 *
	 * @var callable
	 */
	private $now;

	/**
	 * When the breaker was opened, where that could not be noted in the file.
	 *
	 * @var int|null
	 */
	private ?int $opened_at = null;

	/**
	 * Whether the last call that was let through was the attempt of an open breaker.
	 *
	 * @var bool
	 */
	private bool $trying = false;

	/**
	 * Makes a breaker.
	 *
	 * @param string        $folder  The folder of all users' spools; empty: no breaker but this process's own.
	 * @param int           $seconds How long calls are not tried after a deadline.
	 * @param callable|null $now     Tells the time in seconds since 1970; null: the system's.
	 */
	public function __construct( string $folder = '', int $seconds = self::OPEN_SECONDS, ?callable $now = null ) {
		$folder        = self::of_user( $folder );
		$this->path    = '' === $folder ? '' : $folder . '/' . self::FILE;
		$this->seconds = $seconds;
		$this->now     = $now ?? 'time';
	}

	/**
	 * The effective user of this process; null where PHP cannot tell.
	 */
	public static function user(): ?int {
		// Many images of PHP lack the extension; Linux knows the user, too, unless open_basedir hides /proc.
		$user = function_exists( 'posix_geteuid' ) ? posix_geteuid() : @fileowner( '/proc/self' );
		return false === $user ? null : $user;
	}

	/**
	 * The folder of this process' user.
	 *
	 * @param string $folder The folder of all users' spools, or an empty string.
	 * @return string The path; an empty string without one, or where PHP may not use files as the spool needs.
	 */
	public static function of_user( string $folder ): string {
		$user = '' === $folder || '' !== Connection::lacks( self::NEEDS ) ? null : self::user();
		return null === $user ? '' : $folder . '/' . $user;
	}

	/**
	 * Lets a call through, or ends it.
	 *
	 * @throws LocalException If the breaker is open.
	 */
	public function pass(): void {
		$opened_at    = $this->opened_at();
		$this->trying = null !== $opened_at && ! $this->is_recent( $opened_at ) && $this->claim();
		if ( null !== $opened_at && ! $this->trying ) {
			throw new LocalException(
				'unavailable',
				'ticketd did not answer in time a moment ago; nothing was sent. Try again in a few seconds.',
				true
			);
		}
	}

	/**
	 * Notes that a call reached its deadline.
	 */
	public function open(): void {
		$noted           = $this->is_shared() && Files::write( $this->path, '', false );
		$this->opened_at = $noted ? null : ( $this->now )();
	}

	/**
	 * Notes that the daemon answers, or that it does not run, which fails at once.
	 */
	public function close(): void {
		if ( $this->trying ) {
			$this->trying    = false;
			$this->opened_at = null;
			if ( '' !== $this->path ) {
				Files::remove( $this->path );
			}
		}
	}

	/**
	 * When the breaker was opened; null: the breaker is closed.
	 */
	private function opened_at(): ?int {
		if ( null !== $this->opened_at || '' === $this->path ) {
			return $this->opened_at;
		}
		// Usually the file is missing, and checking is cheaper than failing to read a time. PHP only caches existing
		// files.
		return file_exists( $this->path ) && $this->is_shared() ? Files::written_at( $this->path ) : null;
	}

	/**
	 * Whether this user has a folder in which the breaker's file can be trusted.
	 */
	private function is_shared(): bool {
		return '' !== $this->path && null !== Files::mine( dirname( $this->path ), Files::DIR );
	}

	/**
	 * Whether a time is so recent that calls are not tried. A time in the future does not count: the clock was set
	 * back.
	 *
	 * @param int $time Seconds since 1970.
	 */
	private function is_recent( int $time ): bool {
		$age = ( $this->now )() - $time;
		return $age >= 0 && $age <= $this->seconds;
	}

	/**
	 * Claims the attempt, which stops all other processes for as long as an opened breaker does.
	 *
	 * @return bool Whether this process makes the attempt.
	 */
	private function claim(): bool {
		if ( null !== $this->opened_at ) {
			$this->opened_at = ( $this->now )();
			return true;
		}
		if ( null === Files::mine( $this->path ) ) {
			return true; // Another process has closed the breaker meanwhile.
		}
		try {
			$file = new \SplFileObject( $this->path, 'r' );
		} catch ( \RuntimeException $e ) {
			return true; // Another process has closed the breaker meanwhile.
		}
		if ( ! $file->flock( LOCK_EX | LOCK_NB ) ) {
			return false;
		}
		// A process that claimed the attempt between the check and the lock has renewed the file.
		$opened_at = $this->opened_at();
		if ( null !== $opened_at && $this->is_recent( $opened_at ) ) {
			return false;
		}
		$this->open();
		return true;
	}
}
