<?php
/**
 * The functions of the guide.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Implements the functions that many support plugins define after a guide, which keeps each ticket in a hash of
 * Redis. Callers of those functions expect the values of a hash: texts, except for the integers that the guide casts;
 * times in seconds since 1970; no unset fields; false on failure, with the reason in PHP's log.
 *
 * Where TICKETD_DROP_IN is "posts", a ticket is a post of the same id, and its fields are those of the daemon's site of
 * the kind "postmeta"; see Meta\Posts.
 *
 * The documentation's page guide.md lists the remaining differences.
 */
final class DropIn {

	/** The functions. */
	private const FUNCTIONS = array(
		'my_support_plugin_write_ticket_metadata',
		'my_support_plugin_update_ticket_metadata_field',
		'my_support_plugin_get_ticket_metadata',
	);

	/** Fields that are returned as integers, besides the times, unless the filter says otherwise. */
	private const INTEGERS = array( 'customer_id' );

	/**
	 * Whether the functions are wanted: TICKETD_DROP_IN is true, 1, "1", "true", "yes" or "on", or "posts".
	 */
	public static function is_wanted(): bool {
		return self::is_for_posts()
			|| ( defined( 'TICKETD_DROP_IN' ) && filter_var( TICKETD_DROP_IN, FILTER_VALIDATE_BOOLEAN ) );
	}

	/**
	 * Whether the tickets are posts.
	 */
	private static function is_for_posts(): bool {
		return defined( 'TICKETD_DROP_IN' ) && 'posts' === TICKETD_DROP_IN;
	}

	/**
	 * The posts, for the guide's functions.
	 *
	 * @return Meta\Posts|\WP_Error
	 */
	private static function posts() {
		$posts = Meta\Adapter::instance()->posts();
		if ( null !== $posts ) {
			return $posts;
		}
		$text = __( 'ticketd takes no metadata of posts here: run "wp ticketd meta install".', 'ticketd' );
		return new \WP_Error( 'ticketd_kind', $text );
	}

	/**
	 * Adds the hooks.
	 */
	public static function register(): void {
		// Not before all plugins are loaded: a plugin may still define these functions itself.
		add_action(
			'plugins_loaded',
			static function (): void {
				if ( self::is_wanted() ) {
					require_once __DIR__ . '/../drop-in.php';
				}
			},
			0
		);
		add_action( 'admin_notices', array( self::class, 'show' ) );
	}

	/**
	 * The functions that other code has already defined.
	 *
	 * @return array<string, string> The file by function.
	 */
	public static function foreign(): array {
		$own     = (string) realpath( __DIR__ . '/../drop-in.php' );
		$foreign = array();
		foreach ( self::is_wanted() ? self::FUNCTIONS : array() as $name ) {
			$file = function_exists( $name ) ? (string) ( new \ReflectionFunction( $name ) )->getFileName() : $own;
			if ( realpath( $file ) !== $own ) {
				$foreign[ $name ] = $file;
			}
		}
		return $foreign;
	}

	/**
	 * The problem with the functions, or empty.
	 */
	public static function problem(): string {
		$foreign = self::foreign();
		if ( array() === $foreign ) {
			$posts = self::is_for_posts() ? self::posts() : null;
			return is_wp_error( $posts ) ? 'TICKETD_DROP_IN = "posts": ' . $posts->get_error_message() : '';
		}
		/* translators: 1: names of functions, 2: paths of files */
		$text = __(
			'TICKETD_DROP_IN is set, but %1$s belong to %2$s: ticketd does not get their writes. Remove them there.',
			'ticketd'
		);

		$names = implode( '(), ', array_keys( $foreign ) ) . '()';
		return sprintf( $text, $names, implode( ', ', array_unique( $foreign ) ) );
	}

	/**
	 * Shows managers that the functions belong to another plugin.
	 */
	public static function show(): void {
		$problem = current_user_can( 'ticketd_manage' ) ? self::problem() : '';
		if ( '' !== $problem ) {
			printf( '<div class="notice notice-warning"><p>%s</p></div>', esc_html( $problem ) );
		}
	}

