<?php
/**
 * The control of a ticket's field.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

defined( 'ABSPATH' ) || exit;

/**
 * Prints the form's controls.
 */
final class Control {

	/**
	 * Prints the control of a field.
	 *
	 * @param string $id         Its id in the page.
	 * @param array  $field      The field.
	 * @param string $value      Its value.
	 * @param string $attributes Its attributes, escaped.
	 */
	public static function show( string $id, array $field, string $value, string $attributes ): void {
		$choices = $field['choices'] ?? array();
		if ( 'agent' === $field['type'] ) {
			$choices = array( '' => __( 'Unassigned', 'ticketd' ) ) + People::agents();
		}
		if ( 'agent' === $field['type'] || 'choice' === $field['type'] ) {
			if ( ! isset( $choices[ $value ] ) ) {
				$choices[ $value ] = Fields::shown( $field, $value );
			}
			// phpcs:ignore WordPress.Security.EscapeOutput -- The caller has escaped the attributes.
			echo '<select ' . $attributes . '>';
			foreach ( $choices as $choice => $label ) {
				printf(
					'<option value="%1$s"%2$s>%3$s</option>',
					esc_attr( (string) $choice ),
					selected( (string) $choice, $value, false ),
					esc_html( $label )
				);
			}
			echo '</select>';
			return;
		}
		printf(
			'<input type="text" class="regular-text" %1$s value="%2$s"%3$s />',
			// phpcs:ignore WordPress.Security.EscapeOutput -- The caller has escaped the attributes.
			$attributes,
			esc_textarea( $value ), // Unlike esc_attr() it also keeps what looks like an entity.
			array() === $choices ? '' : ' list="' . esc_attr( $id ) . '-list"'
		);
		if ( array() !== $choices ) {
			self::suggestions( $id . '-list', $choices );
		}
		if ( 'customer' === $field['type'] && '' !== $value ) {
			printf( ' <span class="description">%s</span>', esc_html( People::name( $value ) ) );
		}
	}

	/**
	 * Prints suggestions for a text.
	 *
	 * @param string                $id      Their id in the page.
	 * @param array<string, string> $choices Labels by value.
	 */
	public static function suggestions( string $id, array $choices ): void {
		printf( '<datalist id="%s">', esc_attr( $id ) );
		foreach ( $choices as $value => $label ) {
			printf( '<option value="%s">%s</option>', esc_attr( (string) $value ), esc_html( $label ) );
		}
		echo '</datalist>';
	}
}
