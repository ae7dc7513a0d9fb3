<?php
/**
 * Examines a site.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\ExtCodec;
use Ticketd\Client\Spool;

defined( 'ABSPATH' ) || exit;

/**
 * Looks at everything that ticketd needs on this site, and says what to do where it is not as it should be.
 */
final class Doctor {

	/**
	 * What calls the daemon.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * What was found so far.
	 *
	 * @var array[]
	 */
	private array $findings = array();

	/**
	 * Takes what it works with.
	 *
	 * @param Api      $api      What calls the daemon.
	 * @param Settings $settings The settings.
	 */
	public function __construct( Api $api, Settings $settings ) {
		$this->api      = $api;
		$this->settings = $settings;
	}

	/**
	 * Examines the site.
	 *
	 * @return array{check: string, state: string, message: string}[] `state` is `good`, `warning` or `error`.
	 */
	public function examine(): array {
		$this->findings = array();
		$this->examine_php();
		$this->examine_table();
		$this->examine_socket();
		$this->examine_daemon();
		$this->examine_spool();
		$this->examine_cron();
		$this->examine_drop_in();
		return $this->findings;
	}

	/**
	 * Examines PHP.
	 */
	private function examine_php(): void {
		$this->add( 'php', PHP_INT_SIZE < 8 ? 'error' : 'good', PHP_VERSION . ', ' . ( 8 * PHP_INT_SIZE ) . ' bit' );
		$text = ExtCodec::is_available()
			? __( 'The msgpack extension is used.', 'ticketd' )
			: __( 'The msgpack extension is not loaded; the plugin works without it, a little slower.', 'ticketd' );
		$this->add( 'msgpack', 'good', $text );
	}

	/**
	 * Examines the tickets table.
	 */
	private function examine_table(): void {
		$name  = $this->settings->table();
		$error = get_option( Installer::ERROR_OPTION );
		if ( $error ) {
			$this->add( 'table', 'error', $error );
		} elseif ( Table::is_adopted( $name ) ) {
			$this->add( 'table', 'good', self::adopted( $name ) );
		} elseif ( null === Table::describe( $name ) ) {
			/* translators: %s: name of a table */
			$text = __(
				'The database has no table %s with ticket_id and revision: activate the plugin again.',
				'ticketd'
			);
			$this->add( 'table', 'error', sprintf( $text, $name ) );
		} else {
			$this->add( 'table', 'good', $name );
		}
		if ( null === Database::rows( "SELECT 1 FROM `{$name}_seq` WHERE `id` = 1" ) ) {
			/* translators: %s: name of a table */
			$text = __( 'There is no table %s_seq: no tickets can be made while the daemon is away.', 'ticketd' );
			$this->add( 'sequence', 'warning', sprintf( $text, $name ) );
		}
	}

	/**
	 * What there is to say of a table that ticketd did not make.
	 *
	 * @param string $name Its name.
	 */
	public static function adopted( string $name ): string {
		$text = null === Table::describe( $name )
			/* translators: %s: name of a table */
			? __( 'Another plugin made the table %s. While ticketd is away its tickets cannot be read.', 'ticketd' )
			/* translators: %s: name of a table */
			: __( 'Another plugin made the table %s. ticketd does not alter it.', 'ticketd' );
		return sprintf( $text, $name );
	}

	/**
	 * Examines the socket.
	 */
	private function examine_socket(): void {
		$path = $this->settings->socket();
		if ( ! file_exists( $path ) ) {
			/* translators: %s: path of a socket */
			$text = __( 'There is no %s, or this user may not look into its folder. Start ticketd.', 'ticketd' );
			$this->add( 'socket', 'error', sprintf( $text, $path ) );
			// phpcs:ignore WordPress.WP.AlternativeFunctions -- It is a socket.
		} elseif ( ! is_writable( $path ) ) {
			/* translators: %s: path of a socket */
			$text = __( 'This user may not use %s: add it to the socket\'s group.', 'ticketd' );
			$this->add( 'socket', 'error', sprintf( $text, $path ) );
		} else {
			$this->add( 'socket', 'good', $path );
		}
	}

