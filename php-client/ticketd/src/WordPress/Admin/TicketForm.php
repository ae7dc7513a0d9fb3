<?php
/**
 * The screen of a ticket.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Shows a ticket and changes it. If another user has changed the ticket since it was shown, both changes are shown,
 * and saving again overwrites.
 *
 * The form holds the earlier values of its fields, so that only the agent's changes are sent, and the revision to
 * which the change applies.
 */
final class TicketForm {

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The ticket's id.
	 *
	 * @var int
	 */
	private int $id;

	/**
	 * The agent's unsaved input.
	 *
	 * @var array<string, string>
	 */
	private array $typed = array();

	/**
	 * The values that the agent saw, if another user has changed the ticket since.
	 *
	 * @var array<string, string>
	 */
	private array $seen = array();

	/**
	 * Why the ticket was not saved.
	 *
	 * @var \WP_Error|null
	 */
	private ?\WP_Error $error = null;

	/**
	 * Takes the parts.
	 *
	 * @param Api $api The daemon's API.
	 * @param int $id  The ticket's id; 0: what the address says is none.
	 */
	public function __construct( Api $api, int $id ) {
		$this->api = $api;
		$this->id  = $id;
	}

	/**
	 * Saves the posted form. The caller has checked the capability.
	 */
	public function load(): void {
		if ( ! Input::is_posted() ) {
			return;
		}
		check_admin_referer( $this->nonce_action() );
		$this->seen  = Input::posted_map( 'seen' );
		$this->typed = array_diff_assoc(
			array_intersect_key( Input::posted_map( 'fields' ), $this->seen ),
			$this->seen
		);
		$changes     = $this->changes();
		if ( null !== $this->error ) {
			return;
		}
		$revision = Input::id( Input::posted( 'revision' ) );
		$saved    = array() === $changes ? 0 : $this->api->update( $this->id, $changes, $revision );
		if ( is_wp_error( $saved ) ) {
			$this->error = $saved;
			return;
		}
		if ( array() === $changes ) {
			Messages::add( 'info', __( 'Nothing was changed.', 'ticketd' ) );
		} else {
			Messages::add( 'success', __( 'The ticket is saved.', 'ticketd' ) );
		}
		wp_safe_redirect( Screens::ticket_url( $this->id ) );
		exit;
	}

	/**
	 * The agent's changes, as parameters for the daemon.
	 *
	 * @return array<string, string|int|null> By field name.
	 */
	private function changes(): array {
		$changes = array();
		$fields  = Fields::all();
		foreach ( array_intersect_key( $this->typed, $fields ) as $name => $text ) {
			$type = $fields[ $name ]['type'];
			if ( 'customer' === $type && '' !== $text ) {
				$changes[ $name ] = People::find( $text );
				if ( 0 === $changes[ $name ] ) {
					$this->error = self::refused(
						$name,
						__( 'There is no such user. Give a log-in name, an e-mail address or an id.', 'ticketd' )
					);
				}
			} elseif ( 'agent' === $type && '' !== $text ) {
				$changes[ $name ] = Input::id( $text );
			} else {
				// A text may be empty; all else has no value then.
				$changes[ $name ] = '' === $text && 'text' !== $type ? null : $text;
			}
		}
		return $changes;
	}

	/**
	 * A refusal of a field.
	 *
	 * @param string $field The field.
	 * @param string $text  Why.
	 */
	private static function refused( string $field, string $text ): \WP_Error {
		return new \WP_Error(
			'ticketd_invalid',
			$text,
			array(
				'status' => 400,
				'field'  => $field,
			)
		);
	}

	/**
	 * Prints the screen.
	 */
	public function render(): void {
		$none   = __( 'There is no such ticket. It may have been deleted.', 'ticketd' );
		$ticket = 0 === $this->id ? new \WP_Error( 'ticketd_not_found', $none ) : $this->api->get( $this->id );
		echo '<div class="wrap">';
		/* translators: %d: number of a ticket */
		$title = sprintf( __( 'Ticket %d', 'ticketd' ), $this->id );
		printf( '<h1 class="wp-heading-inline">%s</h1>', esc_html( $title ) );
		printf(
			' <a class="page-title-action" href="%s">%s</a>',
			esc_url( Screens::list_url() ),
			esc_html__( 'All tickets', 'ticketd' )
		);
		echo '<hr class="wp-header-end">';
		Messages::show();
		if ( is_wp_error( $ticket ) ) {
			$is_gone = 'ticketd_not_found' === $ticket->get_error_code();
			Messages::notice( 'error', $is_gone ? $none : Explain::failure( $ticket ) );
		} else {
			$this->show( $ticket );
		}
		echo '</div>';
	}

