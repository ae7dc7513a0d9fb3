<?php
/**
 * Shared code of the ways.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

/** How many tickets the benchmarks write to. */
const TICKETS = 1000;

/** How many writes a PHP request makes in the tasks with several. */
const SEVERAL = 10;

/**
 * A way to write and read tickets. A task is the complete work of a PHP request.
 */
abstract class Way {

	/**
	 * Counts the writes of all ways: each goes to the next ticket with values that no way has written before. Written
	 * twice, a row would cost MySQL next to nothing.
	 *
	 * @var int
	 */
	private static int $count = 0;

	/**
	 * Begins to count where no earlier process has counted.
	 *
	 * @param int $count The first number, a multiple of TICKETS.
	 */
	public static function begin( int $count ): void {
		self::$count = $count;
	}

	/**
	 * One write.
	 */
	public function one(): void {
		list( $id, $fields ) = $this->next();
		$this->write( $id, $fields );
	}

	/**
	 * Several writes, one after the other.
	 */
	public function ten(): void {
		for ( $i = 0; $i < SEVERAL; ++$i ) {
			list( $id, $fields ) = $this->next();
			$this->write( $id, $fields );
		}
	}

	/**
	 * One read.
	 */
	public function get(): void {
		list( $id ) = $this->next();
		$this->read( $id );
	}

	/**
	 * Writes fields of a ticket.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	abstract protected function write( int $id, array $fields ): void;

	/**
	 * Reads a ticket.
	 *
	 * @param int $id The ticket's id.
	 */
	abstract protected function read( int $id ): array;

	/**
	 * The next ticket and its new values.
	 *
	 * @return array{0: int, 1: array}
	 */
	protected function next(): array {
		++self::$count;
		$fields = array(
			'status'      => 0 === self::$count % 2 ? 'open' : 'pending',
			'priority'    => 'high',
			'assigned_to' => self::$count,
			'category'    => 'printers',
		);
		return array( self::$count % TICKETS + 1, $fields );
	}
}
