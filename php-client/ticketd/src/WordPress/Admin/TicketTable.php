<?php
/**
 * The table of tickets.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Input;

defined( 'ABSPATH' ) || exit;

/**
 * A list table of WordPress over a TicketQuery. Its pages have no numbers: each continues after the last ticket of
 * the page before, so that new and deleted tickets shift no other tickets.
 */
final class TicketTable extends \WP_List_Table {

	/** Name of the bulk action that assigns tickets to the agent. */
	public const TAKE = 'take';

	/** Prefix of the bulk actions that change a status. */
	public const STATUS = 'status:';

	/**
	 * The list's page.
	 *
	 * @var TicketQuery
	 */
	private TicketQuery $query;

	/**
	 * Makes the table; the columns are then known to the screen options.
	 *
	 * @param TicketQuery $query The query.
	 */
	public function __construct( TicketQuery $query ) {
		parent::__construct(
			array(
				'singular' => 'ticket',
				'plural'   => 'tickets',
				'ajax'     => false,
			)
		);
		$this->query = $query;
	}

	/**
	 * Asks the daemon.
	 */
	public function prepare_items(): void {
		$per_page = $this->get_items_per_page( TicketQuery::PER_PAGE_OPTION, TicketQuery::PER_PAGE );
		$this->query->run( min( TicketQuery::MAX_PER_PAGE, $per_page ) );
		$this->items = $this->query->tickets;
		$people      = array();
		foreach ( $this->items as $ticket ) {
			$people[] = $ticket['fields']['customer_id'] ?? 0;
			$people[] = $ticket['fields']['assigned_to'] ?? 0;
		}
		People::load( $people );
	}

	/**
	 * The columns.
	 */
	public function get_columns(): array {
		return array(
			'cb'          => '<input type="checkbox" />',
			'subject'     => __( 'Subject', 'ticketd' ),
			'ticket_id'   => __( 'Number', 'ticketd' ),
			'status'      => __( 'Status', 'ticketd' ),
			'priority'    => __( 'Priority', 'ticketd' ),
			'category'    => __( 'Category', 'ticketd' ),
			'customer_id' => __( 'Customer', 'ticketd' ),
			'assigned_to' => __( 'Assignee', 'ticketd' ),
			'created_at'  => __( 'Created', 'ticketd' ),
			'updated_at'  => __( 'Changed', 'ticketd' ),
		);
	}

	/**
	 * The sortable columns: the daemon's sorts.
	 */
	protected function get_sortable_columns(): array {
		return array(
			'ticket_id'  => array( 'ticket_id', true ),
			'status'     => array( 'status', false ),
			'priority'   => array( 'priority', false ),
			'created_at' => array( 'created_at', true ),
			'updated_at' => array( 'updated_at', true ),
		);
	}

	/**
	 * The column that stays on a narrow screen.
	 */
	protected function get_default_primary_column_name(): string {
		return 'subject';
	}

	/**
	 * The bulk actions.
	 */
	protected function get_bulk_actions(): array {
		$statuses = array();
		foreach ( Fields::statuses() as $value => $label ) {
			$statuses[ self::STATUS . $value ] = $label;
		}
		return array(
			self::TAKE                          => __( 'Assign to me', 'ticketd' ),
			__( 'Change status to', 'ticketd' ) => $statuses,
		);
	}

	/**
	 * Links to the statuses, with the number of tickets of each.
	 */
	protected function get_views(): array {
		if ( null === $this->query->counts ) {
			return array();
		}
		$current = Input::query( 'status' );
		$labels  = Fields::statuses();
		$counts  = $this->query->counts;
		$views   = array(
			'all' => $this->view( '', __( 'All', 'ticketd' ), array_sum( $counts ), '' === $current ),
		);
		foreach ( array_keys( $labels + $counts ) as $status ) {
			$count = $counts[ $status ] ?? 0;
			if ( $count > 0 || (string) $status === $current ) {
				$label = Fields::label( $labels, $status );
				// Keys become classes; a status may be any text.
				$views[ 'status-' . md5( (string) $status ) ] = $this->view(
					(string) $status,
					$label,
					$count,
					(string) $status === $current
				);
			}
		}
		return $views;
	}

