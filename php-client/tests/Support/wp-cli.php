<?php
/**
 * The functions of WP-CLI that the commands call.
 *
 * @package Ticketd
 */

namespace WP_CLI\Utils;

/**
 * Makes a bar that notes its ticks.
 *
 * @param string $label Its label.
 * @param int    $total How long it is.
 */
function make_progress_bar( string $label, int $total ): \WP_CLI {
	\WP_CLI::$bar[] = $total;
	return new \WP_CLI();
}
