<?php
/**
 * The status screen.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\Client\Spool;
use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Format;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the state of the daemon. Without a script it is a page to reload; with a script the numbers and charts
 * follow.
 */
final class StatusScreen {

	/**
	 * The daemon's state.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * The checks.
	 *
	 * @var Checks
	 */
	private Checks $checks;

	/**
	 * Takes the parts.
	 *
	 * @param Health $health The daemon's state.
	 * @param Checks $checks The checks.
	 */
	public function __construct( Health $health, Checks $checks ) {
		$this->health = $health;
		$this->checks = $checks;
	}

	/**
	 * Checks the user's rights.
	 */
	public function load(): void {
		if ( ! current_user_can( Capabilities::MANAGE ) ) {
			wp_die( esc_html__( 'Sorry, you are not allowed to manage ticketd.', 'ticketd' ), 403 );
		}
		$this->health->learn();
	}

	/**
	 * Prints the page.
	 */
	public function render(): void {
		$status = $this->health->status();
		echo '<div class="wrap ticketd-screen">';
		printf(
			'<h1 class="wp-heading-inline">%s</h1><hr class="wp-header-end">',
			esc_html__( 'ticketd status', 'ticketd' )
		);
		Messages::show();
		echo '<p id="ticketd-lost" class="notice notice-error" role="alert" hidden></p>';
		if ( ! is_wp_error( $status ) ) {
			$this->show_flush();
			$this->show_charts();
			$this->show_table( StatusTable::values( $status ) );
			$this->show_destinations();
		} else {
			self::show_spool();
		}
		$this->show_checks();
		$this->show_diagnostics();
		echo '</div>';
	}

	/**
	 * The script's data.
	 */
	public static function script_data(): array {
		return array(
			'status' => rest_url( 'ticketd/v1/operations/status' ),
			'flush'  => rest_url( 'ticketd/v1/operations/flush' ),
			'nonce'  => wp_create_nonce( 'wp_rest' ),
			'locale' => str_replace( '_', '-', get_user_locale() ),
			'texts'  => array(
				/* translators: 1: number now, 2: highest number shown */
				'summary'  => __( 'Now %1$s, highest %2$s.', 'ticketd' ),
				/* translators: %s: number of seconds */
				'ago'      => __( '%s s ago', 'ticketd' ),
				'now'      => __( 'now', 'ticketd' ),
				'pause'    => __( 'Pause', 'ticketd' ),
				'resume'   => __( 'Resume', 'ticketd' ),
				/* translators: 1, 2: numbers of tickets */
				'progress' => __( 'Tickets flushed: %1$s of %2$s.', 'ticketd' ),
				/* translators: 1, 2: numbers of tickets */
				'flushed'  => __( 'Done. Tickets flushed: %1$s; rejected: %2$s.', 'ticketd' ),
				'starting' => __( 'Flushing …', 'ticketd' ),
				/* translators: %s: the reason */
				'failed'   => __( 'Not flushed: %s', 'ticketd' ),
				/* translators: %s: the reason */
				'lost'     => __( 'The status cannot be read: %s', 'ticketd' ),
				'copied'   => __( 'Copied.', 'ticketd' ),
			),
		);
	}

	/**
	 * Prints the flush.
	 */
	private function show_flush(): void {
		printf( '<form id="ticketd-flush" method="post" action="%s">', esc_url( admin_url( 'admin-post.php' ) ) );
		printf( '<input type="hidden" name="action" value="%s" />', esc_attr( Operations::FLUSH ) );
		wp_nonce_field( Operations::FLUSH );
		printf(
			'<button type="submit" class="button button-primary">%s</button> ',
			esc_html__( 'Flush now', 'ticketd' )
		);
		printf(
			'<progress id="ticketd-progress" max="1" value="0" aria-label="%s" hidden></progress> '
			. '<span id="ticketd-flush-text" role="status"></span>',
			esc_attr__( 'Progress of the flush', 'ticketd' )
		);
		printf(
			'<p class="description">%s</p></form>',
			esc_html__( 'Flushes all pending changes to the database, whatever the strategy.', 'ticketd' )
		);
	}

