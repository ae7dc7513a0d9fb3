<?php
/**
 * The table of a help desk plugin.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Mirror;

use Ticketd\WordPress\Database;

defined( 'ABSPATH' ) || exit;

/**
 * Reads tickets of a help desk plugin that keeps them in tables of its own, as fields of ticketd. A source has
 *
 * - `tables`: the tables with tickets, without the prefix; a ticket is in one of them;
 * - `fields`: an SQL expression by field, in which `t` is such a table and {prefix} the blog's prefix;
 * - `joins`: SQL of joins, or empty;
 * - `local`: the fields whose times are in the blog's time zone; other times are UTC.
 *
 * The key of all tables is a column `id`.
 */
final class Source {

	/** The sources that the plugin knows. */
	private const KNOWN = array(
		'supportcandy'   => array(
			'tables' => array( 'psmsc_tickets', 'psmsc_archived_tickets' ),
			'joins'  => 'LEFT JOIN {prefix}psmsc_customers c ON c.id = t.customer'
				. ' LEFT JOIN {prefix}psmsc_statuses s ON s.id = t.status'
				. ' LEFT JOIN {prefix}psmsc_priorities p ON p.id = t.priority'
				. ' LEFT JOIN {prefix}psmsc_categories k ON k.id = t.category'
				. " LEFT JOIN {prefix}psmsc_agents a ON a.id = SUBSTRING_INDEX(t.assigned_agent, '|', 1)",
			'fields' => array(
				'customer_id'    => 'NULLIF(c.user, 0)',
				'customer_name'  => 'LEFT(c.name, 100)',
				'customer_email' => 'c.email',
				'subject'        => 'LEFT(t.subject, 255)',
				'status'         => 'LEFT(COALESCE(s.name, t.status), 32)',
				'category'       => 'LEFT(k.name, 64)',
				'priority'       => 'LEFT(p.name, 32)',
				'assigned_to'    => 'NULLIF(a.user, 0)',
				'created_at'     => 't.date_created',
				'updated_at'     => 't.date_updated',
				'closed_at'      => 't.date_closed',
				'is_active'      => 't.is_active',
			),
			'local'  => array(),
		),
		'fluent-support' => array(
			'tables' => array( 'fs_tickets' ),
			'joins'  => 'LEFT JOIN {prefix}fs_persons c ON c.id = t.customer_id'
				. ' LEFT JOIN {prefix}fs_persons a ON a.id = t.agent_id'
				. ' LEFT JOIN {prefix}fs_products k ON k.id = t.product_id',
			'fields' => array(
				'customer_id'    => 'NULLIF(c.user_id, 0)',
				'customer_name'  => "LEFT(CONCAT_WS(' ', c.first_name, c.last_name), 100)",
				'customer_email' => 'c.email',
				'subject'        => 'LEFT(t.title, 255)',
				'status'         => 'LEFT(t.status, 32)',
				'category'       => 'LEFT(k.title, 64)',
				'priority'       => 'LEFT(t.priority, 32)',
				'assigned_to'    => 'NULLIF(a.user_id, 0)',
				'created_at'     => 't.created_at',
				'updated_at'     => 't.updated_at',
				'closed_at'      => 't.resolved_at',
				'replies'        => 't.response_count',
			),
			'local'  => array( 'created_at', 'updated_at', 'closed_at' ),
		),
	);

	/**
	 * The source's name.
	 *
	 * @var string
	 */
	private string $name;

	/**
	 * What the source has, see above.
	 *
	 * @var array
	 */
	private array $parts;

	/**
	 * Takes a source.
	 *
	 * @param string $name  Its name.
	 * @param array  $parts What it has.
	 */
	private function __construct( string $name, array $parts ) {
		$this->name  = $name;
		$this->parts = $parts;
	}

	/**
	 * The names of the sources.
	 *
	 * @return string[]
	 */
	public static function names(): array {
		return array_map( 'strval', array_keys( self::known() ) );
	}

	/**
	 * The source of a name; null for an unknown name.
	 *
	 * @param string $name The name.
	 */
	public static function of( string $name ): ?self {
		$parts = self::known()[ $name ] ?? null;
		return isset( $parts['fields'], $parts['tables'][0] ) ? new self( $name, $parts ) : null;
	}

	/**
	 * The sources by name.
	 */
	private static function known(): array {
		/**
		 * Filters the help desks whose tickets ticketd can mirror. The class Ticketd\WordPress\Mirror\Source says what
		 * a source has.
		 *
		 * @param array $sources Sources by name.
		 */
		return (array) apply_filters( 'ticketd_mirror_sources', self::KNOWN );
	}

