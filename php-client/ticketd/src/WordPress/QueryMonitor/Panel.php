<?php
/**
 * What Query Monitor shows.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\QueryMonitor;

defined( 'ABSPATH' ) || exit;

/**
 * Shows this page's calls of the daemon: method, time, outcome.
 */
final class Panel extends \QM_Output_Html {

	/**
	 * What has collected.
	 *
	 * @var Collector
	 */
	private Collector $calls;

	/**
	 * Takes what has collected.
	 *
	 * @param Collector $collector What has collected.
	 */
	public function __construct( Collector $collector ) {
		parent::__construct( $collector );
		$this->calls = $collector;
		add_filter( 'qm/output/menus', array( $this, 'admin_menu' ), 120 );
	}

	/**
	 * The panel's name.
	 */
	public function name(): string {
		return 'ticketd';
	}

	/**
	 * Prints the panel.
	 */
	public function output(): void {
		$calls = $this->calls->calls();
		if ( array() === $calls ) {
			$this->before_non_tabular_output();
			echo '<section><p>' . esc_html__( 'This page did not call ticketd.', 'ticketd' ) . '</p></section>';
			$this->after_non_tabular_output();
			return;
		}
		$this->before_tabular_output();
		echo '<thead><tr>';
		$heads = array( __( 'Method', 'ticketd' ), __( 'Milliseconds', 'ticketd' ), __( 'Outcome', 'ticketd' ) );
		foreach ( $heads as $head ) {
			echo '<th scope="col">' . esc_html( $head ) . '</th>';
		}
		echo '</tr></thead><tbody>';
		foreach ( $calls as $call ) {
			printf(
				'<tr%s><td class="qm-ltr">%s</td><td class="qm-num">%s</td><td>%s</td></tr>',
				'' === $call['reason'] ? '' : ' class="qm-warn"',
				esc_html( $call['method'] ),
				esc_html( number_format_i18n( $call['ms'], 2 ) ),
				esc_html( '' === $call['reason'] ? __( 'done', 'ticketd' ) : $call['reason'] )
			);
		}
		echo '</tbody><tfoot><tr>';
		printf(
			'<td>%s</td><td class="qm-num">%s</td><td></td>',
			/* translators: %d: number of calls */
			esc_html( sprintf( _n( '%d call', '%d calls', $this->calls->count(), 'ticketd' ), $this->calls->count() ) ),
			esc_html( number_format_i18n( array_sum( array_column( $calls, 'ms' ) ), 2 ) )
		);
		echo '</tr></tfoot>';
		$this->after_tabular_output();
	}
}
