<?php
/**
 * The writes of a single process. Arguments: the plugin's folder, the socket, the spool folder, and `client`, `open`
 * or `function`.
 *
 * Each line on the standard input is a number of writes; the answer is `done`.
 *
 * @package Ticketd
 */

list( , $plugin, $socket, $spool, $what ) = $argv;

$fields = array(
	'status'      => 'open',
	'assigned_to' => 12,
);
$make   = static function () use ( $socket, $spool ) {
	$client = new Ticketd\Client\Client(
		new Ticketd\Client\Connection( $socket ),
		'',
		60000, // On a busy machine nothing is to be spooled.
		null,
		new Ticketd\Client\Breaker( $spool )
	);
	return new Ticketd\Client\SpoolingClient( $client, fn() => new Ticketd\Client\Spool( $spool ) );
};
if ( 'function' === $what ) {
	// The plugin itself, on the part of WordPress that the plugin's tests load.
	define( 'TICKETD_SOCKET', $socket );
	define( 'TICKETD_SPOOL', $spool );
	define( 'TICKETD_TIMEOUT_MS', 60000 );
	require dirname( $plugin ) . '/tests/bootstrap.php';
	$write = static fn(): int => ticketd_set_ticket( 1, $fields );
} else {
	require $plugin . '/src/autoload.php';
	$held  = 'open' === $what ? $make() : null;
	$write = static fn(): int => ( $held ?? $make() )->set( 1, $fields );
}
while ( false !== ( $line = fgets( STDIN ) ) ) {
	for ( $i = (int) $line; $i > 0; --$i ) {
		if ( 1 !== $write() ) {
			exit( 1 );
		}
	}
	echo "done\n";
}
