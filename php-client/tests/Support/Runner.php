<?php
/**
 * A stand-in for WP-CLI's runner, see wp.php.
 *
 * @package Ticketd
 */

namespace WP_CLI;

/**
 * Loads WordPress, finds the command, checks its arguments against the synopsis in its comment, and runs the command.
 */
final class Runner {

	/** The options of WP-CLI itself, which a command does not see. */
	private const GLOBALS = array( 'path', 'url', 'user', 'quiet', 'allow-root', 'debug', 'color' );

	/**
	 * Positional arguments.
	 *
	 * @var string[]
	 */
	private array $args = array();

	/**
	 * Options by name.
	 *
	 * @var array<string, string|bool>
	 */
	private array $options = array();

	/**
	 * Reads the command line.
	 *
	 * @param string[] $line The arguments.
	 */
	public function __construct( array $line ) {
		foreach ( $line as $arg ) {
			if ( 1 === preg_match( '/^--no-([^=]+)$/D', $arg, $match ) ) {
				$this->options[ $match[1] ] = false;
			} elseif ( 1 === preg_match( '/^--([^=]+)(?:=(.*))?$/Ds', $arg, $match ) ) {
				$this->options[ $match[1] ] = $match[2] ?? true;
			} else {
				$this->args[] = $arg;
			}
		}
	}

	/**
	 * Runs the command.
	 *
	 * @return int The exit code.
	 */
	public function run(): int {
		\WP_CLI::$prints = true;
		\WP_CLI::$quiet  = isset( $this->options['quiet'] );
		try {
			$this->load();
			list( $command, $call, $comment ) = $this->find();
			$options                          = array_diff_key( $this->options, array_flip( self::GLOBALS ) );
			$call( $this->args, self::checked( $command, $comment, $this->args, $options ) );
			return 0;
		} catch ( ExitException $end ) {
			return $end->getCode();
		}
	}

	/**
	 * Loads WordPress. As in WP-CLI this is not the global scope.
	 */
	private function load(): void {
		define( 'WP_CLI', true );
		$url                        = parse_url( (string) ( $this->options['url'] ?? 'http://localhost' ) );
		$_SERVER['HTTP_HOST']       = $url['host'] ?? $url['path'];
		$_SERVER['REQUEST_URI']     = isset( $url['host'] ) ? $url['path'] ?? '/' : '/';
		$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.0';
		require rtrim( (string) ( $this->options['path'] ?? getcwd() ), '/' ) . '/wp-load.php';
		if ( isset( $this->options['user'] ) ) {
			$user = get_user_by( is_numeric( $this->options['user'] ) ? 'id' : 'login', $this->options['user'] );
			wp_set_current_user( $user ? $user->ID : 0 );
		}
	}

	/**
	 * Finds the command, and takes its name off the arguments.
	 *
	 * @return array{0: string, 1: callable, 2: string} The name, what to call, and its comment.
	 */
	private function find(): array {
		$found = null;
		$words = 0;
		foreach ( \WP_CLI::$commands as $name => $handler ) {
			$calls = is_callable( $handler ) ? array( $name => $handler ) : self::subcommands( $name, $handler );
			foreach ( $calls as $command => $call ) {
				$count = substr_count( $command, ' ' ) + 1;
				if ( $count > $words && implode( ' ', array_slice( $this->args, 0, $count ) ) === $command ) {
					$words = $count;
					$found = array( $command, $call );
				}
			}
		}
		if ( null === $found ) {
			\WP_CLI::error( sprintf( "'%s' is not a registered wp command.", implode( ' ', $this->args ) ) );
		}
		$this->args = array_slice( $this->args, $words );
		$method     = new \ReflectionMethod( ...$found[1] );
		return array( $found[0], $found[1], (string) $method->getDocComment() );
	}

