<?php
/**
 * The form with which customers open tickets.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Actor;
use Ticketd\WordPress\Api;
use Ticketd\WordPress\Input;
use Ticketd\WordPress\Opening;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the form, as the shortcode `ticketd_form` or a block, and processes its input.
 *
 * The form is sent to its own page, and needs no JavaScript: an error is shown beside the field, and all input is
 * kept; success is answered with a redirect, so that reloading sends nothing twice.
 */
final class Form {

	/** Name of the hidden field that says that the form was sent. */
	private const SENT = 'ticketd_form';

	/** Name of the field that people do not see and leave empty. */
	private const HONEYPOT = 'ticketd_website';

	/** Name of the hidden field with the categories that the form offers. */
	private const OFFERED = 'ticketd_categories';

	/** What the nonce is for. */
	private const NONCE = 'ticketd_submit';

	/** Argument of the page that says which ticket was made. */
	private const DONE = 'ticketd_sent';

	/** Most characters of each field. */
	private const LENGTHS = array(
		'subject'  => 200,
		'message'  => 5000,
		'category' => 64,
		'name'     => 100,
		'email'    => 254,
	);

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * The typed texts by field.
	 *
	 * @var array<string, string>
	 */
	private array $typed = array();

	/**
	 * The categories that the sent form offered.
	 *
	 * @var string[]
	 */
	private array $offered = array();

	/**
	 * What is wrong, by field; under '' what concerns no field.
	 *
	 * @var array<string, string>
	 */
	private array $errors = array();

	/**
	 * Takes the parts.
	 *
	 * @param Api      $api      The daemon's API.
	 * @param Settings $settings The settings.
	 */
	public function __construct( Api $api, Settings $settings ) {
		$this->api      = $api;
		$this->settings = $settings;
	}

	/**
	 * Takes what the form has sent.
	 */
	public function receive(): void {
		// phpcs:ignore WordPress.Security.NonceVerification -- Checked below.
		if ( ! isset( $_POST[ self::SENT ] ) ) {
			return;
		}
		nocache_headers();
		foreach ( array_keys( self::LENGTHS ) as $name ) {
			$field = 'ticketd_' . $name;

			$this->typed[ $name ] = 'message' === $name ? Input::posted_lines( $field ) : Input::posted( $field );
			if ( ! Input::is_text( $field ) ) {
				$this->refuse( 400, $name, __( 'This is not a text in UTF-8.', 'ticketd' ) );
			}
		}
		$this->typed['order_id'] = (string) Input::id( Input::posted( 'ticketd_order' ) );
		$this->offered           = self::categories( Input::posted( self::OFFERED ) );
		if ( ! wp_verify_nonce( Input::posted( 'ticketd_nonce' ), self::nonce_action( $this->offered ) ) ) {
			$this->refuse( 403, '', __( 'The page was open for too long. Please send the form again.', 'ticketd' ) );
		} elseif ( ! $this->is_open() ) {
			$this->refuse( 403, '', __( 'Please log in to open a ticket.', 'ticketd' ) );
		} elseif ( '' !== Input::posted( self::HONEYPOT ) ) {
			$this->go_on( 0 ); // A robot sees the same page as after a success.
		} else {
			$this->submit();
		}
	}

