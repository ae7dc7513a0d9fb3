<?php
/**
 * The feed in PHP: the actions, WP-Cron and the command.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Client\FakeClient;
use Ticketd\Tests\Support\Child;
use Ticketd\Tests\Support\Peer;
use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Cli\FeedCommand;
use Ticketd\WordPress\Cli\FeedDeadCommand;
use Ticketd\WordPress\Feed\Cron;
use Ticketd\WordPress\Feed\Limits;
use Ticketd\WordPress\Feed\Runner;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;

/**
 * Every event reaches the listeners, in order; what a listener does wrong harms no other event.
 */
final class FeedTest extends SiteTestCase {

	/**
	 * The daemon.
	 *
	 * @var FakeClient
	 */
	private FakeClient $fake;

	/**
	 * The time of the daemon, in seconds.
	 *
	 * @var int
	 */
	private int $now = 1795000000;

	/**
	 * What the listeners got: revisions.
	 *
	 * @var int[]
	 */
	private array $heard = array();

	/**
	 * The pauses of the runner, in seconds.
	 *
	 * @var int[]
	 */
	private array $pauses = array();

	/**
	 * A daemon with a feed, from whose end on this site listens.
	 */
	protected function setUp(): void {
		parent::setUp();
		$this->fake = new FakeClient( fn(): int => $this->now );
		$this->fake->feed_read( Runner::CONSUMER, 'before' );
		$this->fake->feed_ack( Runner::CONSUMER, 'before', array( 'release' => true ) );
		Plugin::instance()->api()->use_client( $this->fake );
		Site::features( array( 'by', 'feed' ) );
		ini_set( 'error_log', '/dev/null' );
		foreach ( array( 'wp-cli.php', 'WP_CLI.php', 'Formatter.php' ) as $file ) {
			require_once __DIR__ . '/../Support/' . $file;
		}
		\WP_CLI::$warnings = array();
	}

	/**
	 * Ends the listeners.
	 */
	protected function tearDown(): void {
		ini_restore( 'error_log' );
		foreach ( array( 'event', 'updated', 'created', 'deleted' ) as $kind ) {
			remove_all_actions( 'ticketd_feed_' . $kind );
		}
		Plugin::instance()->api()->use_client( null );
		parent::tearDown();
	}

	/**
	 * Listens.
	 *
	 * @param callable|null $then Called after the event is noted.
	 */
	private function listen( ?callable $then = null ): void {
		add_action(
			'ticketd_feed_event',
			function ( array $event ) use ( $then ): void {
				$this->heard[] = $event['revision'];
				if ( null !== $then ) {
					$then( $event );
				}
			}
		);
	}

	/**
	 * Makes changes of a ticket.
	 *
	 * @param int $count How many.
	 */
	private function change( int $count ): void {
		for ( $n = 0; $n < $count; $n++ ) {
			$this->fake->set( 1, array( 'n' => $n ) );
		}
	}

	/**
	 * A runner.
	 *
	 * @param Limits|null $limits Its limits.
	 */
	private function runner( ?Limits $limits = null ): Runner {
		return new Runner(
			Plugin::instance()->api(),
			$limits ?? new Limits( 60 ),
			function ( int $seconds ): void {
				$this->pauses[] = $seconds;
			}
		);
	}

	/**
	 * A listener gets the whole event, by both actions, and what it changes says `feed`.
	 */
	public function test_events(): void {
		$got = array();
		add_action(
			'ticketd_feed_updated',
			static function ( array $event ) use ( &$got ): void {
				$got[] = $event;
				if ( 1 === $event['ticket'] ) {
					ticketd_set_ticket( 2, array( 'seen' => 1 ) );
				}
			}
		);
		$this->listen();
		$this->fake->sign( 'user:3', 'crm' );
		$this->fake->create( array( 'status' => 'open' ) );
		$this->fake->set( 1, array( 'status' => 'closed' ) );
		$this->fake->set( 2, array( 'status' => 'open' ) );
		$this->assertSame( array( 'events' => 4, 'letters' => 0 ), $this->runner()->run( false ) );
		$this->assertSame( array( 1, 2, 3, 4 ), $this->heard );
		$want = array(
			'id'          => '1-2',
			'kind'        => 'updated',
			'ticket'      => 1,
			'revision'    => 2,
			'previous'    => 1,
			'fields'      => array( 'status' => 'closed' ),
			'was'         => array( 'status' => 'open' ),
			'omitted'     => array(),
			'by'          => 'user:3',
			'via'         => 'crm',
			'at_us'       => 1795000000000000,
			'recorded_us' => 1795000000000000,
			'delivery'    => 1,
		);
		$this->assertEquals( $want, array_intersect_key( $got[0], $want ) );
		$this->assertArrayNotHasKey( 'cursor', $got[0] );
		$this->assertSame( array( 2, 'feed' ), array( $got[1]['ticket'], $got[1]['via'] ) );
		$this->assertSame( array( 'events' => 0, 'letters' => 0 ), $this->runner()->run( false ) );
	}

