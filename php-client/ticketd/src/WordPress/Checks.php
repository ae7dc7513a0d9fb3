<?php
/**
 * The checks.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Breaker;
use Ticketd\Client\Connection;
use Ticketd\Client\ExtCodec;
use Ticketd\Client\Spool;

defined( 'ABSPATH' ) || exit;

/**
 * The only list of checks: what ticketd needs on this site, and what to do if something is missing. `wp ticketd
 * doctor`, Site Health, and the status screen with its notices show the findings.
 *
 * A finding has `check` (its name), `area` (the test of Site Health that it belongs to), `state` (`good`, `unknown`,
 * `warning`: advice, or `error`: it must be acted on), `title` (in short; empty where it is good) and `message`.
 */
final class Checks {

	/**
	 * The daemon's state.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * The findings so far.
	 *
	 * @var array[]
	 */
	private array $findings = array();

	/**
	 * Takes the parts.
	 *
	 * @param Health   $health   The daemon's state.
	 * @param Settings $settings The settings.
	 */
	public function __construct( Health $health, Settings $settings ) {
		$this->health   = $health;
		$this->settings = $settings;
	}

	/**
	 * Checks everything.
	 *
	 * @return array{check: string, area: string, state: string, title: string, message: string}[]
	 */
	public function all(): array {
		$this->findings = array();
		$this->check_php();
		$this->check_table();
		$this->check_socket();
		$this->check_daemon();
		$this->check_spool();
		$this->check_cron();
		$this->check_drop_in();
		$this->check_metadata();
		$this->check_secret();
		$this->check_feed();
		return $this->findings;
	}

	/**
	 * The findings for notices on other pages: errors and warnings of the daemon's status and of the guide's functions.
	 *
	 * @return array<int, array{0: string, 1: string}> Pairs of `error` or `warning`, and the message.
	 */
	public function alerts(): array {
		$this->findings = array();
		$this->check_functions();
		if ( ! $this->findings ) {
			$this->check_daemon();
		}
		$this->check_drop_in();
		$alerts = array();
		foreach ( $this->findings as $finding ) {
			if ( in_array( $finding['state'], array( 'error', 'warning' ), true ) ) {
				$alerts[] = array( $finding['state'], $finding['message'] );
			}
		}
		return $alerts;
	}

	/**
	 * Checks PHP.
	 */
	private function check_php(): void {
		$text = 'PHP ' . PHP_VERSION . ', ' . ( 8 * PHP_INT_SIZE ) . ' bit';
		if ( PHP_INT_SIZE < 8 ) {
			$this->add( 'php', 'site', 'error', __( 'PHP has 32 bits', 'ticketd' ), $text );
		} else {
			$this->good( 'php', 'site', $text );
		}
		$text = ExtCodec::is_available()
			? __( 'The msgpack extension is used.', 'ticketd' )
			: __( 'The msgpack extension is not loaded; the plugin works without it, a little slower.', 'ticketd' );
		$this->good( 'msgpack', 'site', $text );
		$this->check_functions();
	}

	/**
	 * Checks that the host has switched off no function that ticketd needs.
	 */
	private function check_functions(): void {
		$lacks = Connection::lacks( array_merge( Connection::NEEDS, Breaker::NEEDS ) );
		if ( '' !== $lacks ) {
			$title = __( 'PHP lacks functions that ticketd needs', 'ticketd' );
			/* translators: %s: the reason */
			$text = sprintf( __( 'ticketd does not work fully on this host: %s', 'ticketd' ), $lacks );
			$this->add( 'functions', 'site', 'error', $title, $text );
		}
	}

	/**
	 * Checks the tickets table.
	 */
	private function check_table(): void {
		$name  = $this->settings->table();
		$error = get_option( Installer::ERROR_OPTION );
		$title = __( 'The tickets table is not usable', 'ticketd' );
		if ( $error ) {
			$this->add( 'table', 'table', 'error', $title, (string) $error );
		} elseif ( Table::is_adopted( $name ) ) {
			$this->good( 'table', 'table', self::adopted( $name ) );
		} elseif ( null === Table::describe( $name ) ) {
			/* translators: %s: name of a table */
			$text = __(
				'The database has no table %s with ticket_id and revision: activate the plugin again.',
				'ticketd'
			);
			$this->add( 'table', 'table', 'error', $title, sprintf( $text, $name ) );
		} else {
			/* translators: %s: name of a table */
			$this->good( 'table', 'table', sprintf( __( 'Tickets table: %s', 'ticketd' ), $name ) );
		}
		if ( null === Database::rows( "SELECT 1 FROM `{$name}_seq` WHERE `id` = 1" ) ) {
			/* translators: %s: name of a table */
			$text  = __( 'There is no table %s_seq: PHP cannot create tickets if ticketd is unreachable.', 'ticketd' );
			$title = __( 'The table of ticket ids is missing', 'ticketd' );
			$this->add( 'sequence', 'table', 'error', $title, sprintf( $text, $name ) );
		}
	}

