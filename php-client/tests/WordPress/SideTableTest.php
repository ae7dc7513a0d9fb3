<?php
/**
 * Tables that ticketd did not make.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Installer;
use Ticketd\WordPress\Table;

/**
 * Another plugin's table is neither altered nor dropped. Its revisions, and the marks of deleted tickets, are in a
 * side table.
 */
final class SideTableTest extends OutageTestCase {

	/** The site's table. */
	private const TABLE = 'wp_support_tickets';

	/**
	 * Puts another plugin's table in the place of ticketd's.
	 */
	protected function setUp(): void {
		parent::setUp();
		$this->sql( 'DROP TABLE IF EXISTS wp_support_tickets, wp_support_tickets_seq, wp_support_tickets_ticketd' );
		$this->sql(
			'CREATE TABLE wp_support_tickets ( ticket_id INT AUTO_INCREMENT PRIMARY KEY, status VARCHAR(20) NOT NULL,
			deleted INT, deleted_at DATETIME, extra TINYTEXT )'
		);
	}

	/**
	 * Takes the tables away.
	 */
	protected function tearDown(): void {
		$this->sql( 'DROP TABLE IF EXISTS wp_support_tickets, wp_support_tickets_seq, wp_support_tickets_ticketd' );
		parent::tearDown();
	}

	/**
	 * Runs a statement.
	 *
	 * @param string $statement The statement.
	 */
	private function sql( string $statement ): void {
		$this->assertNotFalse( $GLOBALS['wpdb']->query( $statement ), $GLOBALS['wpdb']->last_error );
	}

	/**
	 * Makes the side table, as `ticketd migrate` does.
	 */
	private function adopt(): void {
		$sql = file_get_contents( dirname( __DIR__, 2 ) . '/ticketd/sql/sidecar.sql' );
		$this->sql( rtrim( str_replace( '{table}', self::TABLE, preg_replace( '/^--.*$/m', '', $sql ) ), "; \n" ) );
	}

	/**
	 * The output of SHOW CREATE TABLE for the table.
	 */
	private function shape(): string {
		return $GLOBALS['wpdb']->get_row( 'SHOW CREATE TABLE wp_support_tickets', ARRAY_N )[1];
	}

	/**
	 * Activation leaves the table alone and says what to do, until the daemon has made the side table.
	 */
	public function test_activation_leaves_it_alone(): void {
		$installer = new Installer( dirname( __DIR__, 2 ) . '/ticketd/ticketd.php' );
		$before    = $this->shape();
		$result    = $installer->install();
		$this->assertSame( 'ticketd_foreign_table', $result->get_error_code() );
		$this->assertStringContainsString( 'ticketd init', $result->get_error_message() );
		$this->assertNull( $GLOBALS['wpdb']->get_var( "SHOW TABLES LIKE 'wp\\_support\\_tickets\\_%'" ) );
		$this->adopt();
		$this->assertTrue( $installer->install() );
		$this->assertSame( $before, $this->shape() );
	}

	/**
	 * Reads take the revisions and the marks of deletion from the side table.
	 */
	public function test_reads_without_the_daemon(): void {
		$this->sql( "INSERT INTO wp_support_tickets (ticket_id, status, extra) VALUES (1, 'open', 'not ours'), (2, 'gone', ''), (3, 'theirs', '')" );
		$this->sql( "INSERT INTO wp_support_tickets (ticket_id, status, deleted_at) VALUES (4, 'trash', NOW())" );
		$this->adopt();
		$this->sql( 'INSERT INTO wp_support_tickets_ticketd VALUES (1, 1763990000123456, 0), (2, 9, 1)' );
		$fields = array( 'status' => 'open', 'deleted' => null, 'deleted_at' => null, 'extra' => 'not ours' );
		$this->assertSame( array( 'id' => 1, 'revision' => 1763990000123456, 'fields' => $fields, 'stale' => true ), ticketd_get_ticket( 1 ) );
		$this->assertSame( 'ticketd_not_found', ticketd_get_ticket( 2 )->get_error_code() );
		$this->assertSame( 1, ticketd_get_ticket( 3 )['revision'] );
		$this->assertSame( array( 3, 1 ), array_column( ticketd_list_tickets()['tickets'], 'id' ) );
		$this->assertSame( 2, ticketd_count_tickets() );
		$this->assertSame( 4, ticketd_count_tickets( array( 'deleted' => true ) ) );
	}

	/**
	 * Whatever parts of ticketd are removed, the other plugin's table stays.
	 */
	public function test_it_is_never_dropped(): void {
		$made = array( 'wp_support_tickets_seq', 'wp_support_tickets_tombstones', 'wp_support_tickets_identity', 'wp_support_tickets_history', 'wp_support_tickets_ticketd' );
		$this->assertSame( $made, Table::made_for( self::TABLE ) );
		$this->adopt();
		$this->assertSame( $made, Table::made_for( self::TABLE ) );
		$this->sql( 'ALTER TABLE wp_support_tickets ADD revision BIGINT UNSIGNED NOT NULL DEFAULT 0' );
		$this->assertSame( $made, Table::made_for( self::TABLE ) ); // An earlier version's column, left in it.
		$this->sql( 'DROP TABLE wp_support_tickets_ticketd' );
		$this->assertSame( array_merge( array( self::TABLE ), $made ), Table::made_for( self::TABLE ) );
	}

	/**
	 * The table reports its state, also if only the daemon knows its key.
	 */
	public function test_the_doctor_knows_it(): void {
		$this->adopt();
		$this->assertStringNotContainsString( 'cannot be read', Checks::adopted( self::TABLE ) );
		$this->sql( 'ALTER TABLE wp_support_tickets CHANGE ticket_id id INT AUTO_INCREMENT' );
		$this->assertNull( Table::describe( self::TABLE ) );
		$this->assertStringContainsString( 'cannot be read', Checks::adopted( self::TABLE ) );
		$this->assertSame( 'ticketd_unavailable', ticketd_get_ticket( 1 )->get_error_code() );
	}
}
