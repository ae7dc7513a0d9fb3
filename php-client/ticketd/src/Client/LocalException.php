<?php
/**
 * A failure that was found without the daemon.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * A failure that this host knows without the daemon: the daemon hung a moment ago (`unavailable`), the spool is full
 * (`overloaded`), no id is available (`unavailable`), the ticket was deleted (`not_found`).
 */
final class LocalException extends TicketdException {
}