	/**
	 * The message about a table that ticketd did not make.
	 *
	 * @param string $name The name.
	 */
	public static function adopted( string $name ): string {
		$text = null === Table::describe( $name )
			/* translators: %s: name of a table */
			? __( 'Another plugin made the table %s. Its tickets cannot be read if ticketd is unreachable.', 'ticketd' )
			/* translators: %s: name of a table */
			: __( 'Another plugin made the table %s. ticketd does not alter it.', 'ticketd' );
		return sprintf( $text, $name );
	}

	/**
	 * Checks the socket.
	 */
	private function check_socket(): void {
		$path = $this->settings->socket();
		clearstatcache( true, $path );
		if ( ! file_exists( $path ) ) {
			/* translators: %s: path of a socket */
			$text  = __( 'There is no socket %s, or PHP may not look into its folder. Start ticketd.', 'ticketd' );
			$title = __( 'ticketd has no socket', 'ticketd' );
			$this->add( 'socket', 'connection', 'error', $title, sprintf( $text, $path ) );
		} elseif ( ! wp_is_writable( $path ) ) {
			/* translators: %s: path of a socket */
			$text  = __( 'PHP may not use the socket %s: add its user to the socket\'s group.', 'ticketd' );
			$title = __( 'PHP may not use the socket', 'ticketd' );
			$this->add( 'socket', 'connection', 'error', $title, sprintf( $text, $path ) );
		} else {
			/* translators: %s: path of a socket */
			$this->good( 'socket', 'connection', sprintf( __( 'Socket: %s', 'ticketd' ), $path ) );
		}
	}

	/**
	 * Checks the daemon's status.
	 */
	private function check_daemon(): void {
		$status = $this->health->status();
		if ( is_wp_error( $status ) && 'ticketd_forbidden' === $status->get_error_code() ) {
			/* translators: %s: the reason */
			$text = __( 'ticketd refuses to serve this site; its tickets are neither read nor changed: %s', 'ticketd' );
			$text = sprintf( $text, Format::masked( $status->get_error_message() ) );
			$this->add( 'daemon', 'connection', 'error', __( 'ticketd does not serve this site', 'ticketd' ), $text );
			return;
		}
		if ( is_wp_error( $status ) ) {
			/* translators: %s: the reason */
			$text = __( 'ticketd does not answer; changes of tickets stay in the spool until it does: %s', 'ticketd' );
			$text = sprintf( $text, Format::masked( $status->get_error_message() ) );
			$this->add( 'daemon', 'connection', 'error', __( 'ticketd does not answer', 'ticketd' ), $text );
			return;
		}
		/* translators: 1: version, 2: name of a site, 3: name of a strategy */
		$text = __( 'ticketd %1$s, site %2$s, strategy %3$s', 'ticketd' );
		$text = sprintf( $text, $status['version'], $status['site'], $status['strategy'] );
		$this->good( 'daemon', 'connection', $text );
		$this->check_store( $status['store'] );
		$this->check_sink( $status );
		$this->check_dead( $status['dead'] );
		$this->check_set_aside( $status['spool']['bad'] );
		foreach ( $status['warnings'] as $warning ) {
			$title = __( 'ticketd has warnings', 'ticketd' );
			$text  = ucfirst( rtrim( Format::masked( (string) $warning ), '.' ) ) . '.'; // The log's form has no end.
			$this->add( 'warning', 'store', 'warning', $title, $text );
		}
	}

	/**
	 * Checks the store of changes.
	 *
	 * @param array $store The store's part of the status.
	 */
	private function check_store( array $store ): void {
		if ( 'up' === $store['state'] ) {
			/* translators: %s: a state, e.g. "up for 5 mins" */
			$this->good( 'store', 'store', sprintf( __( 'Store: %s', 'ticketd' ), Format::place( $store ) ) );
			return;
		}
		/* translators: 1: a time, e.g. "5 mins", 2: the reason */
		$text  = __( 'The store of pending changes has been unreachable for %1$s: %2$s', 'ticketd' );
		$text  = self::filled( $text, $store );
		$title = __( 'The store of pending changes is unreachable', 'ticketd' );
		$this->add( 'store', 'store', 'error', $title, $text );
	}

