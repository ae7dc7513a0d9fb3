<?php
/**
 * Writes through the plugin's client.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

use Ticketd\Client\Breaker;
use Ticketd\Client\Client;
use Ticketd\Client\Connection;
use Ticketd\Client\Spool;
use Ticketd\Client\SpoolingClient;

/**
 * Each task makes its objects and one connection, as the plugin does in each PHP request.
 */
final class TicketdWay extends Way {
	/** Longer than a busy machine needs: a change that is spooled is no measurement. */
	private const TIMEOUT_MS = 30000;

	/**
	 * Path of the daemon's socket.
	 *
	 * @var string
	 */
	private string $socket;

	/**
	 * The spool folder.
	 *
	 * @var string
	 */
	private string $spool;

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
	 * @param string $spool  The spool folder.
	 */
	public function __construct( string $socket, string $spool ) {
		$this->socket = $socket;
		$this->spool  = $spool;
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
		foreach ( $this->spooling()->set_many( $tickets ) as $outcome ) {
			self::check( $outcome );
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
		self::check( $this->spooling()->set( $id, $fields ) );
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
		$this->client = $this->client
			?? new Client( new Connection( $this->socket ), '', self::TIMEOUT_MS, null, new Breaker( $this->spool ) );
		return $this->client;
	}

	/**
	 * The same with the spool behind it.
	 */
	private function spooling(): SpoolingClient {
		return new SpoolingClient( $this->client(), fn() => new Spool( $this->spool ) );
	}

	/**
	 * Refuses every result that is not a revision of the daemon: a spooled change would falsify the figure.
	 *
	 * @param int|\Throwable $outcome A change's outcome.
	 */
	private static function check( $outcome ): void {
		if ( ! is_int( $outcome ) ) {
			throw $outcome;
		}
		if ( SpoolingClient::UNKNOWN_REVISION === $outcome ) {
			throw new \RuntimeException( 'a change was spooled' );
		}
	}
}