	/**
	 * A link to the tickets of a status, as filtered and sorted as this list.
	 *
	 * @param string $status     The status; empty: all.
	 * @param string $label      The label.
	 * @param int    $count      How many tickets it has.
	 * @param bool   $is_current Whether this list is of it.
	 */
	private function view( string $status, string $label, int $count, bool $is_current ): string {
		return sprintf(
			'<a href="%1$s"%2$s>%3$s <span class="count">(%4$s)</span></a>',
			esc_url( Screens::list_url( array( 'status' => $status ) + self::filters() ) ),
			$is_current ? ' class="current" aria-current="page"' : '',
			esc_html( '' === $label ? __( 'None', 'ticketd' ) : $label ),
			esc_html( number_format_i18n( $count ) )
		);
	}

	/**
	 * The filters of this list but for the status and the page.
	 *
	 * @return array<string, string> Parameters of the address.
	 */
	public static function filters(): array {
		$filters = array();
		foreach ( array( 's', 'assigned_to', 'category', 'priority', 'customer', 'orderby', 'order' ) as $name ) {
			$filters[ $name ] = Input::query( $name );
		}
		return array_filter( $filters, 'strlen' );
	}

	/**
	 * Links to the pages. The address holds the cursors of the earlier pages.
	 *
	 * @param string $which `top` or `bottom`; the links are the same.
	 */
	protected function pagination( $which ): void {
		unset( $which );
		$trail  = TicketQuery::trail();
		$status = Input::query( 'status' );
		$counts = $this->query->counts;
		$total  = null === $counts ? null : ( '' === $status ? array_sum( $counts ) : $counts[ $status ] ?? 0 );
		$base   = self::filters() + array_filter( array( 'status' => $status ), 'strlen' );
		echo '<div class="tablenav-pages ticketd-pages">';
		if ( null !== $total ) {
			/* translators: %s: number of tickets */
			$text = _n( '%s ticket', '%s tickets', $total, 'ticketd' );
			printf(
				'<span class="displaying-num">%s</span> ',
				esc_html( sprintf( $text, number_format_i18n( $total ) ) )
			);
		}
		if ( array() !== $trail || '' !== $this->query->next ) {
			$before = array_slice( $trail, 0, -1 );
			$back   = array() === $before ? $base : $base + array( 'paged' => implode( ',', $before ) );
			$ahead  = $base + array( 'paged' => implode( ',', array_merge( $trail, array( $this->query->next ) ) ) );
			self::turn( __( 'First page', 'ticketd' ), array() === $trail ? null : $base );
			self::turn( __( 'Previous page', 'ticketd' ), array() === $trail ? null : $back );
			/* translators: %s: number of a page */
			$page = sprintf( __( 'Page %s', 'ticketd' ), number_format_i18n( count( $trail ) + 1 ) );
			printf( '<span class="ticketd-page">%s</span> ', esc_html( $page ) );
			self::turn( __( 'Next page', 'ticketd' ), '' === $this->query->next ? null : $ahead );
		}
		echo '</div>';
	}

	/**
	 * Prints a link to a page.
	 *
	 * @param string     $label The label.
	 * @param array|null $query Parameters of its address; null: there is no such page.
	 */
	private static function turn( string $label, ?array $query ): void {
		if ( null === $query ) {
			printf( '<span class="button disabled" aria-disabled="true">%s</span> ', esc_html( $label ) );
			return;
		}
		printf( '<a class="button" href="%s">%s</a> ', esc_url( Screens::list_url( $query ) ), esc_html( $label ) );
	}

	/**
	 * The text of an empty list.
	 */
	public function no_items(): void {
		if ( array() === self::filters() && '' === Input::query( 'status' ) ) {
			esc_html_e( 'There are no tickets.', 'ticketd' );
			return;
		}
		esc_html_e( 'No tickets found.', 'ticketd' );
	}

