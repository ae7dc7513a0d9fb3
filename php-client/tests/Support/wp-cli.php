<?php
/**
 * The functions of WP-CLI that the commands call.
 *
 * @package Ticketd
 */

namespace WP_CLI\Utils;

/**
 * Notes what would be printed on STDOUT.
 *
 * @param string   $format  Format.
 * @param array[]  $items   Rows.
 * @param string[] $columns Columns.
 */
function format_items( string $format, array $items, array $columns ): void {
	\WP_CLI::$printed[] = array( $format, $items, $columns );
}

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
