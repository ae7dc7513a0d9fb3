<?php
/**
 * A call of the plugin's client class, for the fault suite: the operation comes as JSON, and its result goes as JSON.
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

/**
 * Takes an id from the table's sequence that no row has, as the plugin does while the daemon is away; 0 if the
 * database gives no id.
 *
 * @param string $socket The database's socket.
 * @param string $table  The table; empty where only the daemon may give ids.
 */
function chaos_next_id( string $socket, string $table ): int {
	mysqli_report( MYSQLI_REPORT_OFF );
	$db = mysqli_init();
	$db->options( MYSQLI_OPT_CONNECT_TIMEOUT, 1 );
	$db->options( MYSQLI_OPT_READ_TIMEOUT, 1 );
	if ( '' === $table || ! @$db->real_connect( null, 'root', '', 'chaos', 0, $socket ) ) {
		return 0;
	}
	for ( $tries = 0; $tries < 200; $tries++ ) {
		if ( ! @$db->query( "UPDATE {$table}_seq SET next = LAST_INSERT_ID(next) + 1 WHERE id = 1" ) ) {
			return 0;
		}
		$id    = (int) $db->insert_id;
		$taken = @$db->query( "SELECT 1 FROM $table WHERE ticket_id = $id" );
		if ( ! $taken || 0 === $taken->num_rows ) {
			return $taken ? $id : 0;
		}
	}
	return 0;
}

/**
 * Makes the call.
 *
 * @param array $op What was asked.
 * @return array The result of the operation.
 */
function chaos_call( array $op ): array {
	$breaker  = new Breaker( $op['spool'] );
	$client   = new Client( new Connection( $op['socket'] ), '', Client::DEFAULT_TIMEOUT_MS, null, $breaker );
	$spooling = new SpoolingClient(
		$client,
		static function () use ( $op ): Spool {
			return new Spool( $op['spool'] );
		},
		static function () use ( $op ): int {
			return chaos_next_id( $op['database'], $op['table'] );
		},
		static function () use ( $op ): string {
			return $op['identity'];
		}
	);
	switch ( $op['kind'] ) {
		case 'create':
			return $spooling->create( $op['fields'] );
		case 'set':
			return array( 'revision' => $spooling->set( $op['ticket'], $op['fields'] ) );
		case 'delete':
			return array( 'revision' => $spooling->delete( $op['ticket'] ) );
		case 'get':
			return $client->get( $op['ticket'] );
		default:
			$where = array_filter( array( 'where' => $op['fields'] ) );
			return $client->list_tickets( $where + array( 'limit' => $op['limit'] ) );
	}
}

try {
	$answer = chaos_call( json_decode( file_get_contents( 'php://input' ), true, 8, JSON_THROW_ON_ERROR ) );
} catch ( TicketdException $e ) {
	$answer = array(
		'code'      => $e->reason(),
		'message'   => $e->getMessage(),
		'ambiguous' => $e->ambiguous(),
	);
}
header( 'Content-Type: application/json' );
echo json_encode( $answer, JSON_THROW_ON_ERROR );
