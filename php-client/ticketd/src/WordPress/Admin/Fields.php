<?php
/**
 * The fields of a ticket, as agents see them.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

defined( 'ABSPATH' ) || exit;

/**
 * Knows the fields that the ticket screen changes, with labels and usual values. A ticket may hold other values,
 * which are shown unchanged.
 */
final class Fields {

	/**
	 * The fields of the form.
	 *
	 * @return array<string, array{label: string, type: string, choices?: array<string, string>}> By field name. The
	 *         type is `text`, `choice`, `suggest` (a text with suggestions), `agent` or `customer`.
	 */
	public static function all(): array {
		$fields = array(
			'subject'     => array(
				'label' => __( 'Subject', 'ticketd' ),
				'type'  => 'text',
			),
			'status'      => array(
				'label'   => __( 'Status', 'ticketd' ),
				'type'    => 'choice',
				'choices' => self::statuses(),
			),
			'priority'    => array(
				'label'   => __( 'Priority', 'ticketd' ),
				'type'    => 'choice',
				'choices' => array( '' => __( 'None', 'ticketd' ) ) + self::priorities(),
			),
			'category'    => array(
				'label'   => __( 'Category', 'ticketd' ),
				'type'    => 'suggest',
				'choices' => self::categories(),
			),
			'customer_id' => array(
				'label' => __( 'Customer', 'ticketd' ),
				'type'  => 'customer',
			),
			'assigned_to' => array(
				'label' => __( 'Assignee', 'ticketd' ),
				'type'  => 'agent',
			),
		);
		/**
		 * Filters the fields of the ticket screen, for example to add a column of your own.
		 *
		 * @param array $fields By field name: `label`, `type` (`text`, `choice`, `suggest`, `agent`, `customer`) and
		 *                      `choices` (labels by value).
		 */
		return (array) apply_filters( 'ticketd_screen_fields', $fields );
	}

	/**
	 * The statuses that agents choose from. The daemon's default `close_statuses` are among them.
	 *
	 * @return array<string, string> Labels by value.
	 */
	public static function statuses(): array {
		/**
		 * Filters the statuses that agents choose from.
		 *
		 * @param array<string, string> $statuses Labels by value.
		 */
		return (array) apply_filters(
			'ticketd_statuses',
			array(
				'open'     => __( 'Open', 'ticketd' ),
				'pending'  => __( 'Pending', 'ticketd' ),
				'resolved' => __( 'Resolved', 'ticketd' ),
				'closed'   => __( 'Closed', 'ticketd' ),
			)
		);
	}

	/**
	 * The priorities that agents choose from.
	 *
	 * @return array<string, string> Labels by value.
	 */
	public static function priorities(): array {
		/**
		 * Filters the priorities that agents choose from.
		 *
		 * @param array<string, string> $priorities Labels by value.
		 */
		return (array) apply_filters(
			'ticketd_priorities',
			array(
				'low'    => __( 'Low', 'ticketd' ),
				'normal' => __( 'Normal', 'ticketd' ),
				'high'   => __( 'High', 'ticketd' ),
				'urgent' => __( 'Urgent', 'ticketd' ),
			)
		);
	}

	/**
	 * The categories that are suggested.
	 *
	 * @return array<string, string> Labels by value.
	 */
	public static function categories(): array {
		/**
		 * Filters the categories that are suggested to agents. Any other text is a category, too.
		 *
		 * @param array<string, string> $categories Labels by value.
		 */
		return (array) apply_filters( 'ticketd_categories', array() );
	}

	/**
	 * The label of a value.
	 *
	 * @param array<string, string> $choices Labels by value.
	 * @param mixed                 $value   The value.
	 * @return string The value itself where it is no usual one; empty for none.
	 */
	public static function label( array $choices, $value ): string {
		return (string) ( $choices[ (string) $value ] ?? $value );
	}

	/**
	 * A field's value for people.
	 *
	 * @param array $field The field, as all() has it.
	 * @param mixed $value The value.
	 */
	public static function shown( array $field, $value ): string {
		if ( 'agent' === $field['type'] ) {
			return People::name( '' === $value ? null : $value );
		}
		$text = 'customer' === $field['type']
			? People::customer( array( 'customer_id' => $value ) )
			: self::label( $field['choices'] ?? array(), $value );
		return '' === $text ? __( 'None', 'ticketd' ) : $text;
	}

	/**
	 * A time of a ticket, which is in UTC, on the site's clock.
	 *
	 * @param mixed $time As the daemon has it: `2026-11-24 08:00:00`.
	 * @return string Empty if the value is not a time.
	 */
	public static function time( $time ): string {
		$stamp = is_string( $time ) ? strtotime( $time . ' UTC' ) : false;
		if ( false === $stamp ) {
			return '';
		}
		/* translators: 1: date, 2: time of the day */
		$format = __( '%1$s, %2$s', 'ticketd' );
		return sprintf(
			$format,
			(string) wp_date( (string) get_option( 'date_format' ), $stamp ),
			(string) wp_date( (string) get_option( 'time_format' ), $stamp )
		);
	}
}