	/**
	 * A listener that throws gets the event three times; then it is a letter that says why, and the next one comes. One
	 * that recovers makes no letter.
	 */
	public function test_a_listener_that_throws(): void {
		$tries = 0;
		$this->listen(
			static function ( array $event ) use ( &$tries ): void {
				if ( 2 === $event['revision'] || ( 3 === $event['revision'] && ++$tries < 3 ) ) {
					throw new \DomainException( "No \xff" . str_repeat( 'x', 5000 ) );
				}
			}
		);
		$this->change( 4 );
		$this->assertSame( array( 'events' => 4, 'letters' => 1 ), $this->runner()->run( false ) );
		$this->assertSame( array( 1, 2, 2, 2, 3, 3, 3, 4 ), $this->heard );
		$this->assertSame( array( 1, 3, 1, 3 ), $this->pauses );
		$letters = $this->fake->feed_dead_list( Runner::CONSUMER );
		$this->assertSame( array( 2 ), array_column( $letters, 'revision' ) );
		$this->assertStringStartsWith( 'DomainException: No ?xxx', $letters[0]['reason'] );
		$this->assertSame( 4096, strlen( $letters[0]['reason'] ) );
	}

	/**
	 * Only one process has the position; the other gets nothing until the first gives it back or falls silent for a
	 * minute. WP-Cron does not wait for that; the command does.
	 */
	public function test_never_two_at_a_time(): void {
		$second = null;
		$this->listen(
			function () use ( &$second ): void {
				$second = $second ?? $this->runner()->run( false );
			}
		);
		$this->change( 3 );
		$this->assertSame( array( 'events' => 2, 'letters' => 0 ), $this->runner( new Limits( 60, 2 ) )->run( false ) );
		$this->assertSame( 'ticketd_feed_busy', $second->get_error_code() );
		$this->assertSame( array( 1, 2 ), $this->heard );
		$this->fake->feed_read( Runner::CONSUMER, 'other', array( 'lease_ms' => 60000 ) );
		$notes        = array();
		$limits       = new Limits( 60, 1 );
		$this->pauses = array();
		$runner       = new Runner(
			Plugin::instance()->api(),
			$limits,
			function ( int $seconds ): void {
				$this->now     += 20 * $seconds;
				$this->pauses[] = $seconds;
			}
		);
		$note         = static function ( string $text ) use ( &$notes ): void {
			$notes[] = $text;
		};
		$this->assertSame( array( 'events' => 1, 'letters' => 0 ), $runner->run( true, $note ) );
		$this->assertSame( array( 2, 2 ), $this->pauses );
		$this->assertSame( array( 'Another process follows the feed.' ), $notes );
		$this->assertSame( array( 1, 2, 3 ), $this->heard );
	}

	/**
	 * Who has lost the lease while a listener took too long says so, and the event comes again, first.
	 */
	public function test_a_lease_that_ended(): void {
		$this->listen(
			function (): void {
				if ( 1 === count( $this->heard ) ) {
					$this->now += 61;
					$this->fake->feed_read( Runner::CONSUMER, 'other', array( 'lease_ms' => 1000 ) );
				}
			}
		);
		$this->change( 2 );
		$this->assertSame( 'ticketd_conflict', $this->runner()->run( false )->get_error_code() );
		$this->now += 2;
		$this->assertSame( array( 'events' => 2, 'letters' => 0 ), $this->runner()->run( false ) );
		$this->assertSame( array( 1, 1, 2 ), $this->heard );
	}

