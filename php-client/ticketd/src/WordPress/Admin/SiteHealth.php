<?php
/**
 * Site Health.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Health;

defined( 'ABSPATH' ) || exit;

/**
 * The plugin's tests and debug information for Tools > Site Health. A test is the checks of one area: its worst finding
 * decides.
 */
final class SiteHealth {

	/** Site Health's names of the states of findings, from bad to good. */
	private const STATES = array(
		'error'   => 'critical',
		'warning' => 'recommended',
		'unknown' => 'recommended',
		'good'    => 'good',
	);

	/**
	 * The checks.
	 *
	 * @var Checks
	 */
	private Checks $checks;

	/**
	 * The daemon's state.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * Takes the parts.
	 *
	 * @param Checks $checks The checks.
	 * @param Health $health The daemon's state.
	 */
	public function __construct( Checks $checks, Health $health ) {
		$this->checks = $checks;
		$this->health = $health;
	}

	/**
	 * The tests.
	 *
	 * @return array<string, string> By area the label of a good result.
	 */
	private static function areas(): array {
		return array(
			'connection' => __( 'ticketd answers', 'ticketd' ),
			'table'      => __( 'The tickets table is usable', 'ticketd' ),
			'store'      => __( 'The store of pending changes is reachable', 'ticketd' ),
			'lag'        => __( 'ticketd flushes changes of tickets to the database', 'ticketd' ),
			'spool'      => __( 'PHP can spool changes of tickets', 'ticketd' ),
			'site'       => __( 'PHP and WP-Cron are ready for ticketd', 'ticketd' ),
			'feed'       => __( 'The change feed reaches its destinations', 'ticketd' ),
		);
	}

	/**
	 * Adds the tests.
	 *
	 * @param array $tests WordPress' tests.
	 */
	public function add_tests( array $tests ): array {
		$areas = self::areas();
		if ( ! $this->health->has_feed() ) {
			unset( $areas['feed'] );
		}
		foreach ( $areas as $area => $label ) {
			$tests['direct'][ 'ticketd_' . $area ] = array(
				'label' => $label,
				'test'  => fn(): array => $this->test( $area ),
			);
		}
		return $tests;
	}

	/**
	 * Adds the debug information.
	 *
	 * @param array $info WordPress' own.
	 */
	public function add_information( array $info ): array {
		$fields = array();
		foreach ( ( new Diagnostics( $this->health ) )->rows() as $name => $value ) {
			$fields[ sanitize_key( $name ) ] = array(
				'label' => $name,
				'value' => $value,
			);
		}
		$info['ticketd'] = array(
			'label'  => 'ticketd',
			'fields' => $fields,
		);
		return $info;
	}

	/**
	 * Makes the result of a test, as Site Health takes it.
	 *
	 * @param string $area The area of its findings.
	 */
	public function test( string $area ): array {
		$is_of    = static fn( array $finding ): bool => $finding['area'] === $area;
		$findings = array_values( array_filter( $this->checks->all(), $is_of ) );
		if ( array() === $findings ) { // Another test reports that.
			$findings[] = array(
				'check'   => $area,
				'state'   => 'unknown',
				'title'   => __( 'ticketd does not answer', 'ticketd' ),
				'message' => __( 'This test needs an answer of ticketd.', 'ticketd' ),
			);
		}
		$ranks  = array_flip( array_keys( self::STATES ) );
		$order  = static fn( array $one, array $other ): int => $ranks[ $one['state'] ] <=> $ranks[ $other['state'] ];
		usort( $findings, $order );
		$worst  = $findings[0];
		$status = self::STATES[ $worst['state'] ];
		$colors = array(
			'good'     => 'green',
			'critical' => 'red',
		);
		$texts  = array_column( $findings, 'message' );
		$page   = 'dead' === $worst['check'] && 'good' !== $status ? Screens::DEAD : Screens::STATUS;
		return array(
			'label'       => 'good' === $status ? self::areas()[ $area ] : $worst['title'],
			'status'      => $status,
			'badge'       => array(
				'label' => __( 'Support tickets', 'ticketd' ),
				'color' => $colors[ $status ] ?? 'orange',
			),
			'description' => '<p>' . implode( '</p><p>', array_map( 'esc_html', $texts ) ) . '</p>',
			'actions'     => sprintf(
				'<a href="%s">%s</a>',
				esc_url( Screens::url( $page ) ),
				esc_html__( 'Status of ticketd', 'ticketd' )
			),
			'test'        => 'ticketd_' . $area,
		);
	}
}
