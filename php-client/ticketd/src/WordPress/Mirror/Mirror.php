<?php
/**
 * Tickets of a help desk plugin, mirrored.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Mirror;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Database;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Copies tickets of a help desk plugin to ticketd, in this direction alone. The plugin's tables stay the truth: nothing
 * of the plugin is intercepted, and what ticketd's users change in a mirrored ticket is overwritten.
 *
 * A copy compares ticketd's ticket with the row, sends the fields that differ, and compares again. Whoever sends the
 * last change of a ticket also compares last, so that two processes cannot leave an older value behind. A process that
 * ends before its copy does leaves a difference: the watchdog's look and `wp ticketd mirror verify` repair it.
 */
final class Mirror {

	/** Option with the source's name. */
	public const OPTION = 'ticketd_mirror';

	/** Option with the id up to which the watchdog has looked. */
	public const PLACE = 'ticketd_mirror_place';

	/** The field that says whose copy a ticket is. */
	public const FIELD = 'mirror_of';

	/** Fields that are never NULL in ticketd's table: without a value the table's default counts. */
	private const NEVER_NULL = array( 'subject', 'status', 'created_at', 'updated_at' );

	/** How often a ticket is compared at most while others change it. */
	private const TRIES = 5;

	/** Tickets of a call. */
	private const PAGE = 200;

	/** Pages of a watchdog's look, and its time in nanoseconds: reading each ticket makes a copy in Redis. */
	private const LOOK_PAGES = 5;
	private const LOOK_NS    = 10000000000;

	/** Where a look begins: which ids, the last id, and how far to go. */
	private const BEGIN = 'source_ids 0 few';

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The source.
	 *
	 * @var Source
	 */
	private Source $source;

	/**
	 * Takes the parts.
	 *
	 * @param Api    $api    The daemon's API.
	 * @param Source $source The source.
	 */
	public function __construct( Api $api, Source $source ) {
		$this->api    = $api;
		$this->source = $source;
	}

	/**
	 * The current blog's mirror; null where the blog has none.
	 *
	 * @param Api $api The daemon's API.
	 */
	public static function of_blog( Api $api ): ?self {
		$name   = get_option( self::OPTION );
		$source = is_string( $name ) && '' !== $name ? Source::of( $name ) : null;
		return null === $source ? null : new self( $api, $source );
	}

	/**
	 * The source.
	 */
	public function source(): Source {
		return $this->source;
	}

	/**
	 * Copies tickets.
	 *
	 * @param int[] $ids Their ids.
	 * @return array{copied: int, problems: array<int, string>} How many changes were sent, and why others were not, by
	 *         id; by 0 what concerns all.
	 */
	public function copy( array $ids ): array {
		global $wpdb;

		if ( method_exists( $wpdb, 'send_reads_to_masters' ) ) {
			$wpdb->send_reads_to_masters(); // HyperDB: a replica may not have the rows yet, and they would be deleted.
		}
		$report = array(
			'copied'   => 0,
			'problems' => array(),
		);
		foreach ( array_chunk( array_values( array_unique( $ids ) ), self::PAGE ) as $some ) {
			for ( $try = 1; array() !== $some; $try++ ) {
				$found = $this->compare( $some );
				if ( is_wp_error( $found ) ) {
					$report['problems'][0] = $found->get_error_message();
					return $report;
				}
				$some = array_keys( array_diff_key( $found, $report['problems'] ) );
				if ( $try > self::TRIES && array() !== $some ) {
					$text                = __( 'The ticket changes faster than it is copied.', 'ticketd' );
					$report['problems'] += array_fill_keys( $some, $text );
					break;
				}
				$this->send( $found, $report );
			}
		}
		return $report;
	}

