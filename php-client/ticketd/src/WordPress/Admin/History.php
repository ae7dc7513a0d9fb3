<?php
/**
 * The history of a ticket.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Format;
use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * Prints below a ticket who changed what and when, the newest change first. It is a list of the page's own, without a
 * script and without a button that changes anything: the filter and the older changes are addresses.
 */
final class History {

	/** Changes of one page. */
	private const PAGE = 20;

	/** Fields that say when a change was made, as the change does itself. */
	private const TIMES = array(
		'created_at' => true,
		'updated_at' => true,
	);

	/** Parameters of the address: the revision below which the page begins, and the field. */
	private const BEFORE = 'history_before';
	private const FIELD  = 'history_field';

	/** The place in the page that links lead to. */
	private const ANCHOR = 'ticketd-history';

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The ticket.
	 *
	 * @var array
	 */
	private array $ticket;

	/**
	 * The fields of the form.
	 *
	 * @var array<string, array>
	 */
	private array $fields;

	/**
	 * Takes the parts.
	 *
	 * @param Api   $api    The daemon's API.
	 * @param array $ticket The ticket: `id` and `fields`.
	 */
	public function __construct( Api $api, array $ticket ) {
		$this->api    = $api;
		$this->ticket = $ticket;
		$this->fields = Fields::all();
	}

	/**
	 * Prints the list. A site whose daemon keeps no history has none.
	 */
	public function render(): void {
		if ( ! $this->api->can( 'history' ) ) {
			return;
		}
		$before = Input::id( Input::query( self::BEFORE ) );
		$field  = Input::query( self::FIELD );
		$args   = array( 'limit' => self::PAGE )
			+ ( 0 === $before ? array() : array( 'before' => $before ) )
			+ ( '' === $field ? array() : array( 'field' => $field ) );
		$page   = $this->api->history( $this->ticket['id'], $args );
		printf(
			'<section id="%s" class="ticketd-history" aria-labelledby="ticketd-history-title">',
			esc_attr( self::ANCHOR )
		);
		printf( '<h2 id="ticketd-history-title">%s</h2>', esc_html__( 'History', 'ticketd' ) );
		if ( is_wp_error( $page ) ) {
			printf( '<p>%s</p>', esc_html( Explain::failure( $page ) ) );
		} else {
			$this->show_filter( $field );
			$this->show_page( $page, $before, $field );
		}
		echo '</section>';
	}

	/**
	 * Prints the choice of a field, a form that changes nothing.
	 *
	 * @param string $field The chosen field; empty: all.
	 */
	private function show_filter( string $field ): void {
		$fields  = $this->fields + array_diff_key( $this->ticket['fields'], self::TIMES );
		$choices = array( '' => __( 'All fields', 'ticketd' ) );
		foreach ( array_keys( $fields ) as $name ) {
			$choices[ $name ] = $this->label( (string) $name );
		}
		if ( ! isset( $choices[ $field ] ) ) {
			$choices[ $field ] = $field;
		}
		printf( '<form method="get" action="%s#%s">', esc_url( admin_url( 'admin.php' ) ), esc_attr( self::ANCHOR ) );
		printf( '<input type="hidden" name="page" value="%s" />', esc_attr( Screens::TICKETS ) );
		printf( '<input type="hidden" name="ticket" value="%d" />', (int) $this->ticket['id'] );
		printf( '<label for="ticketd-history-field">%s</label> ', esc_html__( 'Changes of', 'ticketd' ) );
		printf( '<select id="ticketd-history-field" name="%s">', esc_attr( self::FIELD ) );
		foreach ( $choices as $name => $label ) {
			printf(
				'<option value="%s"%s>%s</option>',
				esc_attr( (string) $name ),
				selected( (string) $name, $field, false ),
				esc_html( $label )
			);
		}
		echo '</select> ';
		printf( '<button type="submit" class="button">%s</button></form>', esc_html__( 'Filter', 'ticketd' ) );
	}