	/**
	 * The limits end a runner between two events, and it gives the position back. A signal does.
	 */
	public function test_limits(): void {
		$limits = new Limits( 60 );
		$this->listen( array( $limits, 'stop' ) );
		$this->change( 3 );
		$this->assertSame( 1, $this->runner( $limits )->run( true )['events'] );
		$this->assertSame( 0, $this->runner( new Limits( 60, PHP_INT_MAX, 1 ) )->run( true )['events'] );
		$this->assertSame( 0, $this->runner( new Limits( 0 ) )->run( true )['events'] );
		$this->assertSame( 'feed_ack', array_slice( $this->fake->calls(), -1 )[0][0] );
		$this->assertSame( array( 'release' => true ), array_slice( $this->fake->calls(), -1 )[0][1][2] );
		$this->fake->fail_next( 'unknown_method' );
		$this->assertSame( 'ticketd_unknown_method', $this->runner()->run( true )->get_error_code() );
		$this->fake->fail_next( 'unavailable', 2 );
		$this->pauses = array();
		$this->runner( new Limits( 60, 1 ) )->run( true );
		$this->assertSame( array( 2, 2 ), $this->pauses );
	}

	/**
	 * A listener that ends the process: the position is given back, the event is not acknowledged. The daemon counts
	 * its deliveries, and after five of them the next event's turn comes.
	 */
	public function test_a_listener_that_exits(): void {
		$peer  = new Peer(
			array(
				array(
					array( 'frame' ),
					array( 'send', Peer::reply( 1, null, array( 'events' => array( array( 'id' => '1-1', 'kind' => 'updated', 'cursor' => 'c1', 'ticket' => 1, 'revision' => 1 ) ) ) ) ),
					array( 'frame' ),
					array( 'send', Peer::reply( 2, null, array() ) ),
					array( 'hold' ),
				),
			)
		);
		$code  = sprintf( 'require %s;', var_export( dirname( __DIR__ ) . '/bootstrap.php', true ) )
			. 'add_filter( "ticketd_socket", fn() => $argv[1] ); add_filter( "ticketd_spool", "__return_empty_string" );'
			. 'add_action( "ticketd_feed_event", function () { exit( 0 ); } );'
			. '( new Ticketd\WordPress\Feed\Cron( Ticketd\WordPress\Plugin::instance()->api() ) )->run(); echo "went on\n";';
		$child = new Child( $code, array( $peer->socket ) );
		$this->assertSame( '', $child->line() );
		$frames = array();
		for ( $n = 0; $n < 2; $n++ ) {
			$frames[] = ( new \Ticketd\Client\PureCodec() )->decode( substr( hex2bin( $peer->frame() ), 4 ) );
		}
		$this->assertSame( array( 'consumer' => 'wordpress', 'token' => $frames[0][3]['token'], 'limit' => 50, 'lease_ms' => 60000 ), $frames[0][3] );
		$this->assertSame( array( 'feed_ack', array( 'consumer' => 'wordpress', 'token' => $frames[0][3]['token'], 'release' => true ) ), array_slice( $frames[1], 2 ) );

		$this->listen();
		$this->change( 2 );
		for ( $n = 1; $n <= 5; $n++ ) {
			$this->assertSame( $n, $this->fake->feed_read( Runner::CONSUMER, "dies$n" )['events'][0]['delivery'] );
			$this->fake->feed_ack( Runner::CONSUMER, "dies$n", array( 'release' => true ) );
		}
		$this->assertSame( 1, $this->runner()->run( false )['events'] );
		$this->assertSame( array( 2 ), $this->heard );
		$this->assertSame( array( 1 ), array_column( $this->fake->feed_dead_list( Runner::CONSUMER ), 'revision' ) );
	}

	/**
	 * WP-Cron is asked for where a plugin listens and the daemon has a feed; a run does 200 events at most.
	 */
	public function test_wp_cron(): void {
		$cron      = new Cron( Plugin::instance()->api() );
		$scheduled = array();
		$schedule  = static function ( $pre, object $event ) use ( &$scheduled ): bool {
			$scheduled[] = array( $event->hook, $event->schedule, $event->interval );
			return true;
		};
		add_filter( 'pre_schedule_event', $schedule, 10, 2 );
		$cron->schedule();
		$this->assertNull( $cron->run() );
		$this->listen();
		$cron->schedule();
		Site::features( array( 'by' ) );
		$cron->schedule();
		remove_filter( 'pre_schedule_event', $schedule );
		$this->assertSame( array( array( 'ticketd_feed', 'ticketd_minute', 60 ) ), $scheduled );
		$this->change( 201 );
		$this->assertSame( 200, $cron->run()['events'] );
		$this->assertSame( 1, $cron->run()['events'] );
		$this->assertSame( range( 1, 201 ), $this->heard );
	}