	/**
	 * Compares tickets with the source.
	 *
	 * @param int[] $ids Ids, at most PAGE.
	 * @return array<int, array|null|string>|\WP_Error By id of the tickets that differ: the fields that ticketd lacks;
	 *         null for a ticket that the source has no longer; a text for a ticket that is not the mirror's.
	 */
	public function compare( array $ids ) {
		$tickets = $this->api->get_many( $ids );
		if ( is_wp_error( $tickets ) ) {
			return $tickets;
		}
		$rows = $this->source->read( $ids );
		if ( null === $rows ) {
			return new \WP_Error( 'ticketd_database', $this->source->problem() );
		}
		$found = array();
		foreach ( $ids as $id ) {
			$ticket = $tickets[ $id ]['fields'] ?? null;
			$row    = isset( $rows[ $id ] ) ? $rows[ $id ] + array( self::FIELD => $this->source->name() ) : null;
			if ( null !== $ticket && ( $ticket[ self::FIELD ] ?? null ) !== $this->source->name() ) {
				if ( null !== $row ) {
					$found[ $id ] = __( 'ticketd has a ticket of its own with this id.', 'ticketd' );
				}
				continue;
			}
			if ( null === $row ) {
				if ( null !== $ticket ) {
					$found[ $id ] = null;
				}
				continue;
			}
			$lacks = array_filter(
				$row,
				static fn( ?string $value, string $field ): bool => self::text( $ticket[ $field ] ?? null ) !== $value
					&& ( null !== $value || ! in_array( $field, self::NEVER_NULL, true ) ),
				ARRAY_FILTER_USE_BOTH
			);
			if ( array() !== $lacks ) {
				// Otherwise ticketd would set the time of the change itself.
				$found[ $id ] = $lacks + array_filter( array_intersect_key( $row, array( 'updated_at' => 0 ) ) );
			}
		}
		return $found;
	}

	/**
	 * Copies or compares all tickets.
	 *
	 * @param bool          $is_repair Whether differences are repaired.
	 * @param callable|null $progress  Called with the number of tickets after each page.
	 * @return array{tickets: int, different: array<int, string>, copied: int, problems: array<int, string>} Of the
	 *         different tickets the fields, by id; of a ticket that the source has no longer `-`.
	 */
	public function all( bool $is_repair, ?callable $progress = null ): array {
		$report = array(
			'tickets'   => 0,
			'different' => array(),
			'copied'    => 0,
			'problems'  => array(),
		);
		foreach ( array( 'source_ids', 'mirrored_ids' ) as $pages ) {
			$after = 0;
			do {
				$ids = $this->$pages( $after );
				if ( null === $ids ) {
					$report['problems'][0] = 'source_ids' === $pages
						? $this->source->problem()
						: __( 'The database does not answer.', 'ticketd' );
					return $report;
				}
				$after = array() === $ids ? 0 : end( $ids );
				$this->page( $ids, $is_repair, $report );
				$report['tickets'] += 'source_ids' === $pages ? count( $ids ) : 0;
				null === $progress || $progress( $report['tickets'] );
			} while ( array() !== $ids && ! isset( $report['problems'][0] ) );
		}
		return $report;
	}

	/**
	 * Compares and repairs the next tickets: at a look of the watchdog. After look_at_all() it goes on to the last
	 * ticket, over several looks if need be.
	 */
	public function look(): void {
		$until = hrtime( true ) + self::LOOK_NS;
		add_option( self::PLACE, self::BEGIN, '', false );
		$place = (string) get_option( self::PLACE, self::BEGIN );

		list( $pages, $after, $reach ) = explode( ' ', $place ) + explode( ' ', self::BEGIN );
		for ( $page = 1; 'all' === $reach || $page <= self::LOOK_PAGES; $page++ ) {
			$ids = 'mirrored_ids' === $pages ? $this->mirrored_ids( (int) $after ) : $this->source_ids( (int) $after );
			if ( null === $ids || isset( $this->copy( $ids )['problems'][0] ) ) {
				break; // The next look begins here.
			}
			$is_end = array() === $ids;
			$after  = $is_end ? 0 : end( $ids );
			if ( $is_end && 'mirrored_ids' === $pages ) {
				$pages = 'source_ids';
				$reach = 'few';
				break;
			}
			$pages = $is_end ? 'mirrored_ids' : $pages;
			if ( hrtime( true ) > $until ) {
				break;
			}
		}
		$this->go_on( $place, "$pages $after $reach" );
	}

	/**
	 * Notes where the next look begins, unless another process has changed the place since this look began: by
	 * look_at_all() or another look.
	 *
	 * @param string $from The place where this look began.
	 * @param string $to   Where the next one begins.
	 */
	private function go_on( string $from, string $to ): void {
		global $wpdb;

		Database::change( // update_option() would compare with what this process has cached.
			"UPDATE `{$wpdb->options}` SET option_value = %s WHERE option_name = %s AND option_value = %s",
			array( $to, self::PLACE, $from )
		);
		wp_cache_delete( self::PLACE, 'options' );
	}