	/**
	 * Checks the database as the daemon sees it, and the lag of its flushes. The lag is only checked while the
	 * database is up.
	 *
	 * @param array $status The status.
	 */
	private function check_sink( array $status ): void {
		$sink  = $status['sink'];
		$state = $sink['state'];
		if ( 'paused' === $state ) {
			/* translators: 1: a time, e.g. "5 mins", 2: the reason */
			$text = self::filled( __( 'The tickets table has not been usable for %1$s: %2$s', 'ticketd' ), $sink );
			$this->add( 'sink', 'table', 'error', __( 'The tickets table is not usable', 'ticketd' ), $text );
		} elseif ( 'down' === $state ) {
			/* translators: 1: a time, e.g. "5 mins", 2: the reason */
			$text = self::filled( __( 'The database has been unreachable for %1$s: %2$s', 'ticketd' ), $sink );
			$this->add( 'sink', 'lag', 'error', __( 'The database is unreachable', 'ticketd' ), $text );
		} elseif ( 'up' !== $state ) {
			$title = __( 'ticketd has not reached the database yet', 'ticketd' );
			$this->add( 'sink', 'lag', 'unknown', $title, self::database( $sink ) );
		} else {
			$this->good( 'sink', 'lag', self::database( $sink ) );
		}
		/* translators: 1: number of tickets, 2: a time, e.g. "5 mins" */
		$text    = __( 'Pending tickets: %1$s; lag: %2$s.', 'ticketd' );
		$text    = sprintf(
			$text,
			number_format_i18n( $status['dirty'] ),
			Format::duration( $status['oldest_dirty_ms'] )
		);
		$is_late = $status['oldest_dirty_ms'] >= 1000 * $this->overdue_seconds();
		if ( $is_late && ! in_array( $state, array( 'down', 'paused' ), true ) ) {
			$this->add( 'pending', 'lag', 'error', __( 'Pending changes of tickets are overdue', 'ticketd' ), $text );
		} else {
			$this->good( 'pending', 'lag', $text );
		}
	}

	/**
	 * The state of the database.
	 *
	 * @param array $sink The database's part of the status.
	 */
	private static function database( array $sink ): string {
		/* translators: %s: a state, e.g. "up for 5 mins" */
		return sprintf( __( 'Database: %s', 'ticketd' ), Format::place( $sink ) );
	}

	/**
	 * Lag from which pending changes are overdue, in seconds.
	 */
	private function overdue_seconds(): int {
		/**
		 * Filters the lag from which pending changes are reported as overdue. The lag should be above the strategy's
		 * delay.
		 *
		 * @param int $seconds The lag in seconds: the setting `overdue_seconds`.
		 */
		return (int) apply_filters( 'ticketd_lag_seconds', $this->settings->overdue_seconds() );
	}

	/**
	 * Checks the dead letters.
	 *
	 * @param int $dead How many there are.
	 */
	private function check_dead( int $dead ): void {
		if ( 0 === $dead ) {
			$this->good( 'dead', 'lag', __( 'Dead letters: 0', 'ticketd' ) );
			return;
		}
		/* translators: %s: number of tickets */
		$text = _n(
			'The database rejects the changes of %s ticket. Retry or drop this dead letter.',
			'The database rejects the changes of %s tickets. Retry or drop these dead letters.',
			$dead,
			'ticketd'
		);
		$text = sprintf( $text, number_format_i18n( $dead ) );
		$this->add( 'dead', 'lag', 'error', __( 'There are dead letters', 'ticketd' ), $text );
	}

	/**
	 * Checks for files of the spool that could not be ingested.
	 *
	 * @param int $bad How many there are.
	 */
	private function check_set_aside( int $bad ): void {
		if ( $bad > 0 ) {
			/* translators: %s: number of changes */
			$text = _n(
				'%s spooled change was rejected; its file and the reason are in the spool\'s folder "bad".',
				'%s spooled changes were rejected; their files and the reasons are in the spool\'s folder "bad".',
				$bad,
				'ticketd'
			);
			$text = sprintf( $text, number_format_i18n( $bad ) );
			$this->add( 'rejected', 'spool', 'error', __( 'Spooled changes were rejected', 'ticketd' ), $text );
		}
	}