	/**
	 * The command, which fails where nobody listens.
	 */
	public function test_the_command(): void {
		$command = new FeedCommand( Plugin::instance()->api() );
		try {
			$command->work( array(), array() );
			$this->fail( 'it went on' );
		} catch ( \RuntimeException $error ) {
			$this->assertStringContainsString( 'No plugin follows the feed', $error->getMessage() );
		}
		$this->listen();
		$this->change( 3 );
		$command->work( array(), array( 'once' => true, 'memory' => '4096' ) );
		$this->assertSame( array( 1, 2, 3 ), $this->heard );
	}

	/**
	 * What the screen, REST, WP-CLI and Site Health say of a feed in trouble. A site without a feed is asked nothing.
	 */
	public function test_the_state_of_the_feed(): void {
		$this->assertSame( array(), $this->findings() );
		Site::features( array( 'feed', 'feed_status', 'history' ) );
		$state = array(
			'enabled'      => true,
			'destinations' => array(
				array( 'name' => 'wordpress', 'kind' => 'pull', 'state' => 'up', 'lag_events' => 3, 'lag_ms' => 1200, 'sent' => 1000 ),
				array( 'name' => 'crm', 'kind' => 'webhook', 'state' => 'paused', 'reason' => '410 from https://u:p@crm.example' ),
				array( 'name' => 'bus', 'kind' => 'amqp', 'state' => 'retrying', 'reason' => 'dial tcp', 'held' => 2 ),
				array( 'name' => 'lake', 'kind' => 'kafka', 'state' => 'up', 'letters' => 4, 'gaps' => 1 ),
				array( 'name' => 'late', 'kind' => 'pull', 'state' => 'up', 'lag_events' => 1, 'lag_ms' => 900000 ),
			),
			'history'      => array( 'enabled' => true, 'rows' => 12, 'bytes' => 2048 ),
		);
		$want  = array(
			'feed-wordpress' => array( 'good', 'wordpress: up; events behind: 3, lag 1.2 s.' ),
			'feed-crm'       => array( 'error', 'crm: takes no events: 410 from https://***:***@crm.example' ),
			'feed-bus'       => array( 'warning', 'bus: does not answer, tried again; refused and tried again: 2: dial tcp' ),
			'feed-lake'      => array( 'warning', 'lake: up; letters: 4; gaps: 1. See "ticketd feed dead list lake" and "ticketd feed snapshot lake".' ),
			'feed-late'      => array( 'error', 'late: up; events behind: 1, lag 15 mins.' ),
			'history'        => array( 'good', 'Changes in the history: about 12 (2.0 KB).' ),
		);
		Plugin::instance()->api()->use_client( null );
		$this->daemon( array( null, $state ), array( null, $state ) );
		$this->assertSame( $want, $this->findings() );
		$this->assertSame( array( 'feed_status', array() ), $this->request() );
		$command          = new FeedCommand( Plugin::instance()->api() );
		\WP_CLI::$printed = array();
		$command->list_( array(), array( 'format' => 'json' ) );
		$row = \WP_CLI::$printed[0][1][0];
		$this->assertSame( array( 'wordpress', 3, '' ), array( $row['name'], $row['lag_events'], $row['reason'] ) );
	}

	/**
	 * The findings about the feed.
	 *
	 * @return array[] By check, state and message.
	 */
	private function findings(): array {
		$checks = new Checks( new Health( Plugin::instance()->api() ), new Settings() );
		$check  = new \ReflectionMethod( $checks, 'check_feed' );
		$check->setAccessible( true );
		$check->invoke( $checks );
		$found = new \ReflectionProperty( $checks, 'findings' );
		$found->setAccessible( true );
		$rows = array();
		foreach ( $found->getValue( $checks ) as $finding ) {
			$this->assertSame( 'feed', $finding['area'] );
			$rows[ $finding['check'] ] = array( $finding['state'], $finding['message'] );
		}
		return $rows;
	}

