<?php
/**
 * What Query Monitor collects.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\QueryMonitor;

use Ticketd\WordPress\Api;

defined( 'ABSPATH' ) || exit;

/**
 * Collects this page's calls of the daemon.
 */
final class Collector extends \QM_Collector {

	/**
	 * The collector's name in Query Monitor.
	 *
	 * @var string
	 */
	public $id = 'ticketd';

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Takes the daemon's API.
	 *
	 * @param Api $api The daemon's API.
	 */
	public function __construct( Api $api ) {
		parent::__construct();
		$this->api = $api;
	}

	/**
	 * The panel's name.
	 */
	public function name(): string {
		return 'ticketd';
	}

	/**
	 * The calls of this page: the first ones.
	 *
	 * @return array{method: string, ms: float, reason: string}[]
	 */
	public function calls(): array {
		return $this->api->calls()->all();
	}

	/**
	 * How many calls there were.
	 */
	public function count(): int {
		return $this->api->calls()->count();
	}
}
