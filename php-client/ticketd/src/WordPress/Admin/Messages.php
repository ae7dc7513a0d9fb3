<?php
/**
 * Messages about the outcome of an action.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

defined( 'ABSPATH' ) || exit;

/**
 * Messages that a request leaves for the page after its redirect, for the same user.
 */
final class Messages {

	/** How long messages are kept for a page that does not come, in seconds. */
	private const KEPT_SECONDS = 60;

	/**
	 * Leaves a message.
	 *
	 * @param string $kind `success`, `warning` or `error`.
	 * @param string $text The message, not escaped.
	 */
	public static function add( string $kind, string $text ): void {
		$messages   = self::all();
		$messages[] = array( $kind, $text );
		set_transient( self::key(), $messages, self::KEPT_SECONDS );
	}

	/**
	 * Prints the messages that were left, once.
	 */
	public static function show(): void {
		$messages = self::all();
		if ( array() === $messages ) {
			return;
		}
		delete_transient( self::key() );
		foreach ( $messages as list( $kind, $text ) ) {
			self::notice( $kind, $text );
		}
	}

	/**
	 * Prints a notice.
	 *
	 * @param string $kind `success`, `warning`, `error` or `info`.
	 * @param string $text The message, not escaped.
	 * @param string $url  Where more is to be found; empty: nowhere.
	 * @param string $link The link's text.
	 */
	public static function notice( string $kind, string $text, string $url = '', string $link = '' ): void {
		printf(
			'<div class="notice notice-%1$s ticketd-notice" role="%2$s"><p>%3$s%4$s</p></div>',
			esc_attr( $kind ),
			esc_attr( 'error' === $kind ? 'alert' : 'status' ),
			esc_html( $text ),
			'' === $url ? '' : ' <a href="' . esc_url( $url ) . '">' . esc_html( $link ) . '</a>'
		);
	}

	/**
	 * The messages that were left.
	 *
	 * @return array[] Pairs of kind and text.
	 */
	private static function all(): array {
		$messages = get_transient( self::key() );
		return is_array( $messages ) ? $messages : array();
	}

	/**
	 * Where the current user's are kept.
	 */
	private static function key(): string {
		return 'ticketd_messages_' . get_current_user_id();
	}
}
