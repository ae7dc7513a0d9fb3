<?php
/**
 * A request that writes once, with the least PHP for the frame: no class, no deadline, no check.
 *
 * @package Ticketd
 */

$packer  = new MessagePack( false );
$payload = $packer->pack(
	array(
		0,
		1,
		'set',
		array(
			'id'         => mt_rand( 1, 1000 ),
			'fields'     => array(
				'status'      => 'open',
				'assigned_to' => mt_rand(),
			),
			'request_id' => bin2hex( random_bytes( 16 ) ),
			'remember'   => 600,
		),
	)
);
$stream  = stream_socket_client( 'unix://' . $_SERVER['BENCH_SOCKET'] );
fwrite( $stream, pack( 'N', 1 << 24 | strlen( $payload ) ) . $payload );
$reply = $packer->unpack( substr( fread( $stream, 8192 ), 4 ) );
echo is_int( $reply[3]['revision'] ) ? 'ok' : 'failed';
