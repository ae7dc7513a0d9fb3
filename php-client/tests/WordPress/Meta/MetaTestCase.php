<?php
/**
 * What the tests of metadata share.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress\Meta;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\FakeClient;
use Ticketd\Tests\Support\Rows;
use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Meta\Adapter;
use Ticketd\WordPress\Meta\Keys;

/**
 * WordPress' own functions of metadata on rows in memory, with the adapter and a daemon that is a fake.
 */
abstract class MetaTestCase extends TestCase {

	/** The keys that ticketd takes, by field. */
	protected const KEYS = array(
		'status' => '_st',
		'note'   => '_note',
		'quote'  => "o'clock",
	);

	/** A post whose type is taken. */
	protected const ID = 7;

	/** A post of another type. */
	protected const PAGE = 9;

	/**
	 * The daemon.
	 *
	 * @var FakeClient
	 */
	protected FakeClient $daemon;

	/**
	 * The database.
	 *
	 * @var Rows
	 */
	protected Rows $rows;

	/**
	 * Names and arguments of the actions, in their order.
	 *
	 * @var array[]
	 */
	protected array $actions = array();

	/**
	 * Starts.
	 */
	protected function setUp(): void {
		require_once ABSPATH . WPINC . '/class-wpdb.php'; // For its constants.
		Site::reset();
		$this->begin();
	}

	/**
	 * Ends.
	 */
	protected function tearDown(): void {
		remove_all_filters( 'all' );
		remove_all_actions( 'ticketd_stale_query' );
		remove_all_filters( 'ticketd_query_may_be_stale' );
		delete_option( Adapter::OPTION );
		Adapter::instance()->use_client( null );
		Site::$posts = array();
		Site::reset();
	}

	/**
	 * Makes rows, daemon and adapter anew.
	 *
	 * @param bool   $is_taken Whether the adapter takes keys.
	 * @param array  $more     More of the daemon's description.
	 * @param string $type     `post` or `user`.
	 */
	protected function begin( bool $is_taken = true, array $more = array(), string $type = 'post' ): void {
		$this->rows      = new Rows();
		$this->daemon    = new FakeClient();
		$GLOBALS['wpdb'] = $this->rows;
		Site::$posts     = array(
			self::ID   => 'ticket',
			self::PAGE => 'page',
		);
		wp_cache_flush();
		foreach ( Site::$posts as $id => $post_type ) {
			wp_cache_set( $id, (object) array( 'post_type' => $post_type ), 'posts' );
		}
		$this->daemon->flush_into( $this->rows->sink( self::KEYS ) );
		$description = $more + array(
			'kind'          => Keys::KINDS[ $type ],
			'keys'          => self::KEYS,
			'post_types'    => array( 'ticket' ),
			'adds'          => 'behind',
			'queries'       => 'fresh',
			'query_wait_ms' => 250,
		);
		$this->daemon->describe_as( $description );
		wp_cache_set( 'alloptions', array( Adapter::OPTION => $is_taken ? array( $type => $description ) : '' ), 'options' );
		Adapter::instance()->use_client( $this->daemon );
		Adapter::instance()->register();
		$this->listen();
	}

	/**
	 * Notes the actions of metadata.
	 */
	protected function listen(): void {
		remove_all_filters( 'all' );
		$this->actions = array();
		add_filter(
			'all',
			function ( string $hook, ...$args ): void {
				if ( 1 === preg_match( '/^(add|added|update|updated|delete|deleted)_(post|user)_?meta$/', $hook ) ) {
					$this->actions[] = array( $hook, $args );
				}
			},
			10,
			6
		);
	}

	/**
	 * The names of the daemon's methods that were called.
	 *
	 * @return string[]
	 */
	protected function called(): array {
		return array_column( $this->daemon->calls(), 0 );
	}

	/**
	 * How many calls a method had.
	 *
	 * @param string $method The method.
	 */
	protected function count_of( string $method ): int {
		return count( array_keys( $this->called(), $method, true ) );
	}

	/**
	 * Begins another request: nothing is cached.
	 */
	protected function request(): void {
		wp_cache_delete( self::ID, 'post_meta' );
		Adapter::instance()->use_client( $this->daemon );
	}
}
