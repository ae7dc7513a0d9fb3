<?php
/**
 * The daemon's status for people.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Format;

defined( 'ABSPATH' ) || exit;

/**
 * Writes each part of a status as a text. The screen prints the texts, and its script replaces them by later texts.
 */
final class StatusTable {

	/**
	 * The labels, in groups.
	 *
	 * @return array<string, array<string, string>> Labels by key, by the group's heading.
	 */
	public static function groups(): array {
		return array(
			__( 'Changes', 'ticketd' )    => array(
				'dirty'   => __( 'Pending tickets', 'ticketd' ),
				'oldest'  => __( 'Lag', 'ticketd' ),
				'flushed' => __( 'Flushed since the start', 'ticketd' ),
				'errors'  => __( 'Failed flushes since the start', 'ticketd' ),
				'dead'    => __( 'Dead letters', 'ticketd' ),
			),
			__( 'Places', 'ticketd' )     => array(
				'store'   => __( 'Store of changes', 'ticketd' ),
				'sink'    => __( 'Database', 'ticketd' ),
				'journal' => __( 'Journal', 'ticketd' ),
				'spool'   => __( 'Spool', 'ticketd' ),
			),
			__( 'The daemon', 'ticketd' ) => array(
				'daemon'      => __( 'Version', 'ticketd' ),
				'uptime'      => __( 'Uptime', 'ticketd' ),
				'site'        => __( 'Site', 'ticketd' ),
				'strategy'    => __( 'Flushes changes', 'ticketd' ),
				'ack'         => __( 'Acknowledges changes', 'ticketd' ),
				'connections' => __( 'Connections', 'ticketd' ),
			),
		);
	}

	/**
	 * The texts.
	 *
	 * @param array $status The status, complete.
	 * @return array<string, string> By the keys of groups().
	 */
	public static function values( array $status ): array {
		$strategies = array(
			'event'    => __( 'shortly after each change', 'ticketd' ),
			'interval' => __( 'at regular times', 'ticketd' ),
			'on_close' => __( 'when a ticket is closed', 'ticketd' ),
		);
		$acks       = array(
			'redis'   => __( 'when Redis has them', 'ticketd' ),
			'journal' => __( 'when the journal has them', 'ticketd' ),
		);
		$backends   = array(
			'redis'   => __( 'Redis', 'ticketd' ),
			'journal' => __( 'Journal', 'ticketd' ),
		);
		$backend    = $backends[ $status['backend'] ] ?? $status['backend'];
		/* translators: 1: number of tickets, 2: number of statements */
		$flushed = __( 'tickets: %1$s; statements: %2$s', 'ticketd' );
		/* translators: 1: number, 2: number */
		$of = __( '%1$s of %2$s', 'ticketd' );
		return array(
			'dirty'       => number_format_i18n( $status['dirty'] ),
			'oldest'      => 0 === $status['dirty'] ? '—' : Format::duration( $status['oldest_dirty_ms'] ),
			'flushed'     => sprintf(
				$flushed,
				number_format_i18n( $status['flushed_rows'] ),
				number_format_i18n( $status['flush_statements'] )
			),
			'errors'      => number_format_i18n( $status['flush_errors'] ),
			'dead'        => number_format_i18n( $status['dead'] ),
			'store'       => $backend . ', ' . Format::place( $status['store'] ),
			'sink'        => Format::place( $status['sink'] ),
			'journal'     => self::journal( $status['journal'] ),
			'spool'       => self::spool( $status['spool'] ),
			'daemon'      => $status['version'],
			'uptime'      => Format::duration( $status['uptime_ms'] ),
			'site'        => $status['site'],
			'strategy'    => $strategies[ $status['strategy'] ] ?? $status['strategy'],
			'ack'         => $acks[ $status['ack'] ] ?? $status['ack'],
			'connections' => sprintf(
				$of,
				number_format_i18n( $status['connections']['open'] ),
				number_format_i18n( $status['connections']['limit'] )
			),
		);
	}

	/**
	 * The journal's backlog.
	 *
	 * @param array $journal The journal's part of the status.
	 */
	private static function journal( array $journal ): string {
		if ( 0 === $journal['entries'] ) {
			return __( 'empty', 'ticketd' );
		}
		/* translators: 1: number of changes, 2: a size, e.g. "12 KB", 3: a time, e.g. "5 mins" */
		$text = __( 'backlog: %1$s (%2$s), lag %3$s', 'ticketd' );
		return sprintf(
			$text,
			number_format_i18n( $journal['entries'] ),
			Format::size( $journal['bytes'] ),
			Format::duration( $journal['oldest_ms'] )
		);
	}

	/**
	 * The spool's files.
	 *
	 * @param array $spool The spool's part of the status.
	 */
	private static function spool( array $spool ): string {
		/* translators: 1, 2, 3: numbers of files */
		$text = __( 'backlog: %1$s; since the start ingested: %2$s, rejected: %3$s', 'ticketd' );
		return sprintf(
			$text,
			number_format_i18n( $spool['files'] ),
			number_format_i18n( $spool['taken'] ),
			number_format_i18n( $spool['bad'] )
		);
	}
}
