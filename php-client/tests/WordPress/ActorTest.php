<?php
/**
 * Who is said to make a change.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Client\PureCodec;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;
use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Actor;
use Ticketd\WordPress\Clients;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Watchdog;

/**
 * Changes name the user and the part of the site, where the daemon is known to take that.
 */
final class ActorTest extends SiteTestCase {

	/**
	 * A daemon that takes signatures.
	 */
	protected function setUp(): void {
		parent::setUp();
		Site::features( array( 'by', 'later' ) );
	}

	/**
	 * Ends the filters.
	 */
	protected function tearDown(): void {
		remove_all_filters( 'ticketd_actor' );
		parent::tearDown();
	}

	/**
	 * A parameter pair of the next request.
	 */
	private function signature(): array {
		$params = $this->request()[1];
		return array( $params['by'] ?? null, $params['via'] ?? null );
	}

	/**
	 * A daemon that answers so many changes.
	 *
	 * @param int $count How many.
	 */
	private function changes( int $count ): void {
		$this->daemon( ...array_fill( 0, $count, array( null, array( 'revision' => 7, 'id' => 1, 'results' => array( 7 ) ) ) ) );
	}

	/**
	 * Every kind of change is signed: by a user, or by a visitor; a part of the plugin names itself.
	 */
	public function test_every_change_is_signed(): void {
		$this->changes( 6 );
		Site::$user = 3;
		ticketd_create_ticket( array( 'status' => 'open' ) );
		ticketd_set_ticket( 1, array( 'status' => 'open' ) );
		ticketd_set_tickets( array( 1 => array( 'status' => 'open' ) ) );
		ticketd_delete_ticket( 1 );
		Actor::within( 'import', static fn() => ticketd_set_ticket( 1, array( 'status' => 'open' ) ) );
		Site::$user = 0;
		ticketd_set_ticket( 1, array( 'status' => 'open' ) );
		$sent = array();
		for ( $n = 0; $n < 6; $n++ ) {
			$sent[] = $this->signature();
		}
		$user = array( 'user:3', 'php' );
		$this->assertSame( array( $user, $user, $user, $user, array( 'user:3', 'import' ), array( 'unauthenticated', 'php' ) ), $sent );
	}

	/**
	 * The part is the outer one again after an inner part, also after one that failed.
	 */
	public function test_parts_end(): void {
		$parts = array();
		$note  = static function () use ( &$parts ): void {
			$parts[] = Actor::current()['via'];
		};
		Actor::within(
			'import',
			static function () use ( $note ): void {
				try {
					Actor::within(
						'form',
						static function (): void { throw new \RuntimeException();
						}
					);
				} catch ( \RuntimeException $e ) {
					unset( $e );
				}
				$note();
			}
		);
		$note();
		$this->assertSame( array( 'import', 'php' ), $parts );
	}

	/**
	 * A plugin names itself; what the protocol does not take is left out, so that no change fails for it.
	 */
	public function test_a_filter_names_another(): void {
		$this->changes( 2 );
		add_filter( 'ticketd_actor', static fn(): array => array( 'by' => 'agent 7 of the CRM', 'via' => 'api:crm' ) );
		ticketd_set_ticket( 1, array( 'status' => 'open' ) );
		add_filter( 'ticketd_actor', static fn(): array => array( 'by' => "two\nlines", 'via' => str_repeat( 'x', 33 ) ), 20 );
		ticketd_set_ticket( 1, array( 'status' => 'open' ) );
		$this->assertSame( array( 'agent 7 of the CRM', 'api:crm' ), $this->signature() );
		$this->assertSame( array( null, null ), $this->signature() );
	}

	/**
	 * A daemon that is not known to take signatures gets none.
	 */
	public function test_an_older_daemon_gets_none(): void {
		foreach ( array( array(), false, 'nonsense' ) as $features ) {
			Site::features( $features );
			$this->changes( 1 );
			ticketd_set_ticket( 1, array( 'status' => 'open' ) );
			$this->assertSame( array( null, null ), $this->signature() );
		}
	}

