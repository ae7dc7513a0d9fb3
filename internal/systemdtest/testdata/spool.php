<?php
/**
 * Makes one change as the plugin does, with the spool behind the client, and prints its revision. Usage: spool.php TICKET VALUE
 */

require '/mnt/php-client/ticketd/src/autoload.php';

$client = new Ticketd\Client\Client( new Ticketd\Client\Connection() );
$client = new Ticketd\Client\SpoolingClient( $client, fn() => new Ticketd\Client\Spool() );
echo $client->set( (int) $argv[1], array( 'subject' => $argv[2] ) );
