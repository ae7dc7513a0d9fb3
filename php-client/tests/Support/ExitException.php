<?php
/**
 * The end of a command, in the stand-in for WP-CLI.
 *
 * @package Ticketd
 */

namespace WP_CLI;

/**
 * Ends a command; the code is the exit code.
 */
final class ExitException extends \RuntimeException {
}