	/**
	 * Prints the charts' places; the script draws them.
	 */
	private function show_charts(): void {
		$charts = array(
			'dirty'  => __( 'Pending tickets', 'ticketd' ),
			'rate'   => __( 'Flushed tickets per second', 'ticketd' ),
			'oldest' => __( 'Lag, in seconds', 'ticketd' ),
		);
		echo '<div id="ticketd-charts" class="ticketd-charts" hidden>';
		foreach ( $charts as $name => $title ) {
			printf(
				'<figure class="ticketd-chart" data-chart="%1$s"><figcaption id="ticketd-chart-%1$s">%2$s</figcaption>'
				. '<svg viewBox="0 0 320 120" role="img" focusable="false" '
				. 'aria-labelledby="ticketd-chart-%1$s ticketd-chart-%1$s-text"></svg>'
				. '<p id="ticketd-chart-%1$s-text"></p></figure>',
				esc_attr( $name ),
				esc_html( $title )
			);
		}
		printf(
			'<p><button type="button" id="ticketd-pause" class="button">%s</button></p></div>',
			esc_html__( 'Pause', 'ticketd' )
		);
	}

	/**
	 * Prints the numbers.
	 *
	 * @param array<string, string> $values Texts by key.
	 */
	private function show_table( array $values ): void {
		$letters = Screens::url( Screens::DEAD );
		echo '<div class="ticketd-groups">';
		foreach ( StatusTable::groups() as $heading => $labels ) {
			printf( '<section><h2>%s</h2><table class="widefat striped"><tbody>', esc_html( $heading ) );
			foreach ( $labels as $key => $label ) {
				$more = 'dead' === $key && '0' !== $values[ $key ]
					? sprintf( ' <a href="%s">%s</a>', esc_url( $letters ), esc_html__( 'Show', 'ticketd' ) )
					: '';
				printf(
					'<tr><th scope="row">%1$s</th><td><span data-status="%2$s">%3$s</span>%4$s</td></tr>',
					esc_html( $label ),
					esc_attr( $key ),
					esc_html( $values[ $key ] ),
					// phpcs:ignore WordPress.Security.EscapeOutput -- Escaped above.
					$more
				);
			}
			echo '</tbody></table></section>';
		}
		echo '</div>';
	}

	/**
	 * Prints the feed's destinations, where the site has a feed.
	 */
	private function show_destinations(): void {
		$feed = $this->health->feed();
		if ( ! is_array( $feed ) || array() === $feed['destinations'] ) {
			return;
		}
		$columns = array(
			__( 'Destination', 'ticketd' ),
			__( 'Kind', 'ticketd' ),
			__( 'State', 'ticketd' ),
			__( 'Events sent', 'ticketd' ),
			__( 'Actions', 'ticketd' ),
		);
		printf( '<h2 id="ticketd-feed-title">%s</h2>', esc_html__( 'Change feed', 'ticketd' ) );
		echo '<table class="widefat striped" id="ticketd-feed" aria-labelledby="ticketd-feed-title"><thead><tr>';
		foreach ( $columns as $column ) {
			printf( '<th scope="col">%s</th>', esc_html( $column ) );
		}
		echo '</tr></thead><tbody>';
		foreach ( $feed['destinations'] as $destination ) {
			printf(
				'<tr><th scope="row">%s</th><td data-label="%s">%s</td><td data-label="%s">%s</td>'
				. '<td data-label="%s">%s</td><td>',
				esc_html( $destination['name'] ),
				esc_attr( $columns[1] ),
				esc_html( $destination['kind'] ),
				esc_attr( $columns[2] ),
				esc_html( Format::destination( $destination ) ),
				esc_attr( $columns[3] ),
				esc_html( number_format_i18n( $destination['sent'] ) )
			);
			self::show_actions( $destination );
			echo '</td></tr>';
		}
		echo '</tbody></table>';
	}