	/**
	 * Merges fields into a ticket; makes the ticket if it does not exist.
	 *
	 * @param int   $ticket_id The ticket's id.
	 * @param array $metadata  Values by field name; times in seconds since 1970, or as texts.
	 */
	public static function write( int $ticket_id, array $metadata ): bool {
		if ( isset( $metadata['ticket_id'] ) && (string) $ticket_id === (string) $metadata['ticket_id'] ) {
			unset( $metadata['ticket_id'] ); // It is the key, and no field.
		}
		if ( self::is_for_posts() ) {
			$posts = self::posts();
			$done  = is_wp_error( $posts ) ? $posts : $posts->put( $ticket_id, $metadata );
		} else {
			$done = Plugin::instance()->api()->put( $ticket_id, $metadata );
		}
		return ! self::failed( $done, $ticket_id, 'write' );
	}

	/**
	 * Reads the fields of a ticket.
	 *
	 * @param int $ticket_id The ticket's id.
	 * @return array<string, string|int>|false Values by field name; false if the ticket does not exist, or without an
	 *         answer.
	 */
	public static function read( int $ticket_id ) {
		$fields = self::fields( $ticket_id );
		if ( is_wp_error( $fields ) ) {
			if ( 'ticketd_not_found' !== $fields->get_error_code() ) {
				self::failed( $fields, $ticket_id, 'read' );
			}
			return false;
		}
		if ( array() === $fields ) {
			return false; // As for a hash without fields.
		}
		/**
		 * Filters which fields the guide's function for reading returns as integers. Fields that end in `_at` are
		 * times, and always are.
		 *
		 * @param string[] $names Names of fields.
		 */
		$integers = (array) apply_filters( 'ticketd_drop_in_integers', self::INTEGERS );
		$metadata = array();
		foreach ( $fields as $name => $value ) {
			if ( null !== $value ) {
				$value             = self::is_time( $name, $value ) ? strtotime( $value . ' UTC' ) : $value;
				$is_integer        = '_at' === substr( $name, -3 ) || in_array( $name, $integers, true );
				$metadata[ $name ] = $is_integer && is_numeric( $value ) ? (int) $value : (string) $value;
			}
		}
		return $metadata;
	}

	/**
	 * The fields of a ticket.
	 *
	 * @param int $ticket_id The ticket's id.
	 * @return array<string, string|int|null>|\WP_Error Values by field name.
	 */
	private static function fields( int $ticket_id ) {
		if ( self::is_for_posts() ) {
			$posts = self::posts();
			return is_wp_error( $posts ) ? $posts : $posts->get( $ticket_id );
		}
		$ticket = Plugin::instance()->api()->get( $ticket_id );
		return is_wp_error( $ticket ) ? $ticket : $ticket['fields'];
	}

	/**
	 * Whether a value is a time as the database writes it.
	 *
	 * @param string     $name  The field's name.
	 * @param string|int $value The value.
	 */
	private static function is_time( string $name, $value ): bool {
		return '_at' === substr( $name, -3 ) && is_string( $value )
			&& 1 === preg_match( '/^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?$/', $value );
	}

	/**
	 * Writes the reason of a failure to PHP's log, without values of fields.
	 *
	 * @param mixed  $result    A value or a WP_Error.
	 * @param int    $ticket_id The ticket's id.
	 * @param string $action    `write` or `read`.
	 */
	private static function failed( $result, int $ticket_id, string $action ): bool {
		if ( ! is_wp_error( $result ) ) {
			return false;
		}
		$field = (string) ( ( (array) $result->get_error_data() )['field'] ?? '' );
		$where = '' === $field ? '' : " (field $field)";
		// phpcs:ignore WordPress.PHP.DevelopmentFunctions, Generic.PHP.ForbiddenFunctions -- The log has the reason.
		error_log( "ticketd: could not $action ticket $ticket_id$where: " . $result->get_error_message() );
		return true;
	}
}