	/**
	 * The methods of an object that are commands.
	 *
	 * @param string $name   The command above them.
	 * @param object $object The object.
	 * @return array<string, callable> By name.
	 */
	private static function subcommands( string $name, object $object ): array {
		$found = array();
		foreach ( ( new \ReflectionClass( $object ) )->getMethods( \ReflectionMethod::IS_PUBLIC ) as $method ) {
			if ( ! $method->isStatic() && ! $method->isConstructor() ) {
				preg_match( '/@subcommand (\S+)/', (string) $method->getDocComment(), $tag );
				$found[ $name . ' ' . ( $tag[1] ?? strtr( $method->getName(), '_', '-' ) ) ] = array( $object, $method->getName() );
			}
		}
		return $found;
	}

	/**
	 * Reads the synopsis in a command's comment.
	 *
	 * @param string $comment The comment.
	 * @return array[] For each parameter `token`, `name`, `text`, `default` and `options`; one without a name is positional, or stands for
	 *         any option.
	 */
	private static function synopsis( string $comment ): array {
		$found = array();
		foreach ( preg_split( '/\n\s*\* ?/', $comment ) as $line ) {
			if ( 1 === preg_match( '/^\[?(?:<|--<|--(?:\[no-\])?([a-z][a-z-]*))\S*$/D', $line, $match ) ) {
				$found[] = array(
					'token'   => $line,
					'name'    => $match[1] ?? '',
					'text'    => '',
					'default' => null,
					'options' => array(),
				);
				continue;
			}
			$last = count( $found ) - 1;
			if ( 1 === preg_match( '/^(: |default: |  - )(.*)$/D', $line, $match ) && $last >= 0 ) {
				if ( '  - ' === $match[1] ) {
					$found[ $last ]['options'][] = $match[2];
				} else {
					$found[ $last ][ ': ' === $match[1] ? 'text' : 'default' ] = $match[2];
				}
			}
		}
		return $found;
	}

	/**
	 * Checks arguments against a synopsis, and ends the command where they do not fit.
	 *
	 * @param string   $command The command.
	 * @param string   $comment Its comment.
	 * @param string[] $args    Positional arguments.
	 * @param array    $options Options by name.
	 * @return array The options, with defaults.
	 */
	private static function checked( string $command, string $comment, array $args, array $options ): array {
		$least     = 0;
		$most      = 0;
		$errors    = array();
		$takes_any = false;
		$synopsis  = self::synopsis( $comment );
		foreach ( $synopsis as $parameter ) {
			$name = $parameter['name'];
			if ( false !== strpos( $parameter['token'], '--<' ) ) {
				$takes_any = true;
				continue;
			}
			if ( '' === $name ) {
				$least += '[' === $parameter['token'][0] ? 0 : 1;
				$most  += false === strpos( $parameter['token'], '...' ) ? 1 : PHP_INT_MAX;
				continue;
			}
			if ( true === ( $options[ $name ] ?? null ) && false !== strpos( $parameter['token'], '=' ) ) {
				\WP_CLI::warning( "--$name parameter needs a value" );
				unset( $options[ $name ] );
			}
			if ( ! isset( $options[ $name ] ) && null !== $parameter['default'] ) {
				$options[ $name ] = $parameter['default'];
			}
			$choices = $parameter['options'];
			if ( isset( $options[ $name ] ) && array() !== $choices && ! in_array( $options[ $name ], $choices, true ) ) {
				$errors[] = sprintf( "Invalid value specified for '%s' (%s)", $name, $parameter['text'] );
			}
		}
		if ( count( $args ) < $least ) {
			\WP_CLI::line( "usage: wp $command " . implode( ' ', array_column( $synopsis, 'token' ) ) );
			\WP_CLI::halt( 1 );
		}
		if ( count( $args ) > $most ) {
			\WP_CLI::error( 'Too many positional arguments: ' . implode( ' ', array_slice( $args, $most ) ) );
		}
		$unknown = $takes_any ? array() : array_diff( array_keys( $options ), array_column( $synopsis, 'name' ) );
		foreach ( $unknown as $name ) {
			$errors[] = "unknown --$name parameter";
		}
		if ( array() !== $errors ) {
			\WP_CLI::error( "Parameter errors:\n " . implode( "\n ", $errors ) );
		}
		return $options;
	}
}
