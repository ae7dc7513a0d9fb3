<?php
/**
 * Information for support requests.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\Client\ExtCodec;
use Ticketd\Client\Spool;
use Ticketd\WordPress\Format;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Collects versions, settings and the daemon's status, without secrets: from wp-config.php only the plugin's own
 * settings, and text that looks like a password in a reason is masked.
 */
final class Diagnostics {

	/**
	 * The daemon's state.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * Takes the daemon's state.
	 *
	 * @param Health $health The daemon's state.
	 */
	public function __construct( Health $health ) {
		$this->health = $health;
	}

	/**
	 * The whole text to be copied. It is not translated, because the reader may speak another language.
	 */
	public function text(): string {
		$lines = array( '### ticketd ###', '' );
		foreach ( $this->rows() as $name => $value ) {
			$lines[] = "$name: $value";
		}
		return implode( "\n", $lines ) . "\n";
	}

	/**
	 * All rows.
	 *
	 * @return array<string, string> Values by name.
	 */
	public function rows(): array {
		global $wp_version;

		$settings = new Settings();
		$spool    = ( new Spool( $settings->spool() ) )->folder();
		$is_told  = function_exists( 'posix_geteuid' ) && function_exists( 'posix_getegid' );
		$user     = $is_told ? posix_geteuid() . ':' . posix_getegid() : 'unknown';
		$rows     = array(
			'wordpress'      => $wp_version . ( is_multisite() ? ', multisite' : '' ),
			'php'            => PHP_VERSION . ', ' . PHP_SAPI,
			'codec'          => ExtCodec::is_available() ? 'msgpack ' . (string) phpversion( 'msgpack' ) : 'PHP',
			'socket'         => $settings->socket() . ', ' . self::file( $settings->socket() ),
			'site setting'   => '' === $settings->site() ? '(found by the table)' : $settings->site(),
			'time-out'       => $settings->timeout_ms() . ' ms',
			'spool folder'   => '' === $spool ? '(none)' : $spool . ', ' . self::file( $spool ),
			'table'          => $settings->table(),
			'php user'       => $user,
			'external cache' => wp_using_ext_object_cache() ? 'yes' : 'no',
		);
		$status   = $this->health->status();
		if ( is_wp_error( $status ) ) {
			return $rows + array(
				'status' => $status->get_error_code() . ': ' . Format::masked( $status->get_error_message() ),
			);
		}
		return $rows + self::flat( $status, 'status' );
	}

	/**
	 * The type of a path and its access rights.
	 *
	 * @param string $path The path.
	 */
	private static function file( string $path ): string {
		clearstatcache( true, $path );
		$stat = file_exists( $path ) ? stat( $path ) : false;
		if ( false === $stat ) {
			return 'does not exist, or PHP may not look there';
		}
		$access = ( is_readable( $path ) ? 'readable' : 'not readable' ) . ', '
			. ( wp_is_writable( $path ) ? 'writable' : 'not writable' );
		return sprintf(
			'%s %04o %d:%d, %s',
			filetype( $path ),
			$stat['mode'] & 07777,
			$stat['uid'],
			$stat['gid'],
			$access
		);
	}

	/**
	 * Maps within maps as names with dots.
	 *
	 * @param array  $values The values.
	 * @param string $prefix The names' prefix.
	 * @return array<string, string>
	 */
	private static function flat( array $values, string $prefix ): array {
		$rows = array();
		foreach ( $values as $name => $value ) {
			$name = $prefix . '.' . $name;
			if ( is_array( $value ) ) {
				$rows += array() === $value ? array( $name => '(none)' ) : self::flat( $value, $name );
			} else {
				$rows[ $name ] = is_bool( $value ) ? ( $value ? 'true' : 'false' ) : Format::masked( (string) $value );
			}
		}
		return $rows;
	}
}
