<?php
/**
 * What the plugin's client costs PHP, before and after a change, as pairs of the same minutes.
 *
 *     git archive REVISION php-client | tar -x -C /tmp/before
 *     php bench/php/pairs/pairs.php /tmp/before/php-client/ticketd php-client/ticketd [ROUNDS]
 *
 * The daemon is the C floor of bench/echo. A figure is PHP's own processor time in microseconds: of a worker of
 * PHP-FPM with opcache for a request, of a process for a write. All processors are kept awake: a halted one takes 40 to
 * 100 microseconds to wake. It needs root, gcc, php-fpm and chrt.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

/** Requests and writes of a turn: short turns, so that other work on this machine falls on both sides of a pair. */
const REQUESTS = 20;
const WRITES   = 40;

$before = realpath( $argv[1] );
$after  = realpath( $argv[2] );
$rounds = (int) ( $argv[3] ?? 500 );
$dir    = sys_get_temp_dir() . '/ticketd-pairs-' . getmypid();
$spool  = $dir . '/spool';
$echo   = $dir . '/echo.sock';
mkdir( $dir );
mkdir( $spool );
mkdir( $spool . '/' . posix_geteuid() );

$started = array();
register_shutdown_function(
	static function () use ( &$started, $dir ): void {
		array_map( static fn( $process ) => proc_terminate( $process ), $started );
		array_map( 'proc_close', $started );
		passthru( 'rm -rf ' . escapeshellarg( $dir ) );
	}
);

/**
 * Starts a process that ends with this one.
 *
 * @param string[] $command The program and its arguments.
 * @param array    $pipes   Its standard input and output.
 * @return int Its id.
 */
$start = static function ( array $command, ?array &$pipes = null ) use ( &$started ): int {
	$process   = proc_open( $command, array( array( 'pipe', 'r' ), array( 'pipe', 'w' ), STDERR ), $pipes );
	$started[] = $process;
	return proc_get_status( $process )['pid'];
};

/**
 * Processor time of processes in microseconds.
 *
 * @param int[] $pids Their ids.
 */
function cpu( array $pids ): float {
	$sum = 0;
	foreach ( $pids as $pid ) {
		$sum += (int) file_get_contents( "/proc/$pid/schedstat" ); // The first number, in nanoseconds.
	}
	return $sum / 1000;
}

/**
 * A FastCGI request, complete.
 *
 * @param string[] $env Its variables by name.
 */
function fastcgi( array $env ): string {
	$record = static fn( int $type, string $content ): string =>
		pack( 'CCnnCx', 1, $type, 1, strlen( $content ), 0 ) . $content;
	$params = '';
	foreach ( $env as $name => $value ) {
		$params .= pack( 'CN', strlen( $name ), strlen( $value ) | 1 << 31 ) . $name . $value;
	}
	return $record( 1, pack( 'nCx5', 1, 0 ) ) . $record( 4, $params ) . $record( 4, '' ) . $record( 5, '' );
}

/**
 * Prints a row: medians, and the median of the ratios of the pairs with its quartiles.
 *
 * @param string                 $label   What it is.
 * @param array<string, float[]> $figures By side the figures of the rounds.
 */
function row( string $label, array $figures ): void {
	$quantile = static function ( array $values, float $q ): float {
		sort( $values );
		return $values[ (int) round( $q * ( count( $values ) - 1 ) ) ];
	};
	printf( '%-32s', $label );
	foreach ( $figures as $side => $values ) {
		printf( '  %s %.1f', $side, $quantile( $values, 0.5 ) );
	}
	$ratios = array_map( static fn( $a, $b ) => $a / $b, $figures['after'], $figures['before'] );
	printf(
		"  after/before %.2f (%.2f-%.2f)\n",
		$quantile( $ratios, 0.5 ),
		$quantile( $ratios, 0.25 ),
		$quantile( $ratios, 0.75 )
	);
}

// The processors stay awake.
for ( $i = (int) shell_exec( 'nproc' ); $i > 0; --$i ) {
	$spin = 'while ( posix_getppid() > 1 ) { for ( $i = 0; $i < 100000; ++$i ); }';
	$start( array( 'chrt', '--idle', '0', PHP_BINARY, '-r', $spin ) );
}