	/**
	 * Examines the daemon.
	 */
	private function examine_daemon(): void {
		$status = $this->api->status();
		if ( is_wp_error( $status ) ) {
			$this->add( 'daemon', 'error', $status->get_error_message() );
			return;
		}
		$text = sprintf( '%s, %s, %s', $status['version'] ?? '?', $status['site'] ?? '?', $status['strategy'] ?? '?' );
		$this->add( 'daemon', 'good', $text );
		foreach ( array( 'store', 'sink' ) as $place ) {
			$state   = $status[ $place ]['state'] ?? 'unknown';
			$reason  = (string) ( $status[ $place ]['reason'] ?? '' );
			$verdict = array(
				'up'      => 'good',
				'unknown' => 'warning',
			);
			$this->add( $place, $verdict[ $state ] ?? 'error', trim( $state . ' ' . $reason ) );
		}
		$oldest_ms = (int) ( $status['oldest_dirty_ms'] ?? 0 );
		$is_late   = $oldest_ms >= $this->settings->overdue_seconds() * 1000;
		/* translators: 1: number of tickets, 2: number of seconds */
		$text = __( '%1$d tickets wait, the oldest for %2$d seconds.', 'ticketd' );
		$text = sprintf( $text, $status['dirty'] ?? 0, intdiv( $oldest_ms, 1000 ) );
		$this->add( 'waiting', $is_late ? 'error' : 'good', $text );
		$dead = (int) ( $status['dead'] ?? 0 );
		/* translators: %d: number of tickets */
		$text = _n(
			'MySQL refuses %d ticket: see wp ticketd dead list.',
			'MySQL refuses %d tickets: see wp ticketd dead list.',
			$dead,
			'ticketd'
		);
		$this->add( 'dead', $dead > 0 ? 'warning' : 'good', $dead > 0 ? sprintf( $text, $dead ) : '0' );
		foreach ( (array) ( $status['warnings'] ?? array() ) as $warning ) {
			$this->add( 'warning', 'warning', (string) $warning );
		}
		$bad = (int) ( $status['spool']['bad'] ?? 0 );
		if ( $bad > 0 ) {
			/* translators: %d: number of files */
			$text = __( '%d changes could not be used; see the folder bad in the spool.', 'ticketd' );
			$this->add( 'spool', 'warning', sprintf( $text, $bad ) );
		}
	}

	/**
	 * Examines the spool folder.
	 */
	private function examine_spool(): void {
		$spool = new Spool( $this->settings->spool() );
		if ( '' === $this->settings->spool() ) {
			$text = __( 'No spool folder is set: changes fail while the daemon is away.', 'ticketd' );
			$this->add( 'spool', 'warning', $text );
			// phpcs:ignore WordPress.WP.AlternativeFunctions -- WP_Filesystem may be another user's.
		} elseif ( ! $spool->exists() || ! is_writable( $spool->folder() ) ) {
			$this->add( 'spool', 'warning', self::no_spool( $spool ) );
		} elseif ( $spool->strangers() > 0 ) {
			/* translators: 1: number of files, 2: path of a folder */
			$text = __( '%1$d files in %2$s belong to other users. They are not read; remove them.', 'ticketd' );
			$this->add( 'spool', 'warning', sprintf( $text, $spool->strangers(), $spool->folder() ) );
		} else {
			$this->add( 'spool', 'good', $spool->folder() );
		}
	}

	/**
	 * Says that changes of this user cannot wait, and what to do.
	 *
	 * @param Spool $spool The spool.
	 */
	public static function no_spool( Spool $spool ): string {
		if ( '' === $spool->folder() ) {
			return __( 'PHP cannot tell as which user it runs: install the posix extension.', 'ticketd' );
		}
		return sprintf(
			/* translators: %s: path of a folder */
			__(
				'The spool folder %s is missing, or is not the own folder of the user as which PHP runs: changes fail '
				. 'while the daemon is away. Name that user in allow_users, then run "ticketd spool prepare" as root.',
				'ticketd'
			),
			$spool->folder()
		);
	}

	/**
	 * Examines the watchdog.
	 */
	private function examine_cron(): void {
		$report = get_option( Watchdog::OPTION );
		$age    = is_array( $report ) ? time() - $report['time'] : null;
		if ( null === $age || $age > HOUR_IN_SECONDS ) {
			$text = __( 'WP-Cron has not run the watchdog within the last hour.', 'ticketd' );
			$this->add( 'watchdog', 'warning', $text );
		} else {
			$this->add( 'watchdog', 'failed' === $report['state'] ? 'error' : 'good', $report['state'] );
		}
	}

	/**
	 * Examines the functions of the guide.
	 */
	private function examine_drop_in(): void {
		if ( DropIn::is_wanted() ) {
			$problem = DropIn::problem();
			$good    = __( 'The functions of the guide are ticketd\'s.', 'ticketd' );
			$this->add( 'drop-in', '' === $problem ? 'good' : 'warning', '' === $problem ? $good : $problem );
		}
	}

	/**
	 * Adds a finding.
	 *
	 * @param string $check   What was looked at.
	 * @param string $state   `good`, `warning` or `error`.
	 * @param string $message What was found, and what to do.
	 */
	private function add( string $check, string $state, string $message ): void {
		$this->findings[] = compact( 'check', 'state', 'message' );
	}
}
