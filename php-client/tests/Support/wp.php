<?php
/**
 * The stand-in's `wp`: runs a command line of the plugin's commands in a WordPress, as WP-CLI does. Usage:
 * php wp.php --path=FOLDER [--user=LOGIN] [--quiet] COMMAND… [ARGUMENT…] [--OPTION=VALUE…]
 *
 * @package Ticketd
 */

namespace WP_CLI;

require_once __DIR__ . '/wp-cli.php';
require_once __DIR__ . '/Runner.php';

exit( ( new Runner( array_slice( $argv, 1 ) ) )->run() );