$source = dirname( __DIR__, 2 ) . '/echo/echo.c';
passthru( 'gcc -O2 -o ' . escapeshellarg( $dir . '/echo' ) . ' ' . escapeshellarg( $source ) );
$start( array( $dir . '/echo', $echo ), $pipes );
fgets( $pipes[1] );

file_put_contents(
	$dir . '/fpm.conf',
	"[global]\nerror_log = /proc/self/fd/2\nlog_level = error\ndaemonize = no\n[www]\nlisten = $dir/fpm.sock\n"
	. "user = root\ngroup = root\npm = static\npm.max_children = 1\nclear_env = no\n"
);
$programs = glob( '/usr/sbin/php-fpm*' );
$options  = array( '--nodaemonize', '--allow-to-run-as-root', '--fpm-config', $dir . '/fpm.conf' );
$master   = $start( array_merge( array( end( $programs ) ), $options ) );
do {
	usleep( 10000 );
	clearstatcache();
	$children = (string) file_get_contents( "/proc/$master/task/$master/children" );
} while ( ! file_exists( $dir . '/fpm.sock' ) || '' === $children );
$workers = array_map( 'intval', explode( ' ', trim( $children ) ) );

/**
 * Processor time per request of a script.
 *
 * @param string $script Its name.
 * @param string $plugin The plugin's folder.
 */
$request = static function ( string $script, string $plugin ) use ( $dir, $echo, $spool, $workers ): float {
	$file  = realpath( __DIR__ . '/' . $script );
	$bytes = fastcgi(
		array(
			'SCRIPT_FILENAME' => $file,
			'REQUEST_METHOD'  => 'GET',
			'REQUEST_URI'     => '/' . $script,
			'BENCH_PLUGIN'    => $plugin,
			'BENCH_SOCKET'    => $echo,
			'BENCH_SPOOL'     => $spool,
		)
	);
	$begin = cpu( $workers );
	for ( $i = 0; $i < REQUESTS; ++$i ) {
		$stream = stream_socket_client( "unix://$dir/fpm.sock" );
		fwrite( $stream, $bytes );
		$answer = stream_get_contents( $stream );
		if ( false === strpos( $answer, "\r\n\r\nok" ) ) {
			echo $answer, "\n";
			exit( 1 );
		}
	}
	return ( cpu( $workers ) - $begin ) / REQUESTS;
};

$sides = array();
foreach ( array( 'client', 'open', 'function' ) as $what ) {
	foreach ( array( 'before' => $before, 'after' => $after ) as $side => $plugin ) {
		$php = array( PHP_BINARY, '-d', 'opcache.enable_cli=1', __DIR__ . '/process.php' );
		$pid = $start( array_merge( $php, array( $plugin, $echo, $spool, $what ) ), $pipes );

		$sides[ $what ][ $side ] = array( $pid, $pipes );
	}
}
/**
 * Processor time of a write in a process.
 *
 * @param int        $pid   The process.
 * @param resource[] $pipes Its standard input and output.
 */
$write = static function ( int $pid, array $pipes ): float {
	$begin = cpu( array( $pid ) );
	fwrite( $pipes[0], WRITES . "\n" );
	if ( "done\n" !== fgets( $pipes[1] ) ) {
		exit( 1 );
	}
	return ( cpu( array( $pid ) ) - $begin ) / WRITES;
};

$fpm     = array();
$process = array();
for ( $round = 0; $round <= $rounds; ++$round ) {
	$figures = array(
		'empty' => $request( '../request/empty.php', '' ),
		'bare'  => $request( 'bare.php', '' ),
	);
	$both    = array( 'before' => $before, 'after' => $after );
	foreach ( 0 === $round % 2 ? $both : array_reverse( $both ) as $side => $plugin ) {
		$figures[ $side ] = $request( 'client.php', $plugin );
		foreach ( $sides as $what => $pair ) {
			$took = $write( ...$pair[ $side ] );
			if ( $round > 0 ) {
				$process[ $what ][ $side ][] = $took;
			}
		}
	}
	if ( $round > 0 ) { // The first warms up.
		foreach ( $figures as $side => $figure ) {
			$fpm[ $side ][] = $figure;
		}
	}
}
row( 'a request in PHP-FPM', $fpm );
row( 'connect + set + close', $process['client'] );
row( 'set on the open connection', $process['open'] );
row( 'ticketd_set_ticket()', $process['function'] );