	/**
	 * After a downgrade, before the watchdog notices it: the change is made nevertheless, and the next ones of the
	 * request ask no more.
	 */
	public function test_a_downgrade_loses_no_change(): void {
		$refusal = array( array( 'field' => 'by' ) + Peer::error( 'invalid' ), null );
		$this->daemon( $refusal, array( null, array( 'revision' => 8 ) ) );
		$this->assertSame( 8, ticketd_set_ticket( 1, array( 'status' => 'open' ) ) );
		$this->assertSame( array( 'unauthenticated', 'php' ), $this->signature() );
		$this->assertSame( array( null, null ), $this->signature() );
	}

	/**
	 * What is spooled says who made it.
	 */
	public function test_the_spool_carries_it(): void {
		$folder = new Folder();
		remove_all_filters( 'ticketd_spool' );
		add_filter( 'ticketd_spool', static fn() => $folder->path );
		Site::connect( Peer::free_path() );
		$this->assertSame( 0, ticketd_set_ticket( 1, array( 'status' => 'open' ) ) );
		$message = ( new PureCodec() )->decode( substr( $folder->contents( $folder->frames()[0] ), 4 ) );
		$this->assertSame( array( 'unauthenticated', 'php' ), array( $message[3]['by'], $message[3]['via'] ) );
	}

	/**
	 * A pair of several changes that is spooled alone has the signature that the daemon has taken, and none where it
	 * takes none: it would set the file aside.
	 */
	public function test_a_spooled_pair_has_what_the_daemon_takes(): void {
		$folder = new Folder();
		add_filter( 'ticketd_spool', static fn() => $folder->path );
		$outcome = array( null, array( 'results' => array( 7, Peer::error( 'overloaded' ) + array( 'retryable' => true ) ) ) );
		$refusal = array( array( 'field' => 'by' ) + Peer::error( 'invalid' ), null );
		foreach ( array( array( $outcome ), array( $refusal, $outcome ) ) as $answers ) {
			$this->daemon( ...$answers );
			ticketd_set_tickets( array( 1 => array( 'status' => 'a' ), 2 => array( 'status' => 'b' ) ) );
		}
		$spooled = array();
		foreach ( $folder->frames() as $name ) {
			$params    = ( new PureCodec() )->decode( substr( $folder->contents( $name ), 4 ) )[3];
			$spooled[] = array( $params['id'], $params['by'] ?? null );
		}
		$this->assertSame( array( array( 2, 'unauthenticated' ), array( 2, null ) ), $spooled );
	}

	/**
	 * The watchdog asks what the daemon can do, and an option remembers it: the features of an older daemon are none.
	 */
	public function test_the_watchdog_asks(): void {
		$stored = array();
		remove_all_filters( 'pre_option_' . Clients::FEATURES );
		add_filter(
			'pre_option_' . Clients::FEATURES,
			static function () use ( &$stored ) {
				return $stored[ Clients::FEATURES ] ?? false;
			}
		);
		$update = static function ( $value, string $option, $old ) use ( &$stored ) {
			$stored[ $option ] = $value;
			return $old;
		};
		add_filter( 'pre_update_option', $update, 10, 3 );
		$status = array( null, array( 'oldest_dirty_ms' => 0 ) );
		$this->daemon(
			$status,
			array( null, array( 'version' => '2', 'protocol' => 1, 'features' => array( 'by', 'feed' ) ) ),
			$status,
			array( null, array( 'version' => '1', 'protocol' => 1 ) )
		);
		$watchdog = new Watchdog( Plugin::instance()->api(), new Settings() );
		$watchdog->look();
		$this->assertSame( array( 'by', 'feed' ), $stored[ Clients::FEATURES ] );
		$this->assertTrue( Clients::can( 'feed' ) );
		$watchdog->look();
		remove_filter( 'pre_update_option', $update );
		$this->assertSame( array(), $stored[ Clients::FEATURES ] );
		$this->assertSame( 'status', $this->request()[0] );
		$this->assertSame( 'ping', $this->request()[0] );
	}
}
