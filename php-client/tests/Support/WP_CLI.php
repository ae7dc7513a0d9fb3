<?php
/**
 * A stand-in for WP-CLI: Debian has no package of it, and its real classes end the process.
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
	 * Warnings, which the real class prints on STDERR.
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
	 * Ends the command; the real class prints on STDERR and exits with 1.
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
	 * Notes a line.
	 *
	 * @param string $line The line.
	 */
	public static function line( string $line ): void {
		self::$printed[] = array( 'line', $line );
	}

	/**
	 * Records a success; the real class prints on STDOUT.
	 *
	 * @param string $message What it says.
	 */
	public static function success( string $message ): void {
		self::$printed[] = array( 'success', $message );
	}

	/**
	 * Asks for confirmation without --yes; here the answer is no, which ends the command.
	 *
	 * @param string $question   The question.
	 * @param array  $assoc_args Options.
	 */
	public static function confirm( string $question, array $assoc_args ): void {
		if ( ! isset( $assoc_args['yes'] ) ) {
			throw new \RuntimeException( $question );
		}
	}

	/**
	 * Every setting is on, --quiet among them.
	 *
	 * @param string $name The setting.
	 */
	public static function get_config( string $name ): bool {
		return '' !== $name;
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
