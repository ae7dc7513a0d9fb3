<?php
/**
 * A page of WordPress that makes a ticket, as a form of a theme does, and prints its number or the error.
 */

require __DIR__ . '/wp-load.php';

header( 'Content-Type: text/plain' );
$ticketd_made = ticketd_create_ticket( array( 'subject' => 'From a page' ) );
echo is_wp_error( $ticketd_made ) ? $ticketd_made->get_error_message() : (int) $ticketd_made;
