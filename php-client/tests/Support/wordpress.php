<?php
/**
 * Loads the part of the real WordPress that the plugin uses: hooks, REST server, options, errors. There is no
 * database, and a test sets the user's rights in Site::$capabilities.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

define( 'ABSPATH', ( getenv( 'TICKETD_TEST_WORDPRESS' ) ?: '/usr/share/wordpress' ) . '/' );
define( 'WPINC', 'wp-includes' );
define( 'WP_CONTENT_DIR', dirname( __DIR__, 2 ) );
define( 'WP_PLUGIN_DIR', WP_CONTENT_DIR );
define( 'WP_LANG_DIR', WP_CONTENT_DIR . '/languages' );
define( 'WPMU_PLUGIN_DIR', WP_CONTENT_DIR . '/mu-plugins' );
define( 'TICKETD_DROP_IN', true );
// A complaint of WordPress is printed, and fails the test.
define( 'WP_DEBUG', true );
define( 'WP_DEBUG_DISPLAY', true );

if ( ! is_file( ABSPATH . WPINC . '/version.php' ) ) {
	throw new \RuntimeException(
		'There is no WordPress in ' . ABSPATH . ': `make deps` installs Debian\'s package, TICKETD_TEST_WORDPRESS names another.'
	);
}

// The constants of wp-includes/default-constants.php that WordPress' own functions count with.
foreach ( array( 'MINUTE' => 60, 'HOUR' => 3600, 'DAY' => 86400, 'WEEK' => 604800, 'MONTH' => 2592000, 'YEAR' => 31536000 ) as $ticketd_unit => $ticketd_seconds ) {
	define( $ticketd_unit . '_IN_SECONDS', $ticketd_seconds );
}

foreach ( array( 'KB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB' ) as $ticketd_power => $ticketd_unit ) {
	define( $ticketd_unit . '_IN_BYTES', 1024 ** ( $ticketd_power + 1 ) );
}

// What wp-settings.php would set before it loads these.
$GLOBALS['wp_plugin_paths'] = array();
$GLOBALS['blog_id']         = 1;
$GLOBALS['locale']          = 'en_US';
$GLOBALS['wpdb']            = new Database();

foreach (
	array(
		'plugin',
		'load',
		'compat',
		'class-wp-error',
		'cache',
		'formatting',
		'kses',
		'class-wp-list-util',
		'class-wp-textdomain-registry',
		'pomo/translations',
		'l10n',
		'functions',
		'meta',
		'shortcodes',
		'cron',
		'link-template',
		'class-wp-http-response',
		'rest-api',
		'rest-api/class-wp-rest-server',
		'rest-api/class-wp-rest-response',
		'rest-api/class-wp-rest-request',
		'rest-api/endpoints/class-wp-rest-controller',
	) as $ticketd_file
) {
	require_once ABSPATH . WPINC . '/' . $ticketd_file . '.php';
}
$GLOBALS['wp_textdomain_registry'] = new \WP_Textdomain_Registry();
wp_cache_init();
add_filter( 'wp_sprintf', 'wp_sprintf_l', 10, 2 ); // A default of default-filters.php.
require __DIR__ . '/stand-ins.php';
require dirname( __DIR__, 2 ) . '/ticketd/ticketd.php';
do_action( 'plugins_loaded' );