	/**
	 * Shows the form.
	 *
	 * @param array|string $attributes The shortcode's: `categories`, a list separated by commas.
	 */
	public function render( $attributes ): string {
		$attributes = shortcode_atts( array( 'categories' => '' ), (array) $attributes, Blocks::FORM );
		wp_enqueue_style( Blocks::STYLE );
		// The output depends on the visitor and the input.
		if ( ! defined( 'DONOTCACHEPAGE' ) && array() !== $this->typed ) {
			define( 'DONOTCACHEPAGE', true );
		}
		$sent = Input::query( self::DONE );
		if ( '' !== $sent && array() === $this->errors ) {
			$text = __( 'Thank you.', 'ticketd' );
			$id   = Input::id( $sent );
			if ( $id > 0 ) {
				/* translators: %d: number of a ticket */
				$text = sprintf( __( 'Thank you. Your ticket has the number %d.', 'ticketd' ), $id );
			}
			return '<div class="ticketd-form" id="ticketd-form"><p role="status">' . esc_html( $text ) . '</p></div>';
		}
		if ( 'off' === $this->settings->form() ) {
			return '';
		}
		if ( ! $this->is_open() ) {
			$link = sprintf(
				'<a href="%s">%s</a>',
				esc_url( wp_login_url( (string) get_permalink() ) ),
				esc_html__( 'Log in', 'ticketd' )
			);
			$text = esc_html__( 'Please log in to open a ticket.', 'ticketd' );
			return '<p class="ticketd-form">' . $text . ' ' . $link . '</p>';
		}
		$categories = self::categories( (string) $attributes['categories'] );
		$html       = '<form class="ticketd-form" id="ticketd-form" method="post" action="#ticketd-form">';
		if ( array() !== $this->errors ) {
			$text  = $this->errors[''] ?? __( 'Please check the marked fields.', 'ticketd' );
			$html .= '<p role="alert" class="ticketd-error">' . esc_html( $text ) . '</p>';
		}
		$html .= ( new Inputs( self::LENGTHS, $this->typed, $this->errors ) )->all( $categories );
		$html .= sprintf(
			'<p style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%%)"'
				. ' aria-hidden="true"><label>%s '
				. '<input type="text" name="%s" value="" tabindex="-1" autocomplete="off"></label></p>',
			esc_html__( 'Leave this empty', 'ticketd' ),
			self::HONEYPOT
		);
		$html .= '<input type="hidden" name="' . self::SENT . '" value="1">';
		$html .= sprintf(
			'<input type="hidden" name="%s" value="%s">',
			self::OFFERED,
			esc_attr( implode( ',', $categories ) )
		);
		$html .= wp_nonce_field( self::nonce_action( $categories ), 'ticketd_nonce', true, false );
		$send  = esc_html__( 'Send', 'ticketd' );
		return $html . '<p><button type="submit" class="wp-element-button">' . $send . '</button></p></form>';
	}

	/**
	 * Makes a ticket of what was typed, where all is well.
	 */
	private function submit(): void {
		$is_guest = ! is_user_logged_in();
		$needed   = array_merge( $is_guest ? array( 'name', 'email' ) : array(), array( 'subject', 'message' ) );
		foreach ( $needed as $name ) {
			if ( '' === $this->typed[ $name ] && ! isset( $this->errors[ $name ] ) ) {
				$this->refuse( 400, $name, __( 'Please fill this in.', 'ticketd' ) );
			}
		}
		foreach ( self::LENGTHS as $name => $length ) {
			if ( mb_strlen( $this->typed[ $name ] ) > $length ) {
				/* translators: %d: number of characters */
				$this->refuse( 400, $name, sprintf( __( 'At most %d characters, please.', 'ticketd' ), $length ) );
			}
		}
		if ( $is_guest && '' !== $this->typed['email'] && ! is_email( $this->typed['email'] ) ) {
			$this->refuse( 400, 'email', __( 'This is no e-mail address.', 'ticketd' ) );
		}
		if ( '' !== $this->typed['category'] && ! in_array( $this->typed['category'], $this->offered, true ) ) {
			$this->refuse( 400, 'category', __( 'Please choose one of these.', 'ticketd' ) );
		}
		$limit = new RateLimit( $this->settings->rate_limit(), $this->settings->rate_seconds() );
		if ( array() !== $this->errors ) {
			return;
		}
		if ( ! $limit->allows() ) {
			header( 'Retry-After: ' . $this->settings->rate_seconds() );
			$this->refuse( 429, '', __( 'You have sent several tickets just now. Please wait a while.', 'ticketd' ) );
			return;
		}
		$created = Actor::within( 'form', fn() => $this->api->create( $this->fields() ) );
		if ( is_wp_error( $created ) ) {
			$this->explain( $created );
			return;
		}
		/**
		 * Fires when the form has made a ticket. The texts are as typed: escape them on output.
		 *
		 * @param int   $id    The ticket's id.
		 * @param array $typed What was typed: `subject`, `message`, `category`, `name`, `email`, `order_id`.
		 */
		do_action( 'ticketd_form_submitted', $created['id'], $this->typed );
		$this->go_on( $created['id'] );
	}

