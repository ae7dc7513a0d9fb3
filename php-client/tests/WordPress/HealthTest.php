<?php
/**
 * How the screens show the daemon's status.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\MariaDb;
use Ticketd\Tests\Support\Peer;
use Ticketd\WordPress\Admin\Operations;
use Ticketd\WordPress\Admin\SiteHealth;
use Ticketd\WordPress\Admin\StatusScreen;
use Ticketd\WordPress\Admin\StatusTable;
use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Cli\Operations as Cli;
use Ticketd\WordPress\Format;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Watchdog;

/**
 * Alerts only if an action is needed, no secrets on the screens, and support for an older daemon's status.
 */
final class HealthTest extends SiteTestCase {

	/** A daemon that is well. */
	private const WELL = array(
		'version'         => '1.0.0',
		'backend'         => 'redis',
		'dirty'           => 17,
		'oldest_dirty_ms' => 180,
		'store'           => array( 'state' => 'up', 'since_ms' => 1000, 'reason' => '' ),
		'sink'            => array( 'state' => 'up', 'since_ms' => 1000, 'reason' => '' ),
	);

	/**
	 * The checks of a new request.
	 */
	private static function checks(): Checks {
		return new Checks( new Health( Plugin::instance()->api() ), new Settings() );
	}

	/**
	 * Statuses, and the expected findings.
	 */
	public static function statuses(): array {
		$down = array( 'state' => 'down', 'since_ms' => 5000, 'reason' => 'dial app:secret@tcp(db:3306): refused' );
		return array(
			'well'       => array( array(), array() ),
			'lag'        => array( array( 'oldest_dirty_ms' => 901000 ), array( 'error' => 'Pending tickets: 17; lag: 15 mins.' ) ),
			'dead'       => array( array( 'dead' => 2 ), array( 'error' => 'rejects the changes of 2 tickets' ) ),
			'set aside'  => array( array( 'spool' => array( 'bad' => 1 ) ), array( 'error' => '1 spooled change was rejected' ) ),
			'a warning'  => array( array( 'warnings' => array( 'Redis may evict' ) ), array( 'warning' => 'Redis may evict' ) ),
			'store down' => array( array( 'store' => $down ), array( 'error' => 'unreachable for 5.0 s: dial ***:***@tcp(db:3306): refused' ) ),
			'sink down'  => array( array( 'sink' => $down, 'oldest_dirty_ms' => 901000 ), array( 'error' => 'database has been unreachable' ) ),
			'paused'     => array( array( 'sink' => array( 'state' => 'paused' ) + $down ), array( 'error' => 'tickets table has not been usable' ) ),
		);
	}

	/**
	 * Each finding is shown once, and no others.
	 *
	 * @dataProvider statuses
	 * @param array $status What differs from a daemon that is well.
	 * @param array $alerts Parts of the alerts by kind.
	 */
	public function test_alerts( array $status, array $alerts ): void {
		$this->daemon( array( null, $status + self::WELL ) );
		$found = self::checks()->alerts();
		$this->assertSame( array_keys( $alerts ), array_column( $found, 0 ) );
		foreach ( array_values( $alerts ) as $index => $part ) {
			$this->assertStringContainsString( $part, $found[ $index ][1] );
			$this->assertStringNotContainsString( 'secret', $found[ $index ][1] );
		}
	}

	/**
	 * Doctor, Site Health and the status screen show all findings of the same list.
	 *
	 * @dataProvider statuses
	 * @param array $status What differs from a daemon that is well.
	 */
	public function test_three_places_show_one_list( array $status ): void {
		$this->daemon( array( null, $status + self::WELL ), array( null, $status + self::WELL ) );
		$health   = new Health( Plugin::instance()->api() );
		$checks   = new Checks( $health, new Settings() );
		$findings = $checks->all();

		foreach ( array( 'wp-cli', 'WP_CLI', 'Formatter' ) as $file ) {
			require_once __DIR__ . "/../Support/$file.php";
		}
		\WP_CLI::$printed = array();
		try {
			( new Cli( Plugin::instance()->api(), new Settings() ) )->doctor( array(), array() );
		} catch ( \RuntimeException $failure ) {
			$this->assertContains( 'error', array_column( $findings, 'state' ), $failure->getMessage() );
		}
		$this->assertSame( array_column( $findings, 'message' ), array_column( \WP_CLI::$printed[0][1], 'message' ) );

		$descriptions = '';
		foreach ( ( new SiteHealth( $checks, $health ) )->add_tests( array() )['direct'] as $test ) {
			$result        = $test['test']();
			$descriptions .= $result['description'];
			$this->assertNotSame( '', $result['label'] );
		}
		ob_start();
		$show = new \ReflectionMethod( StatusScreen::class, 'show_checks' );
		$show->setAccessible( true );
		$show->invoke( new StatusScreen( $health, $checks ) );
		$screen = (string) ob_get_clean();
		foreach ( $findings as $finding ) {
			$this->assertSame( 1, substr_count( $descriptions, '<p>' . esc_html( $finding['message'] ) . '</p>' ), $finding['message'] );
			$this->assertStringContainsString( '<td>' . esc_html( $finding['message'] ) . '</td>', $screen );
		}
	}

