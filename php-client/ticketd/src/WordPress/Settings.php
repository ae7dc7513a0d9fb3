<?php
/**
 * What the site's owner decides.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Breaker;
use Ticketd\Client\Client;
use Ticketd\Client\Connection;

defined( 'ABSPATH' ) || exit;

/**
 * The settings. The first of these sources decides: a constant in wp-config.php (`TICKETD_` and the setting's name),
 * the settings page, a filter (`ticketd_` and the name), the default. So the server's operator decides over the
 * site's owner, and the owner over plugins.
 */
final class Settings {

	/** Option that holds what the settings page has: values by name. */
	public const OPTION = 'ticketd_settings';

	/** The defaults of the settings of the plugin alone. */
	private const DEFAULTS = array(
		'site'            => '',
		'form'            => 'everyone',
		'rate_limit'      => 5,
		'rate_seconds'    => 600,
		'form_page'       => 0,
		'overdue_seconds' => 900,
		'keep'            => 'tickets',
	);

	/**
	 * Path of the daemon's socket: TICKETD_SOCKET.
	 */
	public function socket(): string {
		return (string) self::value( 'socket' );
	}

	/**
	 * Name of this site in the daemon's configuration: TICKETD_SITE. Empty: the daemon finds it by the table. It is
	 * asked for at each call, so that each blog of a network may have its own, switch_to_blog() included; a constant
	 * cannot say that, so a network leaves it undefined. A blog that none was named for has none of the others': it
	 * asks for `blog-` and its number.
	 */
	public function site(): string {
		$site = (string) self::value( 'site' );
		return '' === $site && is_multisite() && ! is_main_site() ? 'blog-' . get_current_blog_id() : $site;
	}

	/**
	 * Time that one call has, in milliseconds: TICKETD_TIMEOUT_MS. A flush has its own.
	 */
	public function timeout_ms(): int {
		return max( 1, (int) self::value( 'timeout_ms' ) );
	}

	/**
	 * The folder for changes while the daemon is unreachable: TICKETD_SPOOL. It must be the one in the daemon's
	 * configuration. Empty: none, they fail then.
	 */
	public function spool(): string {
		return rtrim( (string) self::value( 'spool' ), '/' );
	}

	/**
	 * Who may use the form: TICKETD_FORM. `everyone`, `customers` (who are logged in) or `off`.
	 */
	public function form(): string {
		return (string) self::value( 'form' );
	}

	/**
	 * How many tickets one visitor may open within rate_seconds(): TICKETD_RATE_LIMIT.
	 */
	public function rate_limit(): int {
		return max( 1, (int) self::value( 'rate_limit' ) );
	}

	/**
	 * The time for rate_limit(), in seconds: TICKETD_RATE_SECONDS.
	 */
	public function rate_seconds(): int {
		return max( 1, (int) self::value( 'rate_seconds' ) );
	}

	/**
	 * Id of the page with the form, which orders link to: TICKETD_FORM_PAGE. 0: none.
	 */
	public function form_page(): int {
		return (int) self::value( 'form_page' );
	}

	/**
	 * Lag in seconds from which pending changes are overdue: TICKETD_OVERDUE_SECONDS. It must be longer than the
	 * daemon's max_age.
	 */
	public function overdue_seconds(): int {
		return max( 1, (int) self::value( 'overdue_seconds' ) );
	}

	/**
	 * What stays when the plugin is deleted: TICKETD_KEEP. `tickets` (the tables), `all` (these settings, too) or
	 * `nothing`.
	 */
	public function keep(): string {
		return (string) self::value( 'keep' );
	}

	/**
	 * Name of the current blog's tickets table: TICKETD_TABLE. It must be the one in the daemon's configuration.
	 */
	public function table(): string {
		return (string) self::value( 'table' );
	}

	/**
	 * What the daemon is told of the table, as `database.table`: it may serve several sites to this user, and answers
	 * with none but this one's tickets. It costs no query.
	 */
	public function full_table(): string {
		return defined( 'DB_NAME' ) && '' !== DB_NAME ? DB_NAME . '.' . $this->table() : '';
	}

	/**
	 * The constant that decides a setting.
	 *
	 * @param string $name The setting's name.
	 * @return string The constant's name; empty where it is not defined.
	 */
	public static function constant_of( string $name ): string {
		$constant = 'TICKETD_' . strtoupper( $name );
		return defined( $constant ) ? $constant : '';
	}

	/**
	 * A setting.
	 *
	 * @param string $name Its name.
	 * @return mixed Its value.
	 */
	private static function value( string $name ) {
		$constant = self::constant_of( $name );
		if ( '' !== $constant ) {
			return constant( $constant );
		}
		$stored = get_option( self::OPTION );
		if ( is_array( $stored ) && isset( $stored[ $name ] ) && '' !== $stored[ $name ] ) {
			return $stored[ $name ];
		}
		return self::unset_value( $name );
	}

	/**
	 * The value of a setting that neither a constant nor the settings page decides.
	 *
	 * @param string $name The setting's name.
	 * @return mixed
	 */
	public static function unset_value( string $name ) {
		$value = self::DEFAULTS[ $name ] ?? self::default_of( $name );
		/**
		 * Filters a setting that neither a constant nor the settings page decides. The name's last part is the
		 * setting's: `ticketd_socket`, `ticketd_site`, `ticketd_timeout_ms`, `ticketd_spool`, `ticketd_table`,
		 * `ticketd_form`, `ticketd_form_page`, `ticketd_rate_limit`, `ticketd_rate_seconds`,
		 * `ticketd_overdue_seconds`, `ticketd_keep`. Socket and spool are asked for once per request.
		 *
		 * @param string|int $value   The default.
		 * @param int        $blog_id The blog that it is for.
		 */
		return apply_filters( "ticketd_{$name}", $value, get_current_blog_id() );
	}

	/**
	 * The default of a setting that the client or the blog knows. Each class is loaded for its own setting only.
	 *
	 * @param string $name The setting's name.
	 * @return string|int
	 */
	private static function default_of( string $name ) {
		global $wpdb;

		switch ( $name ) {
			case 'socket':
				return Connection::DEFAULT_SOCKET;
			case 'timeout_ms':
				return Client::DEFAULT_TIMEOUT_MS;
			case 'spool':
				return Breaker::DEFAULT_FOLDER;
			default:
				return $wpdb->prefix . 'support_tickets';
		}
	}
}