	/**
	 * Says why no ticket was made: beside the field, where the table does not take what was typed there.
	 *
	 * @param \WP_Error $error The reason.
	 */
	private function explain( \WP_Error $error ): void {
		$data   = (array) $error->get_error_data();
		$status = (int) ( $data['status'] ?? 500 );
		$name   = preg_replace( '/^customer_/', '', (string) ( $data['field'] ?? '' ) );
		if ( 'ticketd_' !== substr( (string) $error->get_error_code(), 0, 8 ) ) {
			$this->refuse( $status, '', $error->get_error_message() ); // Another plugin's reason is meant for people.
		} elseif ( 400 === $status && isset( self::LENGTHS[ $name ] ) ) {
			$text = __( 'This text cannot be stored. Please shorten it, or leave unusual characters out.', 'ticketd' );
			$this->refuse( 400, $name, $text );
		} else {
			// The reason may name paths and servers.
			$text = __( 'Your ticket could not be saved. Please try again later.', 'ticketd' );
			$this->refuse( $status, '', $text );
		}
	}

	/**
	 * The ticket's fields.
	 */
	private function fields(): array {
		$typed  = $this->typed;
		$fields = array(
			'subject' => $typed['subject'],
			'message' => $typed['message'],
		) + Opening::given();
		if ( '' !== $typed['category'] ) {
			$fields['category'] = $typed['category'];
		}
		if ( is_user_logged_in() ) {
			if ( WooCommerce::is_own_order( (int) $typed['order_id'] ) ) {
				$fields['order_id'] = (int) $typed['order_id'];
			}
		} else {
			$fields['customer_name']  = $typed['name'];
			$fields['customer_email'] = $typed['email'];
		}
		/**
		 * Filters the fields of a ticket that the form makes.
		 *
		 * @param array $fields Values by field name.
		 * @param array $typed  What was typed.
		 */
		return (array) apply_filters( 'ticketd_form_fields', $fields, $typed );
	}

	/**
	 * The categories of a list separated by commas.
	 *
	 * @param string $text The list.
	 * @return string[]
	 */
	private static function categories( string $text ): array {
		$categories = array_map( array( Input::class, 'one_line' ), explode( ',', $text ) );
		return array_values( array_filter( $categories, 'strlen' ) );
	}

	/**
	 * The action of the nonce. It names the offered categories, so that what the hidden field says of them is what
	 * this site has offered.
	 *
	 * @param string[] $offered The categories.
	 */
	private static function nonce_action( array $offered ): string {
		return self::NONCE . '|' . implode( ',', $offered );
	}

	/**
	 * Whether the current visitor may use the form.
	 */
	private function is_open(): bool {
		$form = $this->settings->form();
		return 'everyone' === $form || ( 'customers' === $form && is_user_logged_in() );
	}

	/**
	 * Notes what is wrong.
	 *
	 * @param int    $status HTTP status of the page.
	 * @param string $name   The field's name; empty: no field.
	 * @param string $text   What is wrong.
	 */
	private function refuse( int $status, string $name, string $text ): void {
		status_header( $status );
		$this->errors[ $name ] = $text;
	}

	/**
	 * Sends the visitor back to the page.
	 *
	 * @param int $id The ticket's id.
	 */
	private function go_on( int $id ): void {
		$page = isset( $_SERVER['REQUEST_URI'] ) ? esc_url_raw( wp_unslash( $_SERVER['REQUEST_URI'] ) ) : '/';
		wp_safe_redirect( add_query_arg( self::DONE, $id, remove_query_arg( 'order', $page ) ) . '#ticketd-form', 303 );
		exit;
	}
}