	/**
	 * The checkbox of a ticket.
	 *
	 * @param array $item The ticket.
	 */
	protected function column_cb( $item ): void {
		printf(
			'<label class="screen-reader-text" for="ticket-%1$d">%2$s</label>'
			. '<input type="checkbox" id="ticket-%1$d" name="ids[]" value="%1$d" />',
			(int) $item['id'],
			/* translators: %d: number of a ticket */
			esc_html( sprintf( __( 'Select ticket %d', 'ticketd' ), $item['id'] ) )
		);
	}

	/**
	 * The subject, which leads to the ticket.
	 *
	 * @param array $item The ticket.
	 */
	protected function column_subject( $item ): void {
		$subject = (string) ( $item['fields']['subject'] ?? '' );
		printf(
			'<strong><a class="row-title" href="%1$s">%2$s</a></strong>',
			esc_url( Screens::ticket_url( $item['id'] ) ),
			// Unlike esc_html() it also keeps what looks like an entity.
			esc_textarea( '' === $subject ? __( '(no subject)', 'ticketd' ) : $subject )
		);
	}

	/**
	 * Any other cell.
	 *
	 * @param array  $item        The ticket.
	 * @param string $column_name The column, which is a field of the ticket.
	 */
	protected function column_default( $item, $column_name ): void {
		$value = $item['fields'][ $column_name ] ?? null;
		switch ( $column_name ) {
			case 'ticket_id':
				echo esc_html( '#' . $item['id'] );
				return;
			case 'status':
				printf(
					'<span class="ticketd-status ticketd-status-%1$s">%2$s</span>',
					esc_attr( sanitize_html_class( (string) $value ) ),
					esc_html( Fields::label( Fields::statuses(), $value ) )
				);
				return;
			case 'priority':
				echo esc_html( self::or_dash( Fields::label( Fields::priorities(), $value ) ) );
				return;
			case 'category':
				echo esc_html( self::or_dash( Fields::label( Fields::categories(), $value ) ) );
				return;
			case 'customer_id':
				self::show_customer( $item['fields'] );
				return;
			case 'assigned_to':
				echo esc_html( People::name( $value ) );
				return;
			case 'created_at':
			case 'updated_at':
				self::show_time( $value );
				return;
			default: // A column of another plugin.
				echo esc_html( self::or_dash( (string) $value ) );
		}
	}

	/**
	 * Prints a ticket's customer. A guest's address stands below the name.
	 *
	 * @param array $fields The ticket's fields.
	 */
	private static function show_customer( array $fields ): void {
		$name  = People::customer( $fields );
		$email = People::guest( $fields )['email'] ?? '';
		echo esc_textarea( self::or_dash( $name ) );
		if ( '' !== $email && $email !== $name ) {
			printf( '<br /><span class="description">%s</span>', esc_textarea( $email ) );
		}
	}

	/**
	 * Prints a time: of the last day as an age, otherwise as a date. The title shows both.
	 *
	 * @param mixed $value The time, as the daemon has it.
	 */
	private static function show_time( $value ): void {
		$stamp = is_string( $value ) ? strtotime( $value . ' UTC' ) : false;
		if ( false === $stamp ) {
			echo '—';
			return;
		}
		$age = time() - $stamp;
		/* translators: %s: a time, e.g. "5 mins" */
		$ago = sprintf( __( '%s ago', 'ticketd' ), human_time_diff( $stamp ) );
		printf(
			'<time datetime="%1$s" title="%2$s">%3$s</time>',
			esc_attr( gmdate( 'c', $stamp ) ),
			esc_attr( Fields::time( $value ) ),
			esc_html( $age >= 0 && $age < DAY_IN_SECONDS ? $ago : (string) wp_date( __( 'Y/m/d', 'ticketd' ), $stamp ) )
		);
	}

	/**
	 * A text, or a dash for an empty one.
	 *
	 * @param string $text The text.
	 */
	private static function or_dash( string $text ): string {
		return '' === $text ? '—' : $text;
	}
}
