<?php
/**
 * A stand-in for WP-CLI: there is no Debian package of it, and its real classes end the process.
 *
 * @package Ticketd
 */

/**
 * Notes what a command prints.
 */
final class WP_CLI {

	/**
	 * Calls of format_items() and print_value().
	 *
	 * @var array[]
	 */
	public static array $printed = array();

	/**
	 * The progress bar: its length, then its ticks, then 'finish'.
	 *
	 * @var array
	 */
	public static array $bar = array();

	/**
	 * Warnings, which the real one prints on STDERR.
	 *
	 * @var string[]
	 */
	public static array $warnings = array();

	/**
	 * Notes a warning.
	 *
	 * @param string $message What it says.
	 */
	public static function warning( string $message ): void {
		self::$warnings[] = $message;
	}

	/**
	 * Ends the command; the real one prints on STDERR and exits with 1.
	 *
	 * @param string $message What is wrong.
	 */
	public static function error( string $message ): void {
		throw new \RuntimeException( $message );
	}

	/**
	 * Notes a value.
	 *
	 * @param mixed $value   The value.
	 * @param array $options Its format.
	 */
	public static function print_value( $value, array $options ): void {
		self::$printed[] = array( $options['format'], $value );
	}

	/**
	 * Moves the bar.
	 *
	 * @param int $count By how much.
	 */
	public function tick( int $count ): void {
		self::$bar[] = $count;
	}

	/**
	 * Ends the bar.
	 */
	public function finish(): void {
		self::$bar[] = 'finish';
	}
}
