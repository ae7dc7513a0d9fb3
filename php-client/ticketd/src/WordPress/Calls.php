<?php
/**
 * The calls of this PHP request.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Remembers the calls of the daemon and their times, for the analysis of a slow page. Arguments are not kept: tickets
 * hold customers' texts.
 */
final class Calls {

	/** Most calls that are remembered; an import makes many. */
	private const MOST = 500;

	/**
	 * The calls, in their order.
	 *
	 * @var array[]
	 */
	private array $calls = array();

	/**
	 * The number of calls.
	 *
	 * @var int
	 */
	private int $count = 0;

	/**
	 * Remembers a call.
	 *
	 * @param string $method The protocol's method.
	 * @param float  $begin  When it began, as microtime( true ) says.
	 * @param string $reason Why it failed; empty where it did not.
	 */
	public function add( string $method, float $begin, string $reason ): void {
		++$this->count;
		if ( count( $this->calls ) < self::MOST ) {
			$this->calls[] = array(
				'method' => $method,
				'ms'     => ( microtime( true ) - $begin ) * 1000,
				'reason' => $reason,
			);
		}
	}

	/**
	 * The first calls.
	 *
	 * @return array{method: string, ms: float, reason: string}[]
	 */
	public function all(): array {
		return $this->calls;
	}

	/**
	 * The number of calls.
	 */
	public function count(): int {
		return $this->count;
	}
}