	/**
	 * Prints a page of changes.
	 *
	 * @param array  $page   What the daemon has returned.
	 * @param int    $before The revision below which the page begins; 0: it is the first page.
	 * @param string $field  The chosen field; empty: all.
	 */
	private function show_page( array $page, int $before, string $field ): void {
		if ( isset( $page['stale'] ) ) {
			printf( '<p>%s</p>', esc_html__( 'The latest changes may be missing.', 'ticketd' ) );
		}
		if ( array() === $page['changes'] ) {
			printf( '<p>%s</p>', esc_html__( 'No changes are recorded.', 'ticketd' ) );
		}
		People::load( $this->people( $page['changes'] ) );
		echo '<ol class="ticketd-changes" role="list">'; // Without markers, Safari does not take it for a list.
		foreach ( $page['changes'] as $change ) {
			$this->show_change( $change );
		}
		echo '</ol><p>';
		if ( 0 !== $before ) {
			$url = $this->address( 0, $field );
			printf( '<a href="%s">%s</a> ', esc_url( $url ), esc_html__( 'Newest changes', 'ticketd' ) );
		}
		if ( null !== $page['next'] ) {
			$url = $this->address( $page['next'], $field );
			printf( '<a href="%s" rel="next">%s</a>', esc_url( $url ), esc_html__( 'Older changes', 'ticketd' ) );
		}
		echo '</p>';
	}

	/**
	 * The address of a page of changes.
	 *
	 * @param int    $before The revision below which it begins; 0: the first page.
	 * @param string $field  The field; empty: all.
	 */
	private function address( int $before, string $field ): string {
		$query = array_filter(
			array(
				self::BEFORE => 0 === $before ? '' : (string) $before,
				self::FIELD  => rawurlencode( $field ),
			),
			'strlen'
		);
		return add_query_arg( $query, Screens::ticket_url( $this->ticket['id'] ) ) . '#' . self::ANCHOR;
	}

	/**
	 * The users that a page of changes names.
	 *
	 * @param array[] $changes The changes.
	 * @return string[] User ids, and other values, which are passed over.
	 */
	private function people( array $changes ): array {
		$ids = array();
		foreach ( $changes as $change ) {
			$ids[] = self::user( $change['by'] );
			foreach ( $change['changes'] as $name => $values ) {
				if ( in_array( $this->fields[ $name ]['type'] ?? '', array( 'agent', 'customer' ), true ) ) {
					array_push( $ids, ...array_map( 'strval', $values ) );
				}
			}
		}
		return $ids;
	}

	/**
	 * Prints a change.
	 *
	 * @param array $change The change.
	 */
	private function show_change( array $change ): void {
		$kinds   = array(
			'created' => __( 'opened the ticket', 'ticketd' ),
			'deleted' => __( 'deleted the ticket', 'ticketd' ),
			'dropped' => __( 'dropped changes that the database had rejected', 'ticketd' ),
			'erased'  => __( 'erased the personal data', 'ticketd' ),
		);
		$seconds = intdiv( $change['at_us'], 1000000 );
		echo '<li>';
		printf( '<p><strong>%s</strong> ', esc_html( self::who( $change ) ) );
		if ( isset( $kinds[ $change['kind'] ] ) ) {
			printf( '%s ', esc_html( $kinds[ $change['kind'] ] ) );
		}
		/* translators: %s: a time span like "2 hours" */
		$ago = sprintf( __( '%s ago', 'ticketd' ), human_time_diff( $seconds ) );
		printf(
			'<time datetime="%s" title="%s">%s</time></p>',
			esc_attr( gmdate( 'Y-m-d\TH:i:s\Z', $seconds ) ),
			esc_attr( Fields::time( gmdate( 'Y-m-d H:i:s', $seconds ) ) ),
			esc_html( $ago )
		);
		$changes = $this->arranged( $change );
		if ( array() !== $changes ) {
			echo '<ul>';
			foreach ( $changes as $name => $values ) {
				printf( '<li>%s: ', esc_html( $this->label( (string) $name ) ) );
				$this->show_values( (string) $name, $values, $change['erased'] );
				echo '</li>';
			}
			echo '</ul>';
		}
		if ( $change['gap'] ) {
			printf( '<p><em>%s</em></p>', esc_html__( 'Changes may be missing before this one.', 'ticketd' ) );
		}
		echo '</li>';
	}

