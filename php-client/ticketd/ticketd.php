<?php
/**
 * Plugin Name:       ticketd
 * Plugin URI:        https://github.com/ticketd/ticketd
 * Description:       Takes the frequent writes of support tickets off this site's database: a daemon keeps them and flushes them to MySQL in batches.
 * Version:           0.1.0
 * Requires at least: 6.1
 * Requires PHP:      7.4
 * Author:            The ticketd authors
 * License:           GPL-2.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-2.0.html
 * Text Domain:       ticketd
 *
 * @package Ticketd
 */

defined( 'ABSPATH' ) || exit;

require_once __DIR__ . '/src/autoload.php';
require_once __DIR__ . '/src/functions.php';

Ticketd\WordPress\Plugin::instance()->register( __FILE__ );
