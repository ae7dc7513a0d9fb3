<?php
/**
 * Changes the subject of a ticket while the daemon is away, in a process whose clock shows a given time.
 *
 * @package Ticketd
 */

use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\Spool;
use Ticketd\Client\SpoolingClient;

$asked = json_decode( $argv[1], true, 8, JSON_THROW_ON_ERROR );
require $asked['source'] . '/autoload.php';

$client = new SpoolingClient(
	new Client( new Connection( $asked['socket'] ) ),
	static function () use ( $asked ): Spool {
		return new Spool(
			$asked['spool'],
			Spool::MAX_BLOCKS,
			static function () use ( $asked ): int {
				return $asked['clock'];
			}
		);
	},
	null,
	static function () use ( $asked ): string {
		return $asked['identity'];
	}
);
echo $client->set( $asked['ticket'], array( 'subject' => $asked['subject'] ), 0, $asked['request'] );
