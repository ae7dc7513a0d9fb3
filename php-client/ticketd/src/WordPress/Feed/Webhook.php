<?php
/**
 * The feed by a webhook.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Feed;

defined( 'ABSPATH' ) || exit;

/**
 * Serves `POST /wp-json/ticketd/v1/feed` for a daemon that cannot be reached over its socket, as it runs on another
 * machine. The route exists only where the constant TICKETD_FEED_SECRET holds the secret of the daemon's destination:
 * `whsec_` and base64, or two of them, separated by a space, while the secret is replaced.
 *
 * A request counts only with a signature as standardwebhooks.com describes it: HMAC-SHA256 over the id, the time and
 * the raw body. An old request is refused, so that a recorded request cannot be replayed. Repeats are the listeners'
 * matter, as in every other way.
 */
final class Webhook {

	/** The constant with the secret. */
	public const CONSTANT = 'TICKETD_FEED_SECRET';

	/** The route's path. */
	private const ROUTE = '/feed';

	/** How far the sender's clock may differ, in seconds. */
	private const TOLERANCE = 300;

	/** Bounds of a secret's length in bytes, as the standard has them. */
	private const LEAST_BYTES = 24;
	private const MOST_BYTES  = 64;

	/** What the types of events begin with. */
	private const TYPE = '/^com\.github\.ticketd\.(?:ticket|feed)\.([a-z]+)$/D';

	/**
	 * The keys.
	 *
	 * @var string[]
	 */
	private array $keys;

	/**
	 * Takes the keys.
	 *
	 * @param string[] $keys The keys: secrets without prefix, decoded.
	 */
	public function __construct( array $keys ) {
		$this->keys = $keys;
	}

	/**
	 * Reads the secrets of a constant.
	 *
	 * @param mixed $text What it holds.
	 * @return string[]|null The keys; null where it has not the form of a secret.
	 */
	public static function keys( $text ): ?array {
		$keys = array();
		foreach ( preg_split( '/\s+/', is_string( $text ) ? $text : '', -1, PREG_SPLIT_NO_EMPTY ) as $secret ) {
			// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions, Generic.PHP.ForbiddenFunctions -- The standard's form.
			$key    = 0 === strncmp( $secret, 'whsec_', 6 ) ? base64_decode( substr( $secret, 6 ), true ) : false;
			$length = false === $key ? 0 : strlen( $key );
			if ( $length < self::LEAST_BYTES || $length > self::MOST_BYTES ) {
				return null;
			}
			$keys[] = $key;
		}
		return array() === $keys ? null : $keys;
	}

	/**
	 * Registers the route.
	 */
	public function register_routes(): void {
		register_rest_route(
			'ticketd/v1',
			self::ROUTE,
			array(
				'methods'             => \WP_REST_Server::CREATABLE,
				'callback'            => array( $this, 'receive' ),
				'permission_callback' => array( $this, 'check_signature' ),
			)
		);
	}

	/**
	 * Whether the daemon has sent the request.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return true|\WP_Error
	 */
	public function check_signature( \WP_REST_Request $request ) {
		$id   = (string) $request->get_header( 'webhook-id' );
		$time = (string) $request->get_header( 'webhook-timestamp' );
		$text = __( 'The signature of the request is missing, wrong or too old.', 'ticketd' );
		$no   = new \WP_Error( 'ticketd_signature', $text, array( 'status' => 401 ) );
		// A dot would move the border between the signed parts.
		if ( 1 !== preg_match( '/^[^.\s]+$/D', $id ) || (string) (int) $time !== $time ) {
			return $no;
		}
		if ( abs( time() - (int) $time ) > self::TOLERANCE ) {
			return $no;
		}
		$signatures = explode( ' ', (string) $request->get_header( 'webhook-signature' ) );
		$is_valid   = false;
		foreach ( $this->keys as $key ) {
			$hash = hash_hmac( 'sha256', "$id.$time." . $request->get_body(), $key, true );
			// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions, Generic.PHP.ForbiddenFunctions -- The standard's form.
			$want = 'v1,' . base64_encode( $hash );
			foreach ( $signatures as $signature ) {
				// Without an early end, so that the time tells nothing of the right one.
				$is_valid = hash_equals( $want, $signature ) || $is_valid;
			}
		}
		return $is_valid ? true : $no;
	}

