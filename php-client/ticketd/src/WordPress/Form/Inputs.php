<?php
/**
 * The fields of the form.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Admin\Fields;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the form's fields, each with label, input and error.
 */
final class Inputs {

	/**
	 * Most characters of each field.
	 *
	 * @var array<string, int>
	 */
	private array $lengths;

	/**
	 * The typed texts by field.
	 *
	 * @var array<string, string>
	 */
	private array $typed;

	/**
	 * What is wrong, by field.
	 *
	 * @var array<string, string>
	 */
	private array $errors;

	/**
	 * Takes the parts.
	 *
	 * @param array $lengths Most characters of each field.
	 * @param array $typed   The typed texts by field.
	 * @param array $errors  What is wrong, by field.
	 */
	public function __construct( array $lengths, array $typed, array $errors ) {
		$this->lengths = $lengths;
		$this->typed   = $typed;
		$this->errors  = $errors;
	}

	/**
	 * The fields that people fill in.
	 *
	 * @param string[] $categories The categories that they may choose from.
	 */
	public function all( array $categories ): string {
		$html = '';
		if ( ! is_user_logged_in() ) {
			$html .= $this->input( 'name', __( 'Your name', 'ticketd' ), 'text', 'name' );
			$html .= $this->input( 'email', __( 'Your e-mail address', 'ticketd' ), 'email', 'email' );
		}
		$html .= $this->input( 'subject', __( 'Subject', 'ticketd' ), 'text', 'off' );
		if ( array() !== $categories ) {
			$html .= $this->select(
				'category',
				__( 'What is it about?', 'ticketd' ),
				self::labels( $categories )
			);
		}
		$orders = WooCommerce::orders();
		if ( array() !== $orders ) {
			$asked = Input::query( 'order' );
			$html .= $this->select(
				'order',
				__( 'Which order is it about?', 'ticketd' ),
				$orders,
				$this->typed['order_id'] ?? $asked
			);
		}
		$html .= sprintf(
			'<p><label for="ticketd-message">%s</label><br><textarea id="ticketd-message" name="ticketd_message"'
				. ' rows="8" maxlength="%d" required%s>%s</textarea>%s</p>',
			esc_html__( 'Message', 'ticketd' ),
			$this->lengths['message'],
			$this->described( 'message' ),
			"\n" . Text::escaped( $this->typed['message'] ?? '' ), // HTML drops a first line's end.
			$this->error_of( 'message' )
		);
		return $html;
	}

	/**
	 * The categories with their labels.
	 *
	 * @param string[] $categories The categories.
	 * @return array<string, string>
	 */
	private static function labels( array $categories ): array {
		$labels = array();
		foreach ( $categories as $category ) {
			$labels[ $category ] = Fields::label( Fields::categories(), $category );
		}
		return $labels;
	}

	/**
	 * A field of one line.
	 *
	 * @param string $name         Its name.
	 * @param string $label        The label.
	 * @param string $type         Its type.
	 * @param string $autocomplete What a browser may fill in.
	 */
	private function input( string $name, string $label, string $type, string $autocomplete ): string {
		return sprintf(
			'<p><label for="ticketd-%1$s">%2$s</label><br><input id="ticketd-%1$s" name="ticketd_%1$s" type="%3$s"'
				. ' maxlength="%4$d" autocomplete="%5$s" value="%6$s" required%7$s>%8$s</p>',
			esc_attr( $name ),
			esc_html( $label ),
			esc_attr( $type ),
			$this->lengths[ $name ],
			esc_attr( $autocomplete ),
			Text::escaped( $this->typed[ $name ] ?? '' ),
			$this->described( $name ),
			$this->error_of( $name )
		);
	}

	/**
	 * A choice.
	 *
	 * @param string      $name    Its name.
	 * @param string      $label   The label.
	 * @param string[]    $choices Texts by value.
	 * @param string|null $chosen  The value that is chosen; null: what was typed.
	 */
	private function select( string $name, string $label, array $choices, ?string $chosen = null ): string {
		$html   = sprintf(
			'<p><label for="ticketd-%1$s">%2$s</label><br><select id="ticketd-%1$s" name="ticketd_%1$s"%3$s>',
			esc_attr( $name ),
			esc_html( $label ),
			$this->described( $name )
		);
		$chosen = $chosen ?? $this->typed[ $name ] ?? '';
		foreach ( array( '' => __( '(none)', 'ticketd' ) ) + $choices as $value => $text ) {
			$is_chosen = $chosen === (string) $value ? ' selected' : '';
			$html     .= sprintf(
				'<option value="%s"%s>%s</option>',
				esc_attr( $value ),
				$is_chosen,
				esc_html( $text )
			);
		}
		return $html . '</select>' . $this->error_of( $name ) . '</p>';
	}

	/**
	 * Attributes that tie a field to its error.
	 *
	 * @param string $name The field's name.
	 */
	private function described( string $name ): string {
		return isset( $this->errors[ $name ] )
			? ' aria-invalid="true" aria-describedby="ticketd-' . esc_attr( $name ) . '-error"'
			: '';
	}

	/**
	 * What is wrong with a field.
	 *
	 * @param string $name The field's name.
	 */
	private function error_of( string $name ): string {
		if ( ! isset( $this->errors[ $name ] ) ) {
			return '';
		}
		return sprintf(
			'<br><span class="ticketd-error" id="ticketd-%s-error">%s</span>',
			esc_attr( $name ),
			esc_html( $this->errors[ $name ] )
		);
	}
}
