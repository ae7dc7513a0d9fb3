<?php
/**
 * Repeats a task by a way to write or read tickets. Argument: a JSON file with the addresses.
 *
 * Each line on the standard input is `TASK WAY TIMES`; the answer is the time in nanoseconds, or `error` and the
 * reason.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

$places = json_decode( file_get_contents( $argv[1] ), true );
require $places['plugin'] . '/src/autoload.php';
require __DIR__ . '/ways.php';
require __DIR__ . '/rivals.php';
require __DIR__ . '/jobs.php';
require __DIR__ . '/ticketd.php';
Way::begin( $places['written'] );
mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );

$ways = array(
	'guide'       => new GuideWay( $places ),
	'pconnect'    => new PersistentWay( $places ),
	'held'        => new HeldWay( $places ),
	'mysqli'      => new MysqliWay( $places ),
	'mysqli-held' => new HeldMysqliWay( $places ),
	'event'       => new EventWay( $places ),
	'scheduled'   => new ScheduledWay( $places ),
	'through'     => new ThroughWay( $places ),
);
foreach ( array( 'ticketd', 'journal', 'alone', 'floor', 'hset', 'script' ) as $name ) {
	if ( isset( $places[ $name ] ) ) {
		$ways[ $name ] = new TicketdWay( $places[ $name ]['socket'], $places[ $name ]['spool'] );
	}
}
while ( false !== ( $line = fgets( STDIN ) ) ) {
	list( $task, $way, $times ) = explode( ' ', trim( $line ) );
	try {
		$begin = hrtime( true );
		for ( $i = 0; $i < (int) $times; ++$i ) {
			$ways[ $way ]->$task();
		}
		echo hrtime( true ) - $begin, "\n";
	} catch ( \Throwable $e ) {
		echo 'error ', str_replace( "\n", ' ', $e->getMessage() ), "\n";
	}
}
