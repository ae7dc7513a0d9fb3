<?php
/**
 * The alternatives to ticketd.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

/**
 * The guide's way: each write connects, authenticates, selects the database and writes the ticket's hash.
 */
class GuideWay extends Way {

	/**
	 * Where the servers are.
	 *
	 * @var array
	 */
	protected array $places;

	/**
	 * Takes the addresses.
	 *
	 * @param array $places Where the servers are.
	 */
	public function __construct( array $places ) {
		$this->places = $places;
	}

	/**
	 * Writes the hash.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	protected function write( int $id, array $fields ): void {
		if ( true !== $this->redis()->hMSet( "plain:$id", $fields ) ) {
			throw new \RuntimeException( 'Redis has not taken the write' );
		}
	}

	/**
	 * Reads the hash.
	 *
	 * @param int $id The ticket's id.
	 */
	protected function read( int $id ): array {
		$ticket = $this->redis()->hGetAll( "plain:$id" );
		if ( ! isset( $ticket['status'] ) ) {
			throw new \RuntimeException( 'Redis does not have the ticket' );
		}
		return $ticket;
	}

	/**
	 * A usable connection, which closes with its last reference.
	 */
	protected function redis(): \Redis {
		$redis = new \Redis();
		if ( '' === $this->places['redis_ca'] ) {
			$redis->connect( $this->places['redis'], $this->places['redis_port'] );
		} else {
			$trust = array( 'stream' => array( 'cafile' => $this->places['redis_ca'] ) );
			$redis->connect( $this->places['redis'], $this->places['redis_port'], 0, null, 0, 0, $trust );
		}
		$redis->auth( $this->places['redis_password'] );
		$redis->select( 1 );
		return $redis;
	}
}

/**
 * The guide's way with phpredis' own persistent connections.
 */
final class PersistentWay extends GuideWay {

	/**
	 * The connection of this process, with a new AUTH and SELECT each time, because no code can know who used it
	 * before.
	 */
	protected function redis(): \Redis {
		$redis = new \Redis();
		if ( '' === $this->places['redis_ca'] ) {
			$redis->pconnect( $this->places['redis'], $this->places['redis_port'] );
		} else {
			$trust = array( 'stream' => array( 'cafile' => $this->places['redis_ca'] ) );
			$redis->pconnect( $this->places['redis'], $this->places['redis_port'], 0, 'tls', 0, 0, $trust );
		}
		$redis->auth( $this->places['redis_password'] );
		$redis->select( 1 );
		return $redis;
	}
}

/**
 * One connection for all writes, which PHP-FPM cannot have.
 */
final class HeldWay extends GuideWay {

	/**
	 * The connection.
	 *
	 * @var \Redis|null
	 */
	private ?\Redis $held = null;

	/**
	 * The one connection.
	 */
	protected function redis(): \Redis {
		$this->held = $this->held ?? parent::redis();
		return $this->held;
	}
}

/**
 * A write to the table itself, as $wpdb sends it, on a connection of its own.
 */
class MysqliWay extends Way {

	/**
	 * Where the servers are.
	 *
	 * @var array
	 */
	private array $places;

	/**
	 * Takes the addresses.
	 *
	 * @param array $places Where the servers are.
	 */
	public function __construct( array $places ) {
		$this->places = $places;
	}

	/**
	 * Inserts or updates the row.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	protected function write( int $id, array $fields ): void {
		$values = sprintf(
			"(%d, '%s', '%s', %d, '%s', NOW())",
			$id,
			$fields['status'],
			$fields['priority'],
			$fields['assigned_to'],
			$fields['category']
		);
		$mysqli = $this->mysqli();
		$mysqli->query(
			'INSERT INTO plain_tickets (ticket_id, status, priority, assigned_to, category, updated_at) VALUES ' . $values .
			' ON DUPLICATE KEY UPDATE status = VALUES(status), priority = VALUES(priority), assigned_to = VALUES(assigned_to),' .
			' category = VALUES(category), updated_at = VALUES(updated_at)'
		);
		if ( $mysqli->affected_rows < 1 ) {
			throw new \RuntimeException( 'MySQL has not changed the row' );
		}
	}

	/**
	 * Reads the row.
	 *
	 * @param int $id The ticket's id.
	 */
	protected function read( int $id ): array {
		return $this->mysqli()->query( "SELECT * FROM plain_tickets WHERE ticket_id = $id" )->fetch_assoc();
	}

	/**
	 * A connection, prepared as $wpdb does, which closes with its last reference.
	 */
	protected function mysqli(): \mysqli {
		$mysqli = new \mysqli( 'localhost', 'root', '', $this->places['database'], 0, $this->places['mysql'] );
		$mysqli->set_charset( 'utf8mb4' );
		$mysqli->query( 'SELECT @@SESSION.sql_mode' );
		$mysqli->query( "SET SESSION sql_mode='NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'" );
		return $mysqli;
	}
}

/**
 * The same on one connection, as a WordPress request that has its $wpdb already does it.
 */
final class HeldMysqliWay extends MysqliWay {

	/**
	 * The connection.
	 *
	 * @var \mysqli|null
	 */
	private ?\mysqli $held = null;

	/**
	 * The one connection.
	 */
	protected function mysqli(): \mysqli {
		$this->held = $this->held ?? parent::mysqli();
		return $this->held;
	}
}