	/**
	 * The fields of a change in the order of the form, without the times that the change itself has. A new ticket has
	 * no old values.
	 *
	 * @param array $change The change.
	 * @return array<string, array> Values by field name.
	 */
	private function arranged( array $change ): array {
		$changes = array_diff_key( $change['changes'], self::TIMES );
		$changes = array_replace( array_intersect_key( $this->fields, $changes ), $changes );
		return 'created' !== $change['kind'] ? $changes : array_map(
			static fn( array $values ): array => array_slice( $values, -1 ),
			$changes
		);
	}

	/**
	 * Prints the old and the new value of a field.
	 *
	 * @param string $name      The field's name.
	 * @param array  $values    The old and the new value, the new one alone, or none.
	 * @param bool   $is_erased Whether the values were erased.
	 */
	private function show_values( string $name, array $values, bool $is_erased ): void {
		if ( array() === $values ) {
			$text = $is_erased ? __( 'erased', 'ticketd' ) : __( 'changed', 'ticketd' );
			printf( '<em>%s</em>', esc_html( $text ) );
			return;
		}
		$shown = array();
		foreach ( $values as $value ) {
			// Unlike esc_html(), esc_textarea() also keeps what looks like an entity: customers quote code.
			$text    = esc_textarea( $this->shown( $name, $value ) );
			$shown[] = sprintf( '<span class="ticketd-value">%s</span>', $text );
		}
		$arrow = sprintf(
			' <span aria-hidden="true">%s</span><span class="screen-reader-text">%s</span> ',
			is_rtl() ? '←' : '→',
			esc_html__( 'changed to', 'ticketd' )
		);
		// phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped above.
		echo implode( $arrow, $shown );
	}

	/**
	 * A value for people.
	 *
	 * @param string $name  The field's name.
	 * @param mixed  $value The value.
	 */
	private function shown( string $name, $value ): string {
		if ( is_string( $value ) && 1 !== preg_match( '//u', $value ) ) {
			return Format::excerpt( $value );
		}
		$text = isset( $this->fields[ $name ] )
			? Fields::shown( $this->fields[ $name ], null === $value ? '' : $value )
			: Fields::shown( array( 'type' => 'text' ), $value );
		return Format::excerpt( $text );
	}

	/**
	 * The label of a field.
	 *
	 * @param string $name The field's name.
	 */
	private function label( string $name ): string {
		$others = array(
			'message'        => __( 'Message', 'ticketd' ),
			'customer_name'  => __( 'Name of a guest', 'ticketd' ),
			'customer_email' => __( 'E-mail address of a guest', 'ticketd' ),
		);
		return (string) ( $this->fields[ $name ]['label'] ?? $others[ $name ] ?? $name );
	}

	/**
	 * The user id of who made a change; empty: no user did.
	 *
	 * @param string $by What the change says.
	 */
	private static function user( string $by ): string {
		return 0 === strncmp( $by, 'user:', 5 ) ? substr( $by, 5 ) : '';
	}

	/**
	 * Who made a change.
	 *
	 * @param array $change The change: `by` and `via`.
	 */
	private static function who( array $change ): string {
		$user  = self::user( $change['by'] );
		$names = array(
			'unauthenticated' => __( 'A customer', 'ticketd' ),
			'cli'             => __( 'The command line', 'ticketd' ),
			'cron'            => __( 'A scheduled task', 'ticketd' ),
			''                => __( 'Unknown', 'ticketd' ),
		);
		if ( '' !== $user ) {
			$name = People::name( $user );
		} elseif ( 0 === strncmp( $change['by'], 'peer:', 5 ) ) {
			$name = __( 'Another program', 'ticketd' );
		} else {
			$name = $names[ $change['by'] ] ?? $change['by'];
		}
		if ( 'import' !== $change['via'] ) {
			return $name;
		}
		/* translators: %s: name of a user */
		return '' === $user ? __( 'An import', 'ticketd' ) : sprintf( __( '%s, by an import', 'ticketd' ), $name );
	}
}
