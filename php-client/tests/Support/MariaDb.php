<?php
/**
 * A real database for the tests that need one.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * A private MariaDB on its own socket, with WordPress' own class. The server starts in about a second, without the
 * tables of users and rights.
 */
final class MariaDb {

	/** How long it may take to start, in seconds. */
	private const PATIENCE = 30;

	/**
	 * The server of this run, which all tests share.
	 *
	 * @var self|null
	 */
	private static ?self $shared = null;

	/**
	 * Its folder.
	 *
	 * @var string
	 */
	private string $folder;

	/**
	 * The server.
	 *
	 * @var resource
	 */
	private $process;

	/**
	 * Starts it.
	 */
	private function __construct() {
		$this->folder = sys_get_temp_dir() . '/ticketd-db-' . bin2hex( random_bytes( 4 ) );
		mkdir( $this->folder . '/data', 0700, true );
		$command       = array(
			file_exists( '/usr/sbin/mariadbd' ) ? '/usr/sbin/mariadbd' : 'mariadbd',
			'--no-defaults',
			'--datadir=' . $this->folder . '/data',
			'--socket=' . $this->folder . '/s',
			'--pid-file=' . $this->folder . '/pid',
			'--skip-networking',
			'--skip-grant-tables',
			'--skip-log-bin',
			'--character-set-server=utf8mb4',
			'--innodb-buffer-pool-size=16M',
			'--innodb-log-file-size=8M',
			'--innodb-flush-method=nosync',
			'--sync-frm=OFF',
		);
		$command       = 0 === posix_geteuid() ? array_merge( $command, array( '--user=root' ) ) : $command;
		$log           = array( 'file', $this->folder . '/log', 'w' );
		$this->process = proc_open( $command, array( array( 'file', '/dev/null', 'r' ), $log, $log ), $pipes );
		mysqli_report( MYSQLI_REPORT_OFF );
		$until = microtime( true ) + self::PATIENCE;
		do {
			usleep( 20000 );
			$connection = @mysqli_connect( 'localhost', 'root', '', '', 0, $this->folder . '/s' );
		} while ( false === $connection && microtime( true ) < $until && proc_get_status( $this->process )['running'] );
		if ( false === $connection ) {
			throw new \RuntimeException( 'MariaDB did not start: ' . file_get_contents( $this->folder . '/log' ) );
		}
		mysqli_query( $connection, 'CREATE DATABASE wordpress' );
		mysqli_query( $connection, 'CREATE TABLE wordpress.wp_options (option_name VARCHAR(191), option_value TEXT, autoload VARCHAR(20))' );
	}

	/**
	 * Ends it with the run.
	 */
	public function __destruct() {
		proc_terminate( $this->process, 9 );
		proc_close( $this->process );
		$files = new \RecursiveDirectoryIterator( $this->folder, \FilesystemIterator::SKIP_DOTS );
		foreach ( new \RecursiveIteratorIterator( $files, \RecursiveIteratorIterator::CHILD_FIRST ) as $file ) {
			$file->isDir() ? rmdir( $file->getPathname() ) : unlink( $file->getPathname() );
		}
		rmdir( $this->folder );
	}

	/**
	 * Stops the server, whose connections stay open, or lets it go on.
	 *
	 * @param bool $is_stopped Whether it does not answer from now on.
	 */
	public static function stop( bool $is_stopped ): void {
		posix_kill( proc_get_status( self::$shared->process )['pid'], $is_stopped ? SIGSTOP : SIGCONT );
	}

	/**
	 * A connection of another process to the server.
	 */
	public static function other(): \mysqli {
		return mysqli_connect( 'localhost', 'root', '', 'wordpress', 0, self::$shared->folder . '/s' );
	}

	/**
	 * WordPress' database class on the server, with the plugin's empty tables.
	 */
	public static function wpdb(): \wpdb {
		self::$shared = self::$shared ?? new self();
		require_once ABSPATH . WPINC . '/class-wpdb.php';
		$wpdb = new \wpdb( 'root', '', 'wordpress', 'localhost:' . self::$shared->folder . '/s' );
		$wpdb->set_prefix( 'wp_' );
		$wpdb->query( 'DROP TABLE IF EXISTS wp_support_tickets, wp_support_tickets_seq' );
		$sql   = file_get_contents( dirname( __DIR__, 2 ) . '/ticketd/sql/schema.sql' );
		$names = array( '{table}' => 'wp_support_tickets', '{key}' => 'ticket_id', '{charset_collate}' => $wpdb->get_charset_collate() );
		foreach ( preg_split( '/;\s*$/m', strtr( preg_replace( '/^--.*$/m', '', $sql ), $names ), -1, PREG_SPLIT_NO_EMPTY ) as $statement ) {
			if ( '' !== trim( $statement ) && false === $wpdb->query( $statement ) ) {
				throw new \RuntimeException( $wpdb->last_error );
			}
		}
		return $wpdb;
	}
}