	/**
	 * Takes events: one, or a list. What fails is sent again, and becomes a letter as with every destination.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response|\WP_Error
	 */
	public function receive( \WP_REST_Request $request ) {
		$sent   = json_decode( $request->get_body(), true, 64, JSON_BIGINT_AS_STRING );
		$list   = is_array( $sent ) && ! isset( $sent['specversion'] ) ? $sent : array( $sent );
		$events = array_map( array( self::class, 'event' ), array_values( $list ) );
		if ( array() === $events || in_array( null, $events, true ) ) {
			$text = __( 'The request has no event of ticketd.', 'ticketd' );
			return new \WP_Error( 'ticketd_invalid', $text, array( 'status' => 400 ) );
		}
		if ( ! Listeners::exist() ) {
			$text = __( 'No plugin follows the feed.', 'ticketd' );
			return new \WP_Error( 'ticketd_unavailable', $text, array( 'status' => 503 ) );
		}
		try {
			array_map( array( Listeners::class, 'tell' ), $events );
		} catch ( \Throwable $failure ) {
			// The sender has the secret and receives the reason: the message is in the letter.
			$text = get_class( $failure ) . ': ' . $failure->getMessage();
			return new \WP_Error( 'ticketd_listener', $text, array( 'status' => 500 ) );
		}
		return new \WP_REST_Response( null, 204 );
	}

	/**
	 * Makes an event as listeners get it of a CloudEvent.
	 *
	 * @param mixed $sent The CloudEvent.
	 * @return array|null Null where it is none of ticketd's.
	 */
	private static function event( $sent ): ?array {
		$data     = $sent['data'] ?? null;
		$type     = is_string( $sent['type'] ?? null ) ? $sent['type'] : '';
		$is_of_us = 1 === preg_match( self::TYPE, $type, $part );
		if ( ! $is_of_us || ! is_string( $sent['id'] ?? null ) || ! is_array( $data ) ) {
			return null;
		}
		if ( 'gap' === $part[1] ) { // Numbers of events, and not a revision as with a restated change.
			$data = array(
				'first' => (int) ( $data['from'] ?? 0 ),
				'last'  => (int) ( $data['to'] ?? 0 ),
			) + array_diff_key( $data, array_flip( array( 'from', 'to' ) ) );
		}
		$at = self::micros( $sent['time'] ?? '' );
		return array(
			'id'          => $sent['id'],
			'kind'        => $part[1],
			'ticket'      => (int) ( $data['ticket'] ?? 0 ),
			'revision'    => (int) ( $data['revision'] ?? 0 ),
			'previous'    => (int) ( $data['previous'] ?? 0 ),
			'fields'      => (array) ( $data['fields'] ?? array() ),
			'was'         => (array) ( $data['was'] ?? array() ),
			'omitted'     => (array) ( $data['omitted'] ?? array() ),
			'by'          => self::text( $sent['authid'] ?? '' ),
			'via'         => self::text( $data['via'] ?? '' ),
			'at_us'       => $at,
			'recorded_us' => isset( $sent['recordedtime'] ) ? self::micros( $sent['recordedtime'] ) : $at,
			'delivery'    => 1,
		) + $data;
	}

	/**
	 * A text, or an empty one where the value is none.
	 *
	 * @param mixed $value The value.
	 */
	private static function text( $value ): string {
		return is_string( $value ) ? $value : '';
	}

	/**
	 * Reads a time.
	 *
	 * @param mixed $text A time of RFC 3339.
	 * @return int Microseconds since 1970; 0 where it is none.
	 */
	private static function micros( $text ): int {
		// Without its first digits, date_create_immutable() takes "" and "tomorrow", too.
		$is_date = is_string( $text ) && 1 === preg_match( '/^\d{4}-\d\d-\d\dT/', $text );
		$time    = $is_date ? date_create_immutable( $text ) : false;
		return false === $time ? 0 : $time->getTimestamp() * 1000000 + (int) $time->format( 'u' );
	}
}
