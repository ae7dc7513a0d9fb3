<?php
/**
 * A spool folder for a test.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

use Ticketd\Client\Order;

/**
 * A temporary folder with the folder of this user in it, removed with the object.
 */
final class Folder {

	/**
	 * Path of the configured folder of all users' spools.
	 *
	 * @var string
	 */
	public string $path;

	/**
	 * Path of this user's folder in it.
	 *
	 * @var string
	 */
	public string $own;

	/**
	 * Makes it.
	 *
	 * @param string $suffix What its name ends with.
	 */
	public function __construct( string $suffix = '' ) {
		$this->path = sys_get_temp_dir() . '/ticketd-spool-' . bin2hex( random_bytes( 8 ) ) . $suffix;
		$this->own  = $this->path . '/' . posix_geteuid();
		mkdir( $this->path );
		mkdir( $this->own );
		chmod( $this->own, 02770 );
	}

	/**
	 * Removes it.
	 */
	public function __destruct() {
		exec( 'rm -rf ' . escapeshellarg( $this->path ) );
	}

	/**
	 * Every name in this user's folder.
	 *
	 * @return string[]
	 */
	public function all(): array {
		return array_values( array_diff( scandir( $this->own ), array( '.', '..' ) ) );
	}

	/**
	 * The names of complete changes in the folder, in order.
	 *
	 * @return string[]
	 */
	public function frames(): array {
		return array_values( preg_grep( '/^\d{16}-\d+-[0-9a-f]{16}\.frame$/D', $this->all() ) );
	}

	/**
	 * What is in a file.
	 *
	 * @param string $name Its name.
	 */
	public function contents( string $name ): string {
		return file_get_contents( "$this->own/$name" );
	}

	/**
	 * Puts a file there.
	 *
	 * @param string $name  Its name.
	 * @param string $bytes What is in it.
	 */
	public function put( string $name, string $bytes ): void {
		file_put_contents( "$this->own/$name", $bytes );
	}

	/**
	 * Makes a file older.
	 *
	 * @param string $name    Its name.
	 * @param int    $seconds How long ago it was written.
	 */
	public function age( string $name, int $seconds ): void {
		touch( "$this->own/$name", time() - $seconds );
	}

	/**
	 * Removes the changes, as the daemon does, and the file with the last number.
	 */
	public function take(): void {
		@unlink( "$this->own/" . Order::FILE );
		foreach ( $this->frames() as $name ) {
			unlink( "$this->own/$name" );
		}
	}
}