	/**
	 * Makes the watchdog compare all tickets, from the first.
	 */
	public static function look_at_all(): void {
		// The id at its end makes each call's place another one, also for a look that such a call began.
		update_option( self::PLACE, 'source_ids 0 all ' . wp_generate_uuid4(), false );
	}

	/**
	 * Compares a page.
	 *
	 * @param int[] $ids       Ids.
	 * @param bool  $is_repair Whether differences are repaired.
	 * @param array $report    The report, see all().
	 */
	private function page( array $ids, bool $is_repair, array &$report ): void {
		$found = array() === $ids ? array() : $this->compare( $ids );
		if ( is_wp_error( $found ) ) {
			$report['problems'][0] = $found->get_error_message();
			return;
		}
		foreach ( $found as $id => $lacks ) {
			if ( is_string( $lacks ) ) {
				$report['problems'][ $id ] = $lacks;
			} else {
				$report['different'][ $id ] = null === $lacks ? '-' : implode( ', ', array_keys( $lacks ) );
			}
		}
		if ( $is_repair && array() !== $found ) {
			$done                = $this->copy( array_keys( $found ) );
			$report['copied']   += $done['copied'];
			$report['problems'] += $done['problems'];
		}
	}

	/**
	 * The next ids of the source.
	 *
	 * @param int $after Ids above this one.
	 * @return int[]|null
	 */
	private function source_ids( int $after ): ?array {
		return $this->source->next( $after, self::PAGE );
	}

	/**
	 * The next ids of ticketd's table.
	 *
	 * @param int $after Ids above this one.
	 * @return int[]|null
	 */
	private function mirrored_ids( int $after ): ?array {
		$table = ( new Settings() )->table();
		$rows  = ! Database::is_table_name( $table ) ? null : Database::rows(
			"SELECT `ticket_id` AS `id` FROM `$table` WHERE `ticket_id` > %d AND `deleted_at` IS NULL"
				. ' ORDER BY 1 LIMIT %d',
			array( $after, self::PAGE )
		);
		return null === $rows ? null : array_map( 'intval', array_column( $rows, 'id' ) );
	}

	/**
	 * Sends what ticketd lacks.
	 *
	 * @param array $found  What compare() found.
	 * @param array $report The report, see copy().
	 */
	private function send( array $found, array &$report ): void {
		$changes = array_filter( $found, 'is_array' );
		foreach ( array_filter( $found, 'is_string' ) as $id => $problem ) {
			$this->note( $id, new \WP_Error( 'ticketd_exists', $problem ), $report );
		}
		foreach ( $this->gone( array_keys( array_filter( $found, 'is_null' ) ) ) as $id ) {
			$this->note( $id, $this->api->delete( $id ), $report );
		}
		$done = array() === $changes ? array() : $this->api->set_many( $changes );
		$done = is_wp_error( $done ) ? array_fill_keys( array_keys( $changes ), $done ) : $done;
		foreach ( $done as $id => $revision ) {
			$this->note( $id, $revision, $report );
		}
	}

	/**
	 * Those tickets that the source has no longer, at a second look: of a ticket that moves from one table to another
	 * (an archive) between the queries, the first look finds the row in neither.
	 *
	 * @param int[] $ids Ids that the first look did not find.
	 * @return int[]
	 */
	private function gone( array $ids ): array {
		$rows = array() === $ids ? array() : $this->source->read( $ids );
		return null === $rows ? array() : array_values( array_diff( $ids, array_keys( $rows ) ) );
	}

	/**
	 * Notes the outcome of a change.
	 *
	 * @param int   $id     The ticket's id.
	 * @param mixed $done   A WP_Error, or not.
	 * @param array $report The report, see copy().
	 */
	private function note( int $id, $done, array &$report ): void {
		if ( ! is_wp_error( $done ) ) {
			++$report['copied'];
			return;
		}
		$field                     = (string) ( ( (array) $done->get_error_data() )['field'] ?? '' );
		$report['problems'][ $id ] = ( '' === $field ? '' : "$field: " ) . $done->get_error_message();
	}

	/**
	 * A field's value as text.
	 *
	 * @param mixed $value Text, number or null.
	 */
	private static function text( $value ): ?string {
		return null === $value ? null : (string) $value;
	}
}