	/**
	 * `wp ticketd doctor` fails on what must be acted on: a spool that PHP cannot use. It does not fail on advice, nor
	 * because WP-Cron has not come round yet.
	 */
	public function test_doctor_fails_on_what_must_be_acted_on(): void {
		require_once __DIR__ . '/../Support/wp-cli.php';
		require_once __DIR__ . '/../Support/WP_CLI.php';
		require_once __DIR__ . '/../Support/Formatter.php';
		$GLOBALS['wpdb'] = MariaDb::wpdb();
		$cron            = static function ( int $next ): void {
			remove_all_filters( 'pre_option_cron' );
			$event = array( 'schedule' => 'ticketd', 'args' => array(), 'interval' => 300 );
			add_filter( 'pre_option_cron', fn() => array( 'version' => 2, $next => array( Watchdog::HOOK => array( md5( serialize( array() ) ) => $event ) ) ) );
		};
		$doctor          = function (): array {
			\WP_CLI::$printed = array();
			$this->daemon( array( null, array( 'warnings' => array( 'advice' ) ) + self::WELL ) );
			try {
				( new Cli( Plugin::instance()->api(), new Settings() ) )->doctor( array(), array() );
				$failed = '';
			} catch ( \RuntimeException $failure ) {
				$failed = $failure->getMessage();
			}
			return array( $failed, array_column( \WP_CLI::$printed[0][1], 'state', 'check' ) );
		};
		$cron( time() + 300 );
		list( $failed, $states ) = $doctor();
		$this->assertSame( array( '', 'warning', 'warning', 'unknown' ), array( $failed, $states['warning'], $states['spool'], $states['watchdog'] ), 'no spool is set' );
		$cron( time() - HOUR_IN_SECONDS );
		$this->assertSame( array( '', 'warning' ), array( $failed, $doctor()[1]['watchdog'] ) );
		add_filter( 'ticketd_spool', fn() => '/nowhere' );
		list( $failed, $states ) = $doctor();
		$this->assertSame( array( '1 check failed.', 'error' ), array( $failed, $states['spool'] ) );
		remove_all_filters( 'pre_option_cron' );
	}

	/**
	 * A daemon that is away is the only alert.
	 */
	public function test_an_absent_daemon_is_an_alert(): void {
		$found = self::checks()->alerts();
		$this->assertSame( array( 'error' ), array_column( $found, 0 ) );
	}

	/**
	 * A daemon that serves another shop's table is an alert, and Site Health is red: the other shop's health says
	 * nothing.
	 */
	public function test_another_shops_daemon_is_an_alert(): void {
		$refusal = Peer::error( 'forbidden' );
		$this->daemon( array( $refusal, null ), array( $refusal, null ) );
		$found = self::checks()->alerts();
		$this->assertSame( array( 'error' ), array_column( $found, 0 ) );
		$this->assertStringContainsString( 'refuses to serve this site', $found[0][1] );
		$health = new Health( Plugin::instance()->api() );
		$result = ( new SiteHealth( new Checks( $health, new Settings() ), $health ) )->test( 'connection' );
		$this->assertSame( 'critical', $result['status'] );
		$this->assertSame( 'ticketd does not serve this site', $result['label'] );
	}

	/**
	 * A single request to the daemon for all parts of a page, also if an older daemon's status lacks keys.
	 */
	public function test_a_status_is_asked_for_once_and_completed(): void {
		$this->daemon( array( null, self::WELL ) );
		$health = new Health( Plugin::instance()->api() );
		( new Checks( $health, new Settings() ) )->alerts();
		$values = StatusTable::values( $health->status() );
		$this->assertSame( array( '17', '0.2 s', '0', 'empty' ), array( $values['dirty'], $values['oldest'], $values['dead'], $values['journal'] ) );
		foreach ( StatusTable::groups() as $labels ) {
			$this->assertSame( array(), array_diff_key( $labels, $values ) );
		}
	}

	/**
	 * Text that looks like a password is masked, the rest is kept.
	 */
	public function test_masks(): void {
		$texts = array(
			'wordpress:pa:ss!w@unix(/run/mysqld/mysqld.sock)/wordpress' => '***:***@unix(/run/mysqld/mysqld.sock)/wordpress',
			'redis://user:secret@10.0.0.1:6379/0: refused'              => 'redis://***:***@10.0.0.1:6379/0: refused',
			'password=hunter2, next'                                    => 'password=***, next',
			'auth: "two words" failed'                                  => 'auth: *** failed',
			'dial unix /run/redis.sock: connect: no such file'          => 'dial unix /run/redis.sock: connect: no such file',
			"Access denied for user 'app'@'localhost'"                  => "Access denied for user 'app'@'localhost'",
		);
		foreach ( $texts as $text => $masked ) {
			$this->assertSame( $masked, Format::masked( $text ) );
		}
	}

	/**
	 * A flush that takes longer than a request reports its progress; any other failure is reported.
	 */
	public function test_a_flush_says_whether_it_is_finished(): void {
		$this->daemon( array( null, array( 'flushed' => 3, 'dead' => 1 ) ) );
		$operations = new Operations( Plugin::instance()->api() );
		$this->assertSame( array( 'finished' => true, 'flushed' => 3, 'dead' => 1 ), $operations->flush() );
		$this->daemon();
		$this->assertInstanceOf( \WP_Error::class, ( new Operations( $this->away() ) )->flush() );
	}

	/**
	 * The callers of an absent daemon.
	 */
	private function away(): \Ticketd\WordPress\Api {
		\Ticketd\Tests\Support\Site::connect( \Ticketd\Tests\Support\Peer::free_path() );
		return Plugin::instance()->api();
	}
}
