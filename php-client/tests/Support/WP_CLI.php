<?php
/**
 * A stand-in for WP-CLI, see wp-cli.php.
 *
 * @package Ticketd
 */

/**
 * Notes what a command prints; in a process of its own it also prints.
 */
final class WP_CLI {

	/**
	 * Calls of display_items(), print_value(), line() and the like.
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
	 * Warnings, which are printed on STDERR.
	 *
	 * @var string[]
	 */
	public static array $warnings = array();

	/**
	 * The commands by name: an object with subcommands, or what to call.
	 *
	 * @var array<string, object|callable>
	 */
	public static array $commands = array();

	/**
	 * Whether this is a process of its own.
	 *
	 * @var bool
	 */
	public static bool $prints = false;

	/**
	 * Whether only data and errors are printed: the option --quiet.
	 *
	 * @var bool
	 */
	public static bool $quiet = true;

	/**
	 * Adds a command.
	 *
	 * @param string          $name    Its name.
	 * @param object|callable $handler An object with subcommands, or what to call.
	 */
	public static function add_command( string $name, $handler ): void {
		self::$commands[ $name ] = $handler;
	}

	/**
	 * Prints a warning on STDERR.
	 *
	 * @param string $message What it says.
	 */
	public static function warning( string $message ): void {
		self::$warnings[] = $message;
		self::put( self::$quiet ? '' : "Warning: $message\n", STDERR );
	}

	/**
	 * Prints a message on STDERR and ends the command with the exit code 1.
	 *
	 * @param string $message What is wrong.
	 * @throws \WP_CLI\ExitException Always.
	 */
	public static function error( string $message ): void {
		self::put( "Error: $message\n", STDERR );
		throw new \WP_CLI\ExitException( $message, 1 );
	}

	/**
	 * Ends the command.
	 *
	 * @param int $code The exit code.
	 * @throws \WP_CLI\ExitException Always.
	 */
	public static function halt( int $code ): void {
		throw new \WP_CLI\ExitException( '', $code );
	}

	/**
	 * Prints a value.
	 *
	 * @param mixed $value   The value.
	 * @param array $options Its format.
	 */
	public static function print_value( $value, array $options = array() ): void {
		$format          = $options['format'] ?? '';
		self::$printed[] = array( $format, $value );
		if ( 'json' === $format ) {
			$value = json_encode( $value );
		} elseif ( 'yaml' === $format ) {
			$value = \WP_CLI\Formatter::yaml( (array) $value );
		} elseif ( ! is_scalar( $value ) && null !== $value ) {
			$value = var_export( $value, true );
		}
		self::put( "$value\n", STDOUT );
	}

	/**
	 * Prints a line.
	 *
	 * @param string $line The line.
	 */
	public static function line( string $line = '' ): void {
		self::$printed[] = array( 'line', $line );
		self::put( "$line\n", STDOUT );
	}

	/**
	 * Prints a line for people.
	 *
	 * @param string $message The line.
	 */
	public static function log( string $message ): void {
		self::$printed[] = array( 'log', $message );
		self::put( self::$quiet ? '' : "$message\n", STDOUT );
	}

	/**
	 * Prints a success.
	 *
	 * @param string $message What it says.
	 */
	public static function success( string $message ): void {
		self::$printed[] = array( 'success', $message );
		self::put( self::$quiet ? '' : "Success: $message\n", STDOUT );
	}

	/**
	 * Asks for confirmation without --yes. Any answer but y ends the command, with the exit code 0 in a process; PHPUnit
	 * sees the question as the message.
	 *
	 * @param string $question   The question.
	 * @param array  $assoc_args Options.
	 * @throws \WP_CLI\ExitException If the answer is not yes.
	 */
	public static function confirm( string $question, array $assoc_args = array() ): void {
		if ( isset( $assoc_args['yes'] ) ) {
			return;
		}
		self::put( "$question [y/n] ", STDOUT );
		if ( ! self::$prints || 'y' !== strtolower( trim( (string) fgets( STDIN ) ) ) ) {
			throw new \WP_CLI\ExitException( $question, 0 );
		}
	}

	/**
	 * A setting of WP-CLI itself.
	 *
	 * @param string $name The setting.
	 * @return mixed
	 */
	public static function get_config( string $name ) {
		return 'quiet' === $name ? self::$quiet : null;
	}

	/**
	 * Moves the bar.
	 *
	 * @param int $count By how much.
	 */
	public function tick( int $count = 1 ): void {
		self::$bar[] = $count;
	}

	/**
	 * Ends the bar.
	 */
	public function finish(): void {
		self::$bar[] = 'finish';
	}

	/**
	 * Prints, in a process of its own.
	 *
	 * @param string   $text   The text.
	 * @param resource $stream Where to.
	 */
	public static function put( string $text, $stream ): void {
		if ( self::$prints ) {
			fwrite( $stream, $text );
		}
	}
}