	/**
	 * Prints the ticket.
	 *
	 * @param array $ticket The ticket, as the daemon returns it.
	 */
	private function show( array $ticket ): void {
		if ( isset( $ticket['stale'] ) ) {
			Messages::notice(
				'warning',
				Explain::staleness() . ' ' . __( 'Saving works once ticketd is reachable again.', 'ticketd' )
			);
		}
		$now       = array_map( array( self::class, 'form_value' ), $ticket['fields'] );
		$conflicts = $this->show_error( $now );
		echo '<div class="ticketd-ticket"><div class="ticketd-main">';
		self::show_message( $ticket['fields'] );
		echo '<form method="post">';
		wp_nonce_field( $this->nonce_action() );
		printf( '<input type="hidden" name="revision" value="%d" />', (int) $ticket['revision'] );
		echo '<table class="form-table" role="presentation"><tbody>';
		foreach ( Fields::all() as $name => $field ) {
			$this->show_field( $name, $field, $now[ $name ] ?? '', in_array( $name, $conflicts, true ) );
		}
		echo '</tbody></table>';
		submit_button( __( 'Save ticket', 'ticketd' ) );
		echo '</form></div>';
		$this->show_rest( $ticket );
		echo '</div>';
		( new History( $this->api, $ticket ) )->render();
		/**
		 * Fires below a ticket's form and its history, for example to show its messages.
		 *
		 * @param array $ticket `id`, `revision` and `fields`.
		 */
		do_action( 'ticketd_ticket_screen', $ticket );
	}

	/**
	 * Prints what the customer wrote, and who wrote it.
	 *
	 * @param array $fields The ticket's fields.
	 */
	private static function show_message( array $fields ): void {
		$message = is_scalar( $fields['message'] ?? null ) ? (string) $fields['message'] : '';
		$guest   = People::guest( $fields );
		if ( '' === $message && array() === $guest ) {
			return;
		}
		printf( '<section class="ticketd-message"><h2>%s</h2><p>', esc_html__( 'Message', 'ticketd' ) );
		if ( array() === $guest ) {
			echo esc_textarea( People::customer( $fields ) );
		} else {
			echo esc_textarea( $guest['name'] ) . ' ';
			if ( is_email( $guest['email'] ) ) {
				printf( '<a href="%s">%s</a>', esc_url( 'mailto:' . $guest['email'] ), esc_html( $guest['email'] ) );
			} else {
				echo esc_textarea( $guest['email'] );
			}
			printf( ' <span class="description">%s</span>', esc_html__( '(guest)', 'ticketd' ) );
		}
		// Unlike esc_html(), esc_textarea() also keeps what looks like an entity: customers quote code.
		printf( '</p><div class="ticketd-text">%s</div></section>', esc_textarea( $message ) );
	}

	/**
	 * Says why the ticket was not saved.
	 *
	 * @param array<string, string> $now The present fields.
	 * @return string[] Fields that another user has changed since the agent saw them.
	 */
	private function show_error( array $now ): array {
		if ( null === $this->error ) {
			return array();
		}
		$changed = array();
		foreach ( array_intersect_key( $this->seen, Fields::all() ) as $name => $seen ) {
			if ( ( $now[ $name ] ?? '' ) !== $seen ) {
				$changed[] = $name;
			}
		}
		$is_conflict = 'ticketd_conflict' === $this->error->get_error_code();
		if ( ! $is_conflict ) {
			Messages::notice( 'error', __( 'Not saved:', 'ticketd' ) . ' ' . Explain::failure( $this->error ) );
		}
		if ( ! $is_conflict && array() === $changed ) {
			return array();
		}
		Messages::notice(
			'warning',
			__( 'Not saved: another user has changed this ticket since you opened it.', 'ticketd' ) . ' '
			. __( 'The other user\'s changes are marked below, your own changes are in the form.', 'ticketd' ) . ' '
			. __( 'Save again to keep what the form shows.', 'ticketd' ),
			Screens::ticket_url( $this->id ),
			__( 'Discard my changes', 'ticketd' )
		);
		return $changed;
	}