	/**
	 * Checks the spool folder.
	 */
	private function check_spool(): void {
		$spool = new Spool( $this->settings->spool() );
		$title = __( 'PHP cannot spool changes of tickets', 'ticketd' );
		if ( '' === $this->settings->spool() ) {
			$text = __( 'No spool folder is set: changes fail while the daemon is unreachable.', 'ticketd' );
			$this->add( 'spool', 'spool', 'warning', $title, $text );
		} elseif ( ! $spool->exists() || ! wp_is_writable( $spool->folder() ) ) {
			$this->add( 'spool', 'spool', 'error', $title, self::no_spool( $spool ) );
		} elseif ( $spool->strangers() > 0 ) {
			/* translators: 1: number of files, 2: path of a folder */
			$text = __( 'Files of other users in %2$s: %1$d. PHP does not read them; remove them.', 'ticketd' );
			$text = sprintf( $text, $spool->strangers(), $spool->folder() );
			$this->add( 'spool', 'spool', 'error', __( 'Another user writes to the spool', 'ticketd' ), $text );
		} else {
			/* translators: %s: path of a folder */
			$this->good( 'spool', 'spool', sprintf( __( 'Spool folder: %s', 'ticketd' ), $spool->folder() ) );
		}
	}

	/**
	 * The message that PHP cannot spool.
	 *
	 * @param Spool $spool The spool.
	 */
	private static function no_spool( Spool $spool ): string {
		if ( '' === $spool->folder() ) {
			return __( 'PHP cannot find out its own user: install the posix extension.', 'ticketd' );
		}
		return sprintf(
			/* translators: %s: path of a folder */
			__( 'The spool folder %s is missing, or does not belong to the user as which PHP runs.', 'ticketd' ),
			$spool->folder()
		) . ' ' . __( 'Changes fail while the daemon is unreachable.', 'ticketd' ) . ' '
			. __( 'Name that user in allow_users, then run "ticketd spool prepare" as root.', 'ticketd' );
	}

	/**
	 * Checks the watchdog.
	 */
	private function check_cron(): void {
		$report = get_option( Watchdog::OPTION );
		$next   = wp_next_scheduled( Watchdog::HOOK );
		if ( ! is_array( $report ) && false !== $next && time() - $next < HOUR_IN_SECONDS ) {
			$title = __( 'The watchdog of ticketd has not run yet', 'ticketd' );
			$text  = __( 'WP-Cron has not run the watchdog yet.', 'ticketd' );
			$this->add( 'watchdog', 'site', 'unknown', $title, $text );
		} elseif ( ! is_array( $report ) || time() - $report['time'] > HOUR_IN_SECONDS ) {
			$text = __( 'WP-Cron has not run the watchdog within the last hour.', 'ticketd' );
			$this->add( 'watchdog', 'site', 'warning', __( 'The watchdog of ticketd does not run', 'ticketd' ), $text );
		} elseif ( 'failed' === $report['state'] ) {
			$title = __( 'The watchdog of ticketd could not flush', 'ticketd' );
			$this->add( 'watchdog', 'site', 'error', $title, (string) $report['message'] );
		} else {
			/* translators: %s: ok, flushed, or away */
			$this->good( 'watchdog', 'site', sprintf( __( 'Watchdog: %s', 'ticketd' ), $report['state'] ) );
		}
	}

	/**
	 * Checks the feed's destinations and the history, where the site has them.
	 */
	private function check_feed(): void {
		$feed = $this->health->feed();
		if ( null === $feed || is_wp_error( $feed ) ) {
			return; // What is not there needs no check, and another check says that the daemon does not answer.
		}
		foreach ( $feed['destinations'] as $destination ) {
			$this->check_destination( $destination );
		}
		if ( $feed['history']['enabled'] ) {
			/* translators: 1: number of changes, 2: a size, e.g. "12 KB" */
			$text = __( 'Changes in the history: about %1$s (%2$s).', 'ticketd' );
			$text = sprintf(
				$text,
				number_format_i18n( $feed['history']['rows'] ),
				Format::size( $feed['history']['bytes'] )
			);
			$this->good( 'history', 'feed', $text );
		}
	}

