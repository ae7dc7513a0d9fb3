<?php
/**
 * Runs a wp-config.php up to the point at which WordPress begins, and writes the settings to file descriptor 3. The arguments are
 * the file, WordPress' folder, the site's host name, and the names of the constants.
 *
 * WordPress itself does not run: wp-settings.php loads its parts from ABSPATH . WPINC, and WPINC is a folder that is not there.
 *
 * @package Ticketd
 */

register_shutdown_function(
	static function () {
		$encode = static function ( $value ) use ( &$encode ) {
			if ( is_array( $value ) ) {
				$pairs = array();
				foreach ( $value as $key => $of ) {
					$pairs[] = array( $encode( $key ), $encode( $of ) );
				}
				return array( 'list' => $pairs );
			}
			if ( is_string( $value ) ) {
				return array( 'text' => base64_encode( $value ) );
			}
			if ( is_int( $value ) ) {
				return array( 'number' => $value );
			}
			return is_bool( $value ) ? array( 'is' => $value ) : array( 'other' => gettype( $value ) );
		};
		$began    = false;
		$settings = array();
		foreach ( get_included_files() as $file ) {
			$began = $began || 'wp-settings.php' === basename( $file );
		}
		foreach ( explode( ' ', $_SERVER['argv'][4] ) as $name ) {
			if ( defined( $name ) ) {
				$settings[ $name ] = $encode( constant( $name ) );
			}
		}
		if ( isset( $GLOBALS['table_prefix'] ) ) {
			$settings['$table_prefix'] = $encode( $GLOBALS['table_prefix'] );
		}
		$last   = error_get_last();
		$report = array(
			'began'    => $began || isset( $GLOBALS['ticketd_returned'] ),
			'settings' => (object) $settings,
			'file'     => $last['file'] ?? '',
			'line'     => $last['line'] ?? 0,
		);
		file_put_contents( 'php://fd/3', json_encode( $report ) );
	}
);
define( 'ABSPATH', $_SERVER['argv'][2] . '/' );
define( 'WPINC', 'ticketd-reads-no-further' );
chdir( $_SERVER['argv'][2] );
$_SERVER['REQUEST_METHOD']  = 'GET';
$_SERVER['REQUEST_URI']     = '/';
$_SERVER['SCRIPT_FILENAME'] = $_SERVER['argv'][2] . '/index.php';
if ( '' !== $_SERVER['argv'][3] ) {
	$_SERVER['HTTP_HOST']   = $_SERVER['argv'][3];
	$_SERVER['SERVER_NAME'] = $_SERVER['argv'][3];
}
require $_SERVER['argv'][1];
$ticketd_returned = true;
