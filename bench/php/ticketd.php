<?php
/**
 * Writes through the plugin's client.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

use Ticketd\Client\Client;
use Ticketd\Client\Connection;

/**
 * Each task makes one connection, as the plugin does in each PHP request.
 */
final class TicketdWay extends Way {

	/**
	 * Path of the daemon's socket.
	 *
	 * @var string
	 */
	private string $socket;

	/**
	 * The client of the task that runs.
	 *
	 * @var Client|null
	 */
	private ?Client $client = null;

	/**
	 * Takes the address.
	 *
	 * @param string $socket Path of the daemon's socket.
	 */
	public function __construct( string $socket ) {
		$this->socket = $socket;
	}

	/**
	 * One write.
	 */
	public function one(): void {
		parent::one();
		$this->client = null;
	}

	/**
	 * Several writes, one after the other.
	 */
	public function ten(): void {
		parent::ten();
		$this->client = null;
	}

	/**
	 * Several writes in one message.
	 */
	public function batch(): void {
		$tickets = array();
		for ( $i = 0; $i < SEVERAL; ++$i ) {
			list( $id, $fields ) = $this->next();
			$tickets[ $id ]      = $fields;
		}
		foreach ( $this->client()->set_many( $tickets ) as $outcome ) {
			if ( ! is_int( $outcome ) ) {
				throw $outcome;
			}
		}
		$this->client = null;
	}

	/**
	 * One read.
	 */
	public function get(): void {
		parent::get();
		$this->client = null;
	}

	/**
	 * Merges the fields into the ticket.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields Values by field name.
	 */
	protected function write( int $id, array $fields ): void {
		$this->client()->set( $id, $fields );
	}

	/**
	 * Reads the ticket.
	 *
	 * @param int $id The ticket's id.
	 */
	protected function read( int $id ): array {
		return $this->client()->get( $id );
	}

	/**
	 * The task's client.
	 */
	private function client(): Client {
		$this->client = $this->client ?? new Client( new Connection( $this->socket ) );
		return $this->client;
	}
}
