<?php
/**
 * The golden list of selections.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\MariaDb;

/**
 * Without the daemon, lists and counts find the same tickets as the daemon, and refuse the same requests.
 * TestSelections in internal/e2e asks the daemon for the same file.
 */
final class SelectionsTest extends OutageTestCase {

	/** The list. */
	private const FILE = __DIR__ . '/../../../protocol/testdata/selections.json';

	/** Arguments of a list that a count does not have. */
	private const OF_A_LIST = array( 'sort' => 1, 'order' => 1, 'limit' => 1, 'after' => 1 );

	/**
	 * Takes the server's time zone back to what it was.
	 */
	protected function tearDown(): void {
		MariaDb::other()->query( 'SET GLOBAL time_zone = DEFAULT' );
		parent::tearDown();
	}

	/**
	 * The tables, by name.
	 */
	private static function tables(): array {
		return array_column( json_decode( file_get_contents( self::FILE ), true )['tables'], null, 'name' );
	}

	/**
	 * The names of the tables.
	 */
	public static function names(): array {
		return array_map( fn( string $name ): array => array( $name ), array_keys( self::tables() ) );
	}

	/**
	 * Each selection is read as a single page, in pages of one and of two, and as a count. The server has another
	 * time zone than UTC.
	 *
	 * @dataProvider names
	 * @param string $name The table's name in the list.
	 */
	public function test_selections( string $name ): void {
		global $wpdb;

		$table = self::tables()[ $name ];
		MariaDb::other()->query( "SET GLOBAL time_zone = '+05:30'" );
		$wpdb->query( 'DROP TABLE wp_support_tickets' );
		foreach ( $table['sql'] as $statement ) {
			$this->assertNotFalse( $wpdb->query( $statement ), $wpdb->last_error );
		}
		foreach ( $table['selections'] as $selection ) {
			$args = $selection['args'];
			unset( $selection['args'] );
			$found = isset( $args['by'] ) ? $this->groupings( $args ) : $this->list( $args );
			$this->assertSame( $selection, $found, "$name: " . json_encode( $args, JSON_UNESCAPED_UNICODE ) );
		}
	}

	/**
	 * What a count by a field finds.
	 *
	 * @param array $args The selection with its field.
	 */
	private function groupings( array $args ): array {
		$counted = ticketd_count_tickets_by( $args['by'], array_diff_key( $args, array( 'by' => 1 ) ) );
		return is_wp_error( $counted ) ? $this->refusal( $counted ) : array( 'groups' => array_map( 'array_values', $counted['groups'] ) );
	}

	/**
	 * The result of a list, which the pages and the count must agree with.
	 *
	 * @param array $args The selection.
	 */
	private function list( array $args ): array {
		$page      = ticketd_list_tickets( $args );
		$selection = array_diff_key( $args, self::OF_A_LIST );
		$counted   = ticketd_count_tickets( $selection );
		if ( is_wp_error( $page ) ) {
			if ( $selection === $args ) {
				$this->assertSame( $this->refusal( $page ), $this->refusal( $counted ) );
			}
			return $this->refusal( $page );
		}
		$found = array( 'ids' => array_column( $page['tickets'], 'id' ) );
		if ( isset( $args['after'] ) ) {
			return $found;
		}
		$this->assertSame( array( null, true, count( $found['ids'] ) ), array( $page['next'], $page['stale'], $counted ) );
		$next = null;
		foreach ( array( 1, 2 ) as $limit ) {
			$this->assertSame( $found['ids'], $this->walk( $args + array( 'limit' => $limit ), $next ) );
		}
		return $found + ( isset( $args['sort'] ) ? array( 'next' => $next ) : array() );
	}

	/**
	 * Lists page by page.
	 *
	 * @param array       $args   The selection with its limit.
	 * @param string|null $second Set to the cursor behind the first page.
	 * @return int[] The ids.
	 */
	private function walk( array $args, ?string &$second ): array {
		$ids    = array();
		$after  = array();
		$second = null;
		do {
			$page   = ticketd_list_tickets( $args + $after );
			$ids    = array_merge( $ids, array_column( $page['tickets'], 'id' ) );
			$second = $second ?? $page['next'];
			$after  = array( 'after' => $page['next'] );
		} while ( null !== $page['next'] );
		return $ids;
	}

	/**
	 * The field that a refusal names.
	 *
	 * @param \WP_Error $refusal The refusal.
	 */
	private function refusal( \WP_Error $refusal ): array {
		$this->assertSame( 'ticketd_invalid', $refusal->get_error_code() );
		return array( 'refused' => $refusal->get_error_data()['field'] );
	}
}
