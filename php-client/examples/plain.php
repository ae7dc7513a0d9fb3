<?php
/**
 * The client in plain PHP: php plain.php [SOCKET [AUTOLOAD]].
 *
 * @package Ticketd
 */

use Ticketd\Client\ClientFactory;
use Ticketd\Client\DaemonException;
use Ticketd\Client\TicketdException;

require $argv[2] ?? 'vendor/autoload.php';

$client = ClientFactory::create( array( 'socket' => $argv[1] ?? '/run/ticketd/ticketd.sock' ) );

try {
	// Under its request id this may be called again, after a time-out for example, and makes one ticket.
	$made = $client->create(
		array(
			'subject'     => 'The printer is on fire',
			'status'      => 'open',
			'customer_id' => 7,
		),
		'order-5512'
	);
	printf( "ticket %d\n", $made['id'] );

	$ticket = $client->get( $made['id'] );
	try {
		$client->set( $ticket['id'], array( 'status' => 'pending' ), $ticket['revision'] );
	} catch ( DaemonException $conflict ) {
		if ( 'conflict' !== $conflict->reason() ) {
			throw $conflict;
		}
		printf( "somebody was faster: revision %d\n", $conflict->revision() );
	}

	$open = $client->list_tickets( array( 'where' => array( 'status' => array( '!=' => 'closed' ) ) ) );
	foreach ( $open['tickets'] as $found ) {
		printf( "%d is %s\n", $found['id'], $found['fields']['status'] );
	}
} catch ( TicketdException $e ) {
	$hint = $e->ambiguous() ? ' It may have been done; repeat it under the request id ' . $e->request_id() . '.' : '';
	fprintf( STDERR, "%s: %s%s\n", $e->reason(), $e->getMessage(), $hint );
	exit( 1 );
}
