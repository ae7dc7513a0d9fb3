<?php
/**
 * A stand-in for WP-CLI: Debian has no package of it. PHPUnit calls a command's method and reads what the stand-in
 * noted; wp.php runs a whole command line, as a process that prints and exits as the real WP-CLI does.
 *
 * @package Ticketd
 */

namespace WP_CLI\Utils;

foreach ( array( 'ExitException', 'WP_CLI', 'Formatter' ) as $ticketd_file ) {
	require_once __DIR__ . "/$ticketd_file.php";
}

/**
 * Makes a bar that notes its ticks. The real WP-CLI makes none where STDOUT is no terminal.
 *
 * @param string $label Its label.
 * @param int    $total How long it is.
 */
function make_progress_bar( string $label, int $total ): \WP_CLI {
	\WP_CLI::$bar[] = $total;
	return new \WP_CLI();
}
