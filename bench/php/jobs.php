<?php
/**
 * The guide's way with what brings its writes to MySQL. The other half of the first two is in queue.php.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

/**
 * Each write queues the ticket for a worker that waits for it.
 */
final class EventWay extends GuideWay {

	/**
	 * Writes the hash and queues the ticket, in one round trip.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	protected function write( int $id, array $fields ): void {
		$done = $this->redis()->pipeline()->hMSet( "plain:$id", $fields )->rPush( 'plain:queue', $id )->exec();
		if ( ! is_array( $done ) || true !== $done[0] || ! is_int( $done[1] ) ) {
			throw new \RuntimeException( 'Redis has not taken the write' );
		}
	}
}

/**
 * Each write marks the ticket for the next scheduled batch.
 */
final class ScheduledWay extends GuideWay {

	/**
	 * Writes the hash and marks the ticket, in one round trip.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	protected function write( int $id, array $fields ): void {
		$done = $this->redis()->pipeline()->hMSet( "plain:$id", $fields )->sAdd( 'plain:pending', $id )->exec();
		if ( ! is_array( $done ) || true !== $done[0] || ! is_int( $done[1] ) ) {
			throw new \RuntimeException( 'Redis has not taken the write' );
		}
	}
}

/**
 * Each write goes to Redis and, on the connection that WordPress has, to MySQL.
 */
final class ThroughWay extends Way {

	/**
	 * The half that writes to Redis.
	 *
	 * @var GuideWay
	 */
	private GuideWay $cache;

	/**
	 * The half that writes to MySQL.
	 *
	 * @var HeldMysqliWay
	 */
	private HeldMysqliWay $table;

	/**
	 * Takes the addresses.
	 *
	 * @param array $places Where the servers are.
	 */
	public function __construct( array $places ) {
		$this->cache = new GuideWay( $places );
		$this->table = new HeldMysqliWay( $places );
	}

	/**
	 * Writes the hash, then the row.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	protected function write( int $id, array $fields ): void {
		$this->cache->write( $id, $fields );
		$this->table->write( $id, $fields );
	}

	/**
	 * Reads the hash.
	 *
	 * @param int $id The ticket's id.
	 */
	protected function read( int $id ): array {
		return $this->cache->read( $id );
	}
}
