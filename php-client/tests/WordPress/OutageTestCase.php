<?php
/**
 * Shared code of the tests of an outage.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Client\Connection;
use Ticketd\Client\PureCodec;
use Ticketd\Client\Request;
use Ticketd\Client\Spool;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\MariaDb;

/**
 * A site with an absent daemon: with a spool folder, and a real database.
 */
abstract class OutageTestCase extends SiteTestCase {

	/**
	 * The spool folder.
	 *
	 * @var Folder
	 */
	protected Folder $folder;

	/**
	 * Gives the site a spool and a database.
	 */
	protected function setUp(): void {
		parent::setUp();
		$this->folder = new Folder();
		remove_all_filters( 'ticketd_spool' );
		add_filter( 'ticketd_spool', fn() => $this->folder->path );
		$GLOBALS['wpdb'] = MariaDb::wpdb();
	}

	/**
	 * Puts a row into the tickets table.
	 *
	 * @param array $columns Its columns; the others have their defaults.
	 */
	protected function row( array $columns ): void {
		$this->assertSame( 1, $GLOBALS['wpdb']->insert( 'wp_support_tickets', $columns ), $GLOBALS['wpdb']->last_error );
	}

	/**
	 * Takes the database away.
	 */
	protected function no_database(): void {
		$GLOBALS['wpdb'] = new \Ticketd\Tests\Support\Database();
	}

	/**
	 * Puts a change into the spool, like another process.
	 *
	 * @param string $method The method.
	 * @param int    $id     The ticket's id.
	 * @param array  $fields The fields.
	 * @param int    $at     When, in seconds since 1970.
	 * @param string $site   The site.
	 * @param string $table  The table, with its database.
	 */
	protected function spool( string $method, int $id, array $fields = array(), int $at = 1795000000, string $site = '', string $table = '' ): void {
		$params = array( 'id' => $id, 'request_id' => bin2hex( random_bytes( 8 ) ) )
			+ ( array() === $fields ? array() : array( 'fields' => $fields ) )
			+ ( '' === $site ? array() : array( 'site' => $site ) ) + ( '' === $table ? array() : array( 'table' => $table ) );
		$spool  = new Spool( $this->folder->path, Spool::MAX_BLOCKS, fn() => $at * 1000000 );
		$this->assertTrue( $spool->write( new Request( $method, $params ) ) );
	}

	/**
	 * The content of the spool: methods and parameters, in the order of the names.
	 */
	protected function spooled(): array {
		$spooled = array();
		foreach ( $this->folder->frames() as $name ) {
			$message   = ( new PureCodec() )->decode( substr( $this->folder->contents( $name ), Connection::HEADER_BYTES ) );
			$spooled[] = array( $message[2], $message[3] );
		}
		return $spooled;
	}
}
