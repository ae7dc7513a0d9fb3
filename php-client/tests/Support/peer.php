<?php
/**
 * A stand-in for the daemon that follows a test's script: `php peer.php SOCKET SCRIPT`.
 *
 * SCRIPT is serialized, as Debian 11's PHP has JSON as an extension, which -n leaves out: a list of connections to accept one
 * after the other, each a list of steps:
 * ["frame"]            reads one frame and prints it in hex, one line; of one beyond 32 KiB its SHA-1;
 * ["send", hex]        writes the bytes;
 * ["drip", hex, µs]    writes them one by one with a pause after each;
 * ["hold"]             waits until the client closes its end;
 * ["close"]            closes the connection and prints "closed".
 * ["unlink"]           removes the socket, so that nobody connects any more.
 * After its last step a connection is closed. The process ends after the last connection.
 *
 * @package Ticketd
 */

$server = stream_socket_server( 'unix://' . $argv[1] );
echo "ready\n";

/**
 * Reads exactly so many bytes, or what comes before the end.
 *
 * @param resource $connection The connection.
 * @param int      $count      Number of bytes.
 */
function ticketd_peer_read( $connection, int $count ): string {
	$bytes = '';
	while ( strlen( $bytes ) < $count && ! feof( $connection ) ) {
		$bytes .= fread( $connection, $count - strlen( $bytes ) );
	}
	return $bytes;
}

foreach ( unserialize( $argv[2], array( 'allowed_classes' => false ) ) as $steps ) {
	$connection = stream_socket_accept( $server, 30 );
	foreach ( $steps as $step ) {
		switch ( $step[0] ) {
			case 'frame':
				$header = ticketd_peer_read( $connection, 4 );
				$length = '' === $header ? 0 : unpack( 'N', $header )[1] & 0xffffff;
				$frame  = $header . ticketd_peer_read( $connection, $length );
				// A line longer than the pipe would wait for a test that waits for the reply.
				echo $length > 32768 ? sha1( $frame ) : bin2hex( $frame ), "\n";
				break;
			case 'send':
				fwrite( $connection, hex2bin( $step[1] ) );
				break;
			case 'drip':
				foreach ( str_split( hex2bin( $step[1] ) ) as $byte ) {
					if ( ! @fwrite( $connection, $byte ) ) {
						break;
					}
					usleep( $step[2] );
				}
				break;
			case 'close':
				fclose( $connection );
				echo "closed\n";
				break;
			case 'unlink':
				unlink( $argv[1] );
				break;
			case 'hold':
				while ( ! feof( $connection ) ) {
					fread( $connection, 8192 );
				}
				break;
		}
	}
	if ( is_resource( $connection ) ) {
		fclose( $connection );
	}
}
