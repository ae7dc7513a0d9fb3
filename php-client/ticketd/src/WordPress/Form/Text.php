<?php
/**
 * Visitors' texts in the site's pages.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

defined( 'ABSPATH' ) || exit;

/**
 * Escapes what visitors have written, so that the page shows just that.
 *
 * A block's output passes WordPress' filters of contents afterwards, which run shortcodes and replace quotes, dashes,
 * smilies and more: they would run what a visitor has written, and change what the form shows for another try.
 */
final class Text {

	/**
	 * Escapes a text, for an element or an attribute.
	 *
	 * @param string $text The text, in UTF-8.
	 * @return string With every character as an entity that HTML or a filter of contents takes for more than itself:
	 *                all but letters, digits and blanks; and the x of "3x4", and the W that WordPress respells.
	 */
	public static function escaped( string $text ): string {
		return (string) preg_replace_callback(
			'/[^A-VX-Za-wyz0-9\s\x80-\xff]/',
			static fn( array $found ): string => '&#' . ord( $found[0] ) . ';',
			$text
		);
	}
}
