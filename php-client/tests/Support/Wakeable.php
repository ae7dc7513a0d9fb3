<?php
/**
 * A class that the wire may name.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * Reports being instantiated from the wire.
 */
final class Wakeable {

	/**
	 * Whether that has happened.
	 *
	 * @var bool
	 */
	public static bool $woken = false;

	/**
	 * Something to set.
	 *
	 * @var int
	 */
	public int $a = 0;

	/**
	 * Called by the extension in its default mode.
	 */
	public function __wakeup(): void {
		self::$woken = true;
	}
}
