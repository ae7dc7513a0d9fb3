<?php
/**
 * Who makes a change.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Names who makes the changes of this PHP request, and through which part of the site: the feed and a ticket's history
 * say so. It is the site's word about its own users, and no proof.
 */
final class Actor {

	/** The form of `by`, as the protocol takes it. */
	private const BY = '/^[ -~]{1,64}$/D';

	/** The form of `via`. */
	private const VIA = '/^[ -~]{1,32}$/D';

	/**
	 * The part that makes the changes, where it is not the page itself; empty: the page.
	 *
	 * @var string
	 */
	private static string $part = '';

	/**
	 * Runs code as a part of the plugin of its own.
	 *
	 * @param string   $part The part, like `import`.
	 * @param callable $run  The code.
	 * @return mixed What it returns.
	 */
	public static function within( string $part, callable $run ) {
		$outer      = self::$part;
		self::$part = $part;
		try {
			return $run();
		} finally {
			self::$part = $outer;
		}
	}

	/**
	 * Who makes the next change.
	 *
	 * @return array{by: string, via: string} Empty texts where the site names none.
	 */
	public static function current(): array {
		$actor = array(
			'by'  => self::by(),
			'via' => '' === self::$part ? self::page() : self::$part,
		);
		/**
		 * Filters who makes a change, as the feed and the history of the ticket will say. A plugin that brings changes
		 * from elsewhere names itself, so that a destination can leave out its changes (`not_via`).
		 *
		 * @param array $actor `by`: `user:` and the user's id, `unauthenticated` for a visitor, `cli` or `cron`, at
		 *                     most 64 printable characters of ASCII. `via`: `wp-admin`, `rest`, `form`, `cli`,
		 *                     `import`, `cron`, `feed`, `privacy`, `ability` or `php`, at most 32.
		 */
		$actor = (array) apply_filters( 'ticketd_actor', $actor );
		return array(
			'by'  => self::checked( $actor['by'] ?? '', self::BY ),
			'via' => self::checked( $actor['via'] ?? '', self::VIA ),
		);
	}

	/**
	 * The user, or what runs without one.
	 */
	private static function by(): string {
		// A change may be made before WordPress has loaded what knows users.
		$user = function_exists( 'wp_get_current_user' ) ? get_current_user_id() : 0;
		if ( 0 !== $user ) {
			return 'user:' . $user;
		}
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			return 'cli';
		}
		return wp_doing_cron() ? 'cron' : 'unauthenticated';
	}

	/**
	 * The page that is asked for.
	 */
	private static function page(): string {
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			return 'cli';
		}
		if ( wp_doing_cron() ) {
			return 'cron';
		}
		if ( defined( 'REST_REQUEST' ) && \REST_REQUEST ) {
			return 'rest';
		}
		// Visitors, too, use admin-ajax.php.
		return is_admin() && ! wp_doing_ajax() ? 'wp-admin' : 'php';
	}

	/**
	 * A text that the protocol takes; a change does not fail for a filter's mistake.
	 *
	 * @param mixed  $text What the filter returned.
	 * @param string $form The form.
	 * @return string Empty where it is none.
	 */
	private static function checked( $text, string $form ): string {
		return is_string( $text ) && 1 === preg_match( $form, $text ) ? $text : '';
	}
}
