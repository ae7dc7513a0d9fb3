<?php
/**
 * Another PHP process.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * Runs code with the plugin's classes loaded; the process talks with the test over its standard streams.
 */
final class Child {

	/**
	 * The process.
	 *
	 * @var resource
	 */
	private $process;

	/**
	 * Its streams.
	 *
	 * @var resource[]
	 */
	private array $pipes;

	/**
	 * Starts it.
	 *
	 * @param string   $code The code; its arguments are in $argv from index 1.
	 * @param string[] $args Its arguments.
	 * @param string[] $ini  Settings of its PHP, as "name=value".
	 */
	public function __construct( string $code, array $args, array $ini = array() ) {
		$load    = sprintf( 'require %s;', var_export( dirname( __DIR__, 2 ) . '/ticketd/src/autoload.php', true ) );
		$command = array( PHP_BINARY, '-d', 'display_errors=stderr' );
		foreach ( $ini as $setting ) {
			array_push( $command, '-d', $setting );
		}
		$command       = array_merge( $command, array( '-r', $load . $code, '--' ), $args );
		$this->process = proc_open( $command, array( array( 'pipe', 'r' ), array( 'pipe', 'w' ) ), $pipes );
		$this->pipes   = $pipes;
	}

	/**
	 * Ends it.
	 */
	public function __destruct() {
		proc_terminate( $this->process, 9 );
		proc_close( $this->process );
	}

	/**
	 * The next line of the process' output.
	 */
	public function line(): string {
		return trim( (string) fgets( $this->pipes[1] ) );
	}

	/**
	 * Lets a process that waits for a line go on.
	 */
	public function go_on(): void {
		fwrite( $this->pipes[0], "\n" );
	}

	/**
	 * Whether it still runs.
	 */
	public function is_running(): bool {
		return proc_get_status( $this->process )['running'];
	}
}
