<?php
/**
 * Writes to a ticket as pages do, a connection for every two changes, until the stop file appears; then prints the
 * result. Usage: writer.php TICKET STOPFILE
 */

require '/mnt/php-client/ticketd/src/autoload.php';

$ticket = (int) $argv[1];
$count  = array(
	'requests' => 0,
	'failed'   => 0,
	'slowest'  => 0,
	'last'     => 0,
	'why'      => '',
);
while ( ! file_exists( $argv[2] ) ) {
	clearstatcache();
	$client = new Ticketd\Client\Client( new Ticketd\Client\Connection() );
	for ( $i = 0; $i < 2; ++$i ) {
		++$count['requests'];
		$begin = hrtime( true );
		try {
			$client->set( $ticket, array( 'subject' => (string) $count['requests'] ) );
			$count['last'] = $count['requests'];
		} catch ( Ticketd\Client\TicketdException $e ) {
			++$count['failed'];
			$count['why'] = get_class( $e ) . ': ' . $e->getMessage();
		}
		$count['slowest'] = max( $count['slowest'], intdiv( hrtime( true ) - $begin, 1000000 ) );
		usleep( 2000 );
	}
}
echo json_encode( $count );