	/**
	 * Checks a destination of the feed.
	 *
	 * @param array $destination The destination.
	 */
	private function check_destination( array $destination ): void {
		$name  = 'feed-' . $destination['name'];
		$title = __( 'A destination of the change feed does not get its events', 'ticketd' );
		/* translators: 1: name of a destination, 2: its state and lag */
		$text    = sprintf( __( '%1$s: %2$s', 'ticketd' ), $destination['name'], Format::destination( $destination ) );
		$is_late = $destination['lag_ms'] >= 1000 * $this->overdue_seconds();
		if ( 'paused' === $destination['state'] || $is_late ) {
			$this->add( $name, 'feed', 'error', $title, $text );
		} elseif ( in_array( $destination['state'], array( 'stopped', 'retrying' ), true ) ) {
			$this->add( $name, 'feed', 'warning', $title, $text );
		} elseif ( $destination['letters'] > 0 || $destination['gaps'] > 0 ) {
			$title = __( 'A destination of the change feed has missed events', 'ticketd' );
			/* translators: 1, 2: commands */
			$more = __( 'See "%1$s" and "%2$s".', 'ticketd' );
			$more = sprintf(
				$more,
				'ticketd feed dead list ' . $destination['name'],
				'ticketd feed snapshot ' . $destination['name']
			);
			$this->add( $name, 'feed', 'warning', $title, "$text $more" );
		} else {
			$this->good( $name, 'feed', $text );
		}
	}

	/**
	 * Checks the secret of the feed's webhook.
	 */
	private function check_secret(): void {
		$name = Feed\Webhook::CONSTANT;
		if ( defined( $name ) && null === Feed\Webhook::keys( constant( $name ) ) ) {
			$title = __( 'The feed\'s webhook is off', 'ticketd' );
			/* translators: %s: name of a constant */
			$text = __( '%s must be whsec_ and 24 to 64 bytes in base64: use "ticketd feed secret".', 'ticketd' );
			$this->add( 'feed-secret', 'site', 'error', $title, sprintf( $text, $name ) );
		}
	}

	/**
	 * Checks the functions of the guide.
	 */
	private function check_drop_in(): void {
		if ( ! DropIn::is_wanted() ) {
			return;
		}
		$problem = DropIn::problem();
		if ( '' !== $problem ) {
			$title = __( 'The functions of the guide belong to another plugin', 'ticketd' );
			$this->add( 'drop-in', 'site', 'error', $title, $problem );
		} else {
			$this->good( 'drop-in', 'site', __( 'The functions of the guide are ticketd\'s.', 'ticketd' ) );
		}
	}

	/**
	 * Checks the metadata that ticketd takes.
	 */
	private function check_metadata(): void {
		$descriptions = Meta\Adapter::descriptions();
		if ( array() === $descriptions ) {
			return;
		}
		if ( ! Meta\Loader::is_installed() ) {
			$title = __( 'The loader for metadata is missing', 'ticketd' );
			/* translators: %s: path of a file */
			$text = __( 'Processes without %s show and cache old metadata. Run "wp ticketd meta install".', 'ticketd' );
			$this->add( 'metadata', 'site', 'error', $title, sprintf( $text, Meta\Loader::path() ) );
			return;
		}
		$problems = Meta\Adapter::instance()->refresh();
		if ( array() !== $problems ) {
			$title = __( 'The keys of the metadata cannot be compared with the daemon\'s', 'ticketd' );
			$this->add( 'metadata', 'site', 'warning', $title, implode( ' ', $problems ) );
			return;
		}
		$keys = array();
		foreach ( Meta\Adapter::descriptions() as $description ) {
			$keys = array_merge( $keys, array_values( $description['keys'] ) );
		}
		/* translators: %s: names of keys */
		$text = __( 'ticketd takes this metadata: %s', 'ticketd' );
		$this->good( 'metadata', 'site', sprintf( $text, implode( ', ', $keys ) ) );
	}

	/**
	 * A text about a place.
	 *
	 * @param string $text  The text, with places for time and reason.
	 * @param array  $place The place.
	 */
	private static function filled( string $text, array $place ): string {
		return sprintf( $text, Format::duration( $place['since_ms'] ), Format::masked( $place['reason'] ) );
	}

	/**
	 * Adds a finding that needs no action.
	 *
	 * @param string $check   The check's name.
	 * @param string $area    The test of Site Health.
	 * @param string $message The finding.
	 */
	private function good( string $check, string $area, string $message ): void {
		$this->add( $check, $area, 'good', '', $message );
	}

	/**
	 * Adds a finding.
	 *
	 * @param string $check   The check's name.
	 * @param string $area    The test of Site Health.
	 * @param string $state   `good`, `unknown`, `warning` or `error`.
	 * @param string $title   The finding in short.
	 * @param string $message The finding, and the operator's action.
	 */
	private function add( string $check, string $area, string $state, string $title, string $message ): void {
		$this->findings[] = array(
			'check'   => $check,
			'area'    => $area,
			'state'   => $state,
			'title'   => $title,
			'message' => $message,
		);
	}
}
