<?php
/**
 * A page of a site on a host with several sites: the plugin's use of the spool, and the attacks that its user would
 * try.
 *
 * Prints the result as JSON. Parameters: do, socket, spool; id and value of a change; victim, the user whose folder
 * is attacked.
 *
 * @package Ticketd
 */

use Ticketd\Client\Breaker;
use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\Spool;
use Ticketd\Client\SpoolingClient;
use Ticketd\Client\TicketdException;

require __DIR__ . '/src/autoload.php';

$spool    = new Spool( $_GET['spool'] );
$client   = new Client( new Connection( $_GET['socket'] ), '', 5000, null, new Breaker( $_GET['spool'] ) );
$spooling = new SpoolingClient( $client, fn() => $spool );

/**
 * The changes that the page's plugin would lay over a ticket while the daemon is away.
 *
 * @param Spool $spool The spool.
 * @param int   $id    The ticket's id.
 */
function seen( Spool $spool, int $id ): array {
	$values = array();
	foreach ( $spool->waiting( array( $id ) )[ $id ] ?? array() as list( , $request ) ) {
		$values[] = $request->param( 'fields' )['status'] ?? null;
	}
	return $values;
}

/**
 * The success of an attacker in a folder.
 *
 * @param string $folder The folder.
 */
function attack( string $folder ): array {
	$name  = '1764000000000001-1-0f1e2d3c4b5a6978.frame';
	$tries = array(
		'lists'   => fn() => false !== @scandir( $folder ),
		'pipe'    => fn() => @posix_mkfifo( "$folder/.breaker", 0666 ),
		'full'    => fn() => @touch( "$folder/.full" ),
		'forges'  => fn() => false !== @file_put_contents( "$folder/$name", 'x' ),
		'replaces' => fn() => @rename( $folder, "$folder.old" ),
		'removes' => fn() => @rmdir( $folder ),
		'opens'   => fn() => @chmod( $folder, 0777 ),
	);
	return array_keys( array_filter( array_map( fn( $try ) => $try(), $tries ) ) );
}

try {
	switch ( $_GET['do'] ) {
		case 'set':
			$said = $spooling->set( (int) $_GET['id'], array( 'status' => $_GET['value'] ) );
			break;
		case 'seen':
			$said = seen( $spool, (int) $_GET['id'] );
			break;
		case 'attack':
			$said = array_merge( attack( $_GET['spool'] . '/' . $_GET['victim'] ), attack( $_GET['spool'] . '/64199' ) );
			break;
		case 'breaker':
			( new Breaker( $_GET['spool'] ) )->open();
			$said = file_exists( $spool->folder() . '/.breaker' );
	}
} catch ( TicketdException $e ) {
	$said = $e->reason() . ': ' . $e->getMessage();
}
echo json_encode( array( 'said' => $said, 'user' => posix_geteuid() ) );
