<?php
/**
 * The peer of client.php: answers every frame with a revision and the frame's own request id.
 *
 * @package Ticketd
 */

$server = stream_socket_server( 'unix://' . $argv[1] );
echo "ready\n";
$streams = array( $server );
while ( true ) {
	$ready = $streams;
	$none  = null;
	stream_select( $ready, $none, $none, null );
	foreach ( $ready as $key => $stream ) {
		if ( $stream === $server ) {
			$streams[] = stream_socket_accept( $server );
			continue;
		}
		$bytes = stream_socket_recvfrom( $stream, 65536 );
		if ( '' === $bytes || false === $bytes ) {
			unset( $streams[ array_search( $stream, $streams, true ) ] );
			continue;
		}
		// Behind the header, the array and its type comes the id, a single value of any width.
		$width   = array( 0xcc => 2, 0xcd => 3, 0xce => 5 )[ ord( $bytes[6] ) ] ?? 1;
		$payload = "\x94\x01" . substr( $bytes, 6, $width ) . "\xc0\x81\xa8revision\x01";
		stream_socket_sendto( $stream, pack( 'N', 1 << 24 | strlen( $payload ) ) . $payload );
	}
}
