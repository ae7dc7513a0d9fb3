<?php
/**
 * The progress of a flush.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

defined( 'ABSPATH' ) || exit;

/**
 * Shows a bar on a terminal. WP-CLI makes none where its output goes elsewhere, so what is piped is the result alone.
 */
final class FlushProgress {

	/**
	 * The bar, once the first message gives its length.
	 *
	 * @var \cli\progress\Bar|\WP_CLI\NoOp|null
	 */
	private $bar = null;

	/**
	 * Tickets that the bar shows as done.
	 *
	 * @var int
	 */
	private int $done = 0;

	/**
	 * Moves the bar.
	 *
	 * @param int $done  Tickets done.
	 * @param int $total Tickets to do.
	 */
	public function report( int $done, int $total ): void {
		if ( null === $this->bar ) {
			$this->bar = \WP_CLI\Utils\make_progress_bar( __( 'Flushing tickets', 'ticketd' ), $total );
		}
		$this->bar->tick( max( 0, $done - $this->done ) );
		$this->done = max( $done, $this->done );
	}

	/**
	 * Ends the bar's line, where there is a bar.
	 */
	public function finish(): void {
		if ( null !== $this->bar ) {
			$this->bar->finish();
		}
	}
}
