<?php
/**
 * Where a page of tickets ended.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\InputException;

defined( 'ABSPATH' ) || exit;

/**
 * Reads and writes the daemon's own cursors, so that page 4 follows page 3 also if the daemon becomes unreachable, or
 * reachable again, between them: base64url of the JSON object `{"s": sort, "a": true if ascending, "v": value, "i":
 * id}`. Without `v` the value is NULL.
 */
final class Cursor {

	/**
	 * Writes a cursor.
	 *
	 * @param string      $sort         The sort.
	 * @param bool        $is_ascending Whether the order is ascending.
	 * @param string|null $value        What the last ticket has in the column that is sorted by.
	 * @param int         $id           The last ticket's id.
	 */
	public static function encode( string $sort, bool $is_ascending, ?string $value, int $id ): string {
		$cursor = array( 's' => $sort )
			+ ( $is_ascending ? array( 'a' => true ) : array() )
			+ ( null === $value ? array() : array( 'v' => $value ) )
			+ array( 'i' => $id );
		$json   = (string) wp_json_encode( $cursor, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE );
		// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions, Generic.PHP.ForbiddenFunctions -- The daemon's cursors are base64; nothing is hidden in it.
		return rtrim( strtr( base64_encode( $json ), '+/', '-_' ), '=' );
	}

	/**
	 * Reads a cursor.
	 *
	 * @param string $text         The cursor.
	 * @param string $sort         The sort that it must belong to.
	 * @param bool   $is_ascending Whether that is ascending.
	 * @return array{0: string|null, 1: int} The last ticket's value and id.
	 * @throws InputException If the text is no cursor, or a cursor of another sort.
	 */
	public static function decode( string $text, string $sort, bool $is_ascending ): array {
		// PHP would take the padding and the alphabet of ordinary base64, too.
		$text = 1 === preg_match( '/^[A-Za-z0-9_-]+$/D', $text ) ? strtr( $text, '-_', '+/' ) : '';
		// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions, Generic.PHP.ForbiddenFunctions -- The daemon's cursors are base64; nothing is hidden in it.
		$json   = (string) base64_decode( $text, true );
		$cursor = json_decode( $json, true );
		$value  = $cursor['v'] ?? null;
		$id     = $cursor['i'] ?? null;
		if ( ! is_array( $cursor ) || ! is_int( $id ) || $id < 1 || ( null !== $value && ! is_string( $value ) ) ) {
			throw new InputException( 'It is no cursor: give the next of the page before, unchanged.', 'after' );
		}
		if ( ( $cursor['s'] ?? null ) !== $sort || ( $cursor['a'] ?? false ) !== $is_ascending ) {
			throw new InputException(
				'It belongs to another sort or order: begin again at the first page.',
				'after'
			);
		}
		return array( $value, $id );
	}
}
