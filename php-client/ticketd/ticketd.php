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

// The classes that every page uses, not looked up one by one; the others are loaded when they are first used.
require_once __DIR__ . '/src/WordPress/Settings.php';
require_once __DIR__ . '/src/WordPress/OwnChanges.php';
require_once __DIR__ . '/src/WordPress/Calls.php';
require_once __DIR__ . '/src/WordPress/Clients.php';
require_once __DIR__ . '/src/WordPress/Api.php';
require_once __DIR__ . '/src/WordPress/Watchdog.php';
require_once __DIR__ . '/src/WordPress/Form/Blocks.php';
require_once __DIR__ . '/src/WordPress/Capabilities.php';
require_once __DIR__ . '/src/WordPress/DropIn.php';
require_once __DIR__ . '/src/WordPress/Plugin.php';

Ticketd\WordPress\Plugin::instance()->register( __FILE__ );