	/**
	 * Managers ask for the feed's state over REST, and pause and resume destinations; WP-CLI does the same.
	 */
	public function test_operations(): void {
		$ask                = static function ( string $method, string $path ): \WP_REST_Response {
			return rest_get_server()->dispatch( new \WP_REST_Request( $method, '/ticketd/v1/operations/feed' . $path ) );
		};
		Site::$capabilities = array( 'ticketd_edit_tickets' );
		$this->assertSame( array( 403, 403 ), array( $ask( 'GET', '' )->get_status(), $ask( 'POST', '/wordpress/pause' )->get_status() ) );
		Site::$capabilities = array( 'ticketd_manage' );
		$this->assertSame( array( 'name' => 'wordpress', 'action' => 'pause' ), $ask( 'POST', '/wordpress/pause' )->get_data() );
		$this->assertSame( 'stopped', $ask( 'GET', '' )->get_data()['destinations'][0]['state'] );
		$this->listen();
		$this->change( 1 );
		$this->assertSame( 'ticketd_feed_busy', $this->runner()->run( false )->get_error_code() );
		$this->assertSame( 404, $ask( 'POST', '/nothing/resume' )->get_status() );
		$this->assertSame( 404, $ask( 'POST', '/wordpress/rewind' )->get_status() );
		$command = new FeedCommand( Plugin::instance()->api() );
		$command->resume( array( 'wordpress' ) );
		$this->assertSame( 1, $this->runner()->run( false )['events'] );
		$command->test( array( 'wordpress' ) );
		$command->pause( array( 'wordpress' ) );
		$this->assertSame( array( 'feed_control', array( 'wordpress', 'pause' ) ), array_slice( $this->fake->calls(), -1 )[0] );
	}

	/**
	 * A command ends with an error.
	 *
	 * @param string   $text    Its text.
	 * @param callable $command The command.
	 */
	private function assert_fails( string $text, callable $command ): void {
		try {
			$command();
			$this->fail( "no error: $text" );
		} catch ( \WP_CLI\ExitException $end ) {
			$this->assertSame( $text, $end->getMessage() );
		}
	}

	/**
	 * The letters: what the client sends and reads, and what the commands print.
	 */
	public function test_letters(): void {
		$letter = array( 'id' => 17, 'kind' => 'updated', 'ticket' => 812, 'revision' => 7, 'since_us' => 1795000000000000, 'at_us' => 1795000060000000, 'tries' => 4, 'held' => true, 'reason' => '422', 'answer' => 'no', 'fields' => array( 'a' => "\xff" ) );
		Plugin::instance()->api()->use_client( null );
		$this->daemon(
			array( null, array( 'letters' => array( $letter, array( 'id' => 18 ) ) ) ),
			array( null, array( 'letters' => array() ) ),
			array( null, array( 'count' => 2 ) ),
			array( null, array( 'count' => 1 ) )
		);
		$command          = new FeedDeadCommand( Plugin::instance()->api() );
		\WP_CLI::$printed = array();
		$command->list_( array( 'crm' ), array( 'format' => 'csv' ) );
		$command->retry( array( 'crm' ), array( 'all' => true ) );
		$command->drop( array( 'crm', '17' ), array( 'yes' => true ) );
		$want = array( 'id' => 17, 'ticket' => 812, 'since' => '2026-11-18 11:06:40', 'at' => '2026-11-18 11:07:40', 'held' => 1, 'fields' => '{"a":{"hex":"ff"}}' );
		$row  = \WP_CLI::$printed[0][1][0];
		$this->assertSame( $want, array_replace( $want, array_intersect_key( $row, $want ) ) );
		$this->assertSame( array( 'feed_dead_list', array( 'name' => 'crm', 'limit' => 1000 ) ), $this->request() );
		$this->assertSame( array( 'feed_dead_list', array( 'name' => 'crm', 'limit' => 1000, 'after' => 18 ) ), $this->request() );
		$this->assertSame( array( 'feed_dead_retry', array( 'name' => 'crm', 'all' => true ) ), $this->request() );
		$this->assertSame( array( 'feed_dead_drop', array( 'name' => 'crm', 'ids' => array( 17 ) ) ), $this->request() );
		Plugin::instance()->api()->use_client( $this->fake );
		$this->listen(
			static function (): void { throw new \DomainException( 'x' );
			}
		);
		$this->change( 2 );
		$this->runner()->run( false );
		$this->assert_fails( 'No such destination: nosuch', fn() => $command->list_( array( 'nosuch' ), array() ) );
		$this->assert_fails( 'No such letter: 99', fn() => $command->retry( array( 'wordpress', '99' ), array() ) );
		$this->assert_fails( 'No such letter: 98, 99', fn() => $command->drop( array( 'wordpress', '98', '99' ), array( 'yes' => true ) ) );
		$this->assertSame( 1, $this->fake->feed_dead_drop( 'wordpress', array( 1 ) ) );
		$this->assertSame( 1, $this->fake->feed_dead_retry( 'wordpress', null ) );
		$this->assertSame( array(), $this->fake->feed_dead_list( 'wordpress' ) );
	}
}