	/**
	 * Prints a field.
	 *
	 * @param string $name        Its name.
	 * @param array  $field       The field.
	 * @param string $now         Its value in the ticket.
	 * @param bool   $is_conflict Whether another user has changed it since the agent saw it.
	 */
	private function show_field( string $name, array $field, string $now, bool $is_conflict ): void {
		$id    = 'ticketd-field-' . $name;
		$value = $this->typed[ $name ] ?? $now;
		$data  = null === $this->error ? array() : (array) $this->error->get_error_data();
		$wrong = null !== $this->error && ( $data['field'] ?? '' ) === $name;
		$notes = array();
		if ( $wrong ) {
			$notes[] = $this->error->get_error_message();
		}
		if ( $is_conflict ) {
			/* translators: 1: value before, 2: value now */
			$text    = __( 'Changed meanwhile from "%1$s" to "%2$s".', 'ticketd' );
			$notes[] = sprintf( $text, Fields::shown( $field, $this->seen[ $name ] ), Fields::shown( $field, $now ) );
			if ( isset( $this->typed[ $name ] ) ) {
				/* translators: %s: value that the agent has typed */
				$notes[] = sprintf( __( 'Saving sets it to your "%s".', 'ticketd' ), Fields::shown( $field, $value ) );
			}
		}
		printf( '<tr class="%s"><th scope="row">', $is_conflict || $wrong ? 'ticketd-marked' : '' );
		printf( '<label for="%s">%s</label></th><td>', esc_attr( $id ), esc_html( $field['label'] ) );
		printf( '<input type="hidden" name="seen[%s]" value="%s" />', esc_attr( $name ), esc_textarea( $now ) );
		$attributes = sprintf( 'id="%s" name="fields[%s]"', esc_attr( $id ), esc_attr( $name ) )
			. ( array() === $notes ? '' : sprintf( ' aria-describedby="%s-note"', esc_attr( $id ) ) )
			. ( $wrong ? ' aria-invalid="true"' : '' );
		Control::show( $id, $field, $value, $attributes );
		if ( array() !== $notes ) {
			printf(
				'<p id="%s-note" class="ticketd-note">%s</p>',
				esc_attr( $id ),
				esc_html( implode( ' ', $notes ) )
			);
		}
		echo '</td></tr>';
	}

	/**
	 * Prints the read-only fields.
	 *
	 * @param array $ticket The ticket.
	 */
	private function show_rest( array $ticket ): void {
		echo '<aside class="ticketd-rest"><h2>' . esc_html__( 'Details', 'ticketd' ) . '</h2><dl>';
		foreach (
			array(
				'created_at' => __( 'Created', 'ticketd' ),
				'updated_at' => __( 'Changed', 'ticketd' ),
			) as $name => $label
		) {
			$time = Fields::time( $ticket['fields'][ $name ] ?? null );
			printf( '<dt>%s</dt><dd>%s</dd>', esc_html( $label ), esc_html( $time ) );
		}
		printf(
			'<dt>%s</dt><dd>%s</dd>',
			esc_html__( 'Revision', 'ticketd' ),
			esc_html( (string) $ticket['revision'] )
		);
		$shown  = array( 'created_at', 'updated_at', 'deleted_at', 'message', 'customer_name', 'customer_email' );
		$others = array_diff_key( $ticket['fields'], Fields::all(), array_flip( $shown ) );
		foreach ( array_filter( $others, 'is_scalar' ) as $name => $value ) {
			printf( '<dt>%s</dt><dd>%s</dd>', esc_html( (string) $name ), esc_textarea( (string) $value ) );
		}
		echo '</dl></aside>';
	}

	/**
	 * A field's value in the form: on one line, empty if the ticket has no value.
	 *
	 * @param mixed $value The value.
	 */
	private static function form_value( $value ): string {
		return Input::one_line( (string) $value );
	}

	/**
	 * The action of the form's nonce.
	 */
	private function nonce_action(): string {
		return 'ticketd_ticket_' . $this->id;
	}
}
