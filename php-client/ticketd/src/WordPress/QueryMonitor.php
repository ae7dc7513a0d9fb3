<?php
/**
 * Query Monitor.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Gives Query Monitor, where it is active, a panel with this page's calls of the daemon.
 */
final class QueryMonitor {

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
		$this->api = $api;
	}

	/**
	 * Adds what collects.
	 *
	 * @param \QM_Collector[] $collectors Those that there are.
	 */
	public function add_collector( array $collectors ): array {
		if ( class_exists( '\QM_Collector' ) ) {
			$collectors['ticketd'] = new QueryMonitor\Collector( $this->api );
		}
		return $collectors;
	}

	/**
	 * Adds the panel.
	 *
	 * @param array  $panels     Those that there are.
	 * @param object $collectors What has collected.
	 */
	public function add_panel( array $panels, $collectors ): array {
		$collector = \QM_Collectors::get( 'ticketd' );
		if ( class_exists( '\QM_Output_Html' ) && null !== $collector ) {
			$panels['ticketd'] = new QueryMonitor\Panel( $collector );
		}
		return $panels;
	}
}