	/**
	 * Prints what can be done with a destination of the feed.
	 *
	 * @param array $destination The destination.
	 */
	private static function show_actions( array $destination ): void {
		$is_stopped = 'stopped' === $destination['state'];
		$actions    = array(
			/* translators: %s: name of a destination */
			'test'                           => array( __( 'Test', 'ticketd' ), __( 'Test %s', 'ticketd' ) ),
			$is_stopped ? 'resume' : 'pause' => $is_stopped
				/* translators: %s: name of a destination */
				? array( __( 'Resume', 'ticketd' ), __( 'Resume %s', 'ticketd' ) )
				/* translators: %s: name of a destination */
				: array( __( 'Pause', 'ticketd' ), __( 'Pause %s', 'ticketd' ) ),
		);
		printf( '<form method="post" action="%s">', esc_url( admin_url( 'admin-post.php' ) ) );
		printf( '<input type="hidden" name="action" value="%s" />', esc_attr( Operations::FEED ) );
		printf( '<input type="hidden" name="name" value="%s" />', esc_attr( $destination['name'] ) );
		wp_nonce_field( Operations::FEED, '_wpnonce', true );
		foreach ( $actions as $action => list( $label, $name ) ) {
			printf(
				'<button type="submit" class="button" name="do" value="%s" aria-label="%s">%s</button> ',
				esc_attr( $action ),
				esc_attr( sprintf( $name, $destination['name'] ) ),
				esc_html( $label )
			);
		}
		echo '</form>';
	}

	/**
	 * Prints what is known without the daemon: how many changes are pending until it is back.
	 */
	private static function show_spool(): void {
		$backlog = ( new Spool( ( new Settings() )->spool() ) )->backlog();
		/* translators: %s: number of changes */
		$text = _n(
			'%s change is pending in the spool of this server; ticketd ingests it when it is back.',
			'%s changes are pending in the spool of this server; ticketd ingests them when it is back.',
			$backlog,
			'ticketd'
		);
		printf( '<p id="ticketd-backlog">%s</p>', esc_html( sprintf( $text, number_format_i18n( $backlog ) ) ) );
	}

	/**
	 * Prints the findings of the checks.
	 */
	private function show_checks(): void {
		$states = array(
			'good'    => __( 'good', 'ticketd' ),
			'unknown' => __( 'unknown', 'ticketd' ),
			'warning' => __( 'warning', 'ticketd' ),
			'error'   => __( 'error', 'ticketd' ),
		);
		printf( '<h2>%s</h2>', esc_html__( 'Checks', 'ticketd' ) );
		echo '<table class="widefat striped" id="ticketd-checks"><tbody>';
		foreach ( $this->checks->all() as $finding ) {
			printf(
				'<tr><th scope="row">%s</th><td>%s</td><td>%s</td></tr>',
				esc_html( $finding['check'] ),
				esc_html( $states[ $finding['state'] ] ),
				esc_html( $finding['message'] )
			);
		}
		echo '</tbody></table>';
	}

	/**
	 * Prints the information for support requests.
	 */
	private function show_diagnostics(): void {
		printf( '<h2><label for="ticketd-diagnostics">%s</label></h2>', esc_html__( 'Diagnostics', 'ticketd' ) );
		printf(
			'<p>%s</p>',
			esc_html__( 'For support requests. The text has paths and versions, but no passwords.', 'ticketd' )
		);
		printf(
			'<textarea id="ticketd-diagnostics" class="large-text code" rows="12" readonly>%s</textarea>',
			esc_textarea( ( new Diagnostics( $this->health ) )->text() )
		);
		printf(
			'<p><button type="button" id="ticketd-copy" class="button" hidden>%s</button> '
			. '<span id="ticketd-copied" role="status"></span></p>',
			esc_html__( 'Copy', 'ticketd' )
		);
	}
}