	/**
	 * The source's name.
	 */
	public function name(): string {
		return $this->name;
	}

	/**
	 * The tables' names.
	 *
	 * @return string[]
	 */
	public function tables(): array {
		global $wpdb;

		return array_map( static fn( $name ): string => $wpdb->prefix . $name, (array) $this->parts['tables'] );
	}

	/**
	 * Reads tickets.
	 *
	 * @param int[] $ids Their ids.
	 * @return array<int, array<string, string|null>>|null Fields by id, of those that are there; null: it is not
	 *         known which are there, see problem().
	 */
	public function read( array $ids ): ?array {
		global $wpdb;

		$fields = array( 't.`id` AS `id`' );
		foreach ( $this->parts['fields'] as $field => $expression ) {
			$fields[] = "$expression AS `$field`";
		}
		$selected = implode( ', ', $fields );
		$joins    = (string) ( $this->parts['joins'] ?? '' );
		$places   = implode( ', ', array_fill( 0, count( $ids ), '%d' ) );
		$tickets  = array();
		$tables   = $this->readable();
		if ( null === $tables ) {
			return null;
		}
		foreach ( array_reverse( $tables ) as $table ) { // The first table counts.
			$sql  = "SELECT $selected FROM `$table` t $joins WHERE t.`id` IN ($places)";
			$rows = Database::rows( str_replace( '{prefix}', $wpdb->prefix, $sql ), $ids );
			if ( null === $rows ) {
				return null;
			}
			foreach ( $rows as $row ) {
				$tickets[ (int) $row['id'] ] = $this->fields( $row );
			}
		}
		return $tickets;
	}

	/**
	 * The next ids.
	 *
	 * @param int $after Ids above this one.
	 * @param int $limit How many at most.
	 * @return int[]|null In their order; null: they are not known, see problem().
	 */
	public function next( int $after, int $limit ): ?array {
		$all    = array();
		$tables = $this->readable();
		if ( null === $tables ) {
			return null;
		}
		foreach ( $tables as $table ) {
			$sql  = "SELECT `id` FROM `$table` WHERE `id` > %d ORDER BY `id` LIMIT %d";
			$rows = Database::rows( $sql, array( $after, $limit ) );
			if ( null === $rows ) {
				return null;
			}
			array_push( $all, ...array_map( 'intval', array_column( $rows, 'id' ) ) );
		}
		$all = array_unique( $all );
		sort( $all );
		return array_slice( $all, 0, $limit );
	}

	/**
	 * Whether the first table is there.
	 */
	public function is_there(): bool {
		return null !== $this->readable();
	}

	/**
	 * Why tickets cannot be read.
	 */
	public function problem(): string {
		$existing = $this->existing();
		if ( null === $existing || in_array( $this->tables()[0], $existing, true ) ) {
			return __( 'The help desk\'s tables cannot be read.', 'ticketd' );
		}
		/* translators: %s: name of a table */
		return sprintf( __( 'The database has no table %s.', 'ticketd' ), $this->tables()[0] );
	}

	/**
	 * The tables to read. Without the first table the help desk is not there, and says nothing about its tickets: it
	 * may have been uninstalled, or a restore is under way.
	 *
	 * @return string[]|null Null: nothing is known about the tickets.
	 */
	private function readable(): ?array {
		$existing = $this->existing();
		return null !== $existing && in_array( $this->tables()[0], $existing, true ) ? $existing : null;
	}

	/**
	 * The tables that are there.
	 *
	 * @return string[]|null Null: the database does not answer.
	 */
	private function existing(): ?array {
		$existing = array();
		foreach ( array_filter( $this->tables(), array( Database::class, 'is_table_name' ) ) as $name ) {
			$rows = Database::rows( 'SHOW TABLES LIKE %s', array( addcslashes( $name, '_%\\' ) ) );
			if ( null === $rows ) {
				return null;
			}
			if ( array() !== $rows ) {
				$existing[] = $name;
			}
		}
		return $existing;
	}

	/**
	 * The fields of a row, as ticketd returns them.
	 *
	 * @param array $row Texts or null by field, and `id`.
	 * @return array<string, string|null>
	 */
	private function fields( array $row ): array {
		unset( $row['id'] );
		foreach ( $row as $field => $value ) {
			if ( null === $value || 0 === strpos( $value, '0000-00-00' ) ) {
				$row[ $field ] = null;
			} elseif ( in_array( $field, (array) ( $this->parts['local'] ?? array() ), true ) ) {
				$row[ $field ] = get_gmt_from_date( $value );
			}
		}
		return $row;
	}
}
