<?php
/**
 * Personal data.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Protocol;

defined( 'ABSPATH' ) || exit;

/**
 * Exports and erases a person's data in tickets, for WordPress' own privacy tools. A person's tickets are the tickets
 * of the customer with the address, and the tickets that a visitor opened under the address with the form
 * (`customer_email`).
 *
 * Pending changes count: they are flushed before tickets are searched, dead letters are searched, too, and values are
 * read through the daemon. If the daemon is unreachable, the answer is an error, never a part.
 *
 * Erasing keeps the ticket, because numbers and times belong to the shop's records, and removes everything that could
 * be about a person.
 */
final class Privacy {

	/** Option that holds the ids of tickets whose history is not erased yet. */
	private const UNERASED = 'ticketd_unerased';

	/** Tickets of one page. WordPress asks for page after page. */
	private const PAGE = 100;

	/** Fields that stay when a ticket is erased. */
	private const KEPT = array(
		'status',
		'category',
		'priority',
		'assigned_to',
		'created_at',
		'updated_at',
		'deleted_at',
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
	 * Adds the exporter.
	 *
	 * @param array $exporters Those that there are.
	 */
	public function add_exporter( array $exporters ): array {
		$exporters['ticketd'] = array(
			'exporter_friendly_name' => __( 'Support tickets', 'ticketd' ),
			'callback'               => array( $this, 'export' ),
		);
		return $exporters;
	}

	/**
	 * Adds the eraser.
	 *
	 * @param array $erasers Those that there are.
	 */
	public function add_eraser( array $erasers ): array {
		$erasers['ticketd'] = array(
			'eraser_friendly_name' => __( 'Support tickets', 'ticketd' ),
			'callback'             => array( $this, 'erase' ),
		);
		return $erasers;
	}

	/**
	 * Suggests what the site's privacy policy may say.
	 */
	public function add_policy(): void {
		$text = __(
			'When you open a support ticket we keep what you write, your name and your e-mail address.',
			'ticketd'
		);
		$more = __(
			'To limit how many tickets one visitor opens we keep a number made of your network address for minutes.',
			'ticketd'
		);
		wp_add_privacy_policy_content( 'ticketd', '<p>' . esc_html( $text ) . '</p><p>' . esc_html( $more ) . '</p>' );
	}

	/**
	 * Exports a page of a person's tickets.
	 *
	 * @param string $email The person's address.
	 * @param int    $page  The page, from 1.
	 * @return array{data: array[], done: bool}|\WP_Error
	 */
	public function export( string $email, int $page = 1 ) {
		$found = $this->tickets( $email, ( $page - 1 ) * self::PAGE );
		if ( is_wp_error( $found ) ) {
			return $found;
		}
		$data = array();
		foreach ( $found['tickets'] as $ticket ) {
			/**
			 * Filters what the customer of a ticket gets of it when a person's data is exported, for example to leave
			 * out an agent's notes.
			 *
			 * @param array $fields Values by field name.
			 * @param array $ticket The ticket: `id`, `revision` and `fields`.
			 */
			$fields  = (array) apply_filters( 'ticketd_exported_fields', $ticket['fields'], $ticket );
			$changes = $this->history( $ticket['id'], $fields );
			if ( is_wp_error( $changes ) ) {
				return $changes;
			}
			$values = array();
			foreach ( array( 'id' => $ticket['id'] ) + $fields as $name => $value ) {
				if ( null !== $value && '' !== $value ) {
					$values[] = array(
						'name'  => (string) $name,
						'value' => self::html( (string) $value ),
					);
				}
			}
			$data[] = array(
				'group_id'    => 'ticketd-tickets',
				'group_label' => __( 'Support tickets', 'ticketd' ),
				'item_id'     => 'ticketd-ticket-' . $ticket['id'],
				'data'        => $values,
			);
			if ( array() !== $changes ) {
				$data[] = array(
					'group_id'    => 'ticketd-history',
					'group_label' => __( 'History of support tickets', 'ticketd' ),
					'item_id'     => 'ticketd-history-' . $ticket['id'],
					'data'        => $changes,
				);
			}
		}
		return array(
			'data' => $data,
			'done' => $found['is_last'],
		);
	}

	/**
	 * The history of a ticket for its customer: what was changed and when, of the fields that the customer gets. Who
	 * changed it is the data of others.
	 *
	 * @param int   $id     The ticket's id.
	 * @param array $fields The fields that the customer gets.
	 * @return array[]|\WP_Error Pairs of `name` and `value`, the newest change first.
	 */
	private function history( int $id, array $fields ) {
		$pairs = array();
		$args  = array( 'limit' => 1000 );
		while ( $this->api->can( 'history' ) ) {
			$page = $this->api->history( $id, $args );
			if ( is_wp_error( $page ) ) {
				return $page;
			}
			foreach ( $page['changes'] as $change ) {
				$changes = array_intersect_key( $change['changes'], $fields );
				if ( array() !== $changes ) {
					$pairs[] = array(
						'name'  => gmdate( 'Y-m-d H:i:s', intdiv( $change['at_us'], 1000000 ) ),
						'value' => self::html( Format::changes( $changes ) ),
					);
				}
			}
			if ( null === $page['next'] ) {
				break;
			}
			$args['before'] = $page['next'];
		}
		return $pairs;
	}

	/**
	 * A text as HTML. WordPress' report takes values for HTML and would leave out `<bob@example.org>`.
	 *
	 * @param string $text The text.
	 */
	private static function html( string $text ): string {
		return htmlspecialchars( $text, ENT_NOQUOTES | ENT_SUBSTITUTE, 'UTF-8' );
	}

	/**
	 * Erases a page of a person's tickets. A search no longer finds erased tickets, so this is always the first page,
	 * and the next page if some tickets stay.
	 *
	 * @param string $email The person's address.
	 * @return array|\WP_Error `items_removed`, `items_retained`, `messages` and `done`.
	 */
	public function erase( string $email ) {
		$erased = array(
			'items_removed'  => false,
			'items_retained' => false,
			'messages'       => array(),
		);
		$stay   = 0;
		do {
			$found = $this->tickets( $email, $stay );
			$page  = is_wp_error( $found ) ? $found : $this->erase_those( $found['tickets'] );
			if ( is_wp_error( $page ) ) {
				return $page;
			}
			$stay                    += $page['refused'];
			$erased['items_removed']  = $erased['items_removed'] || $page['removed'] > 0;
			$erased['items_retained'] = $stay > 0;
			array_push( $erased['messages'], ...$page['messages'] );
		} while ( $page['refused'] > 0 && ! $found['is_last'] );
		return $erased + array( 'done' => $found['is_last'] );
	}

	/**
	 * Erases tickets.
	 *
	 * @param array[] $tickets Tickets; those that were deleted say so.
	 * @return array{removed: int, refused: int, messages: string[]}|\WP_Error
	 */
	private function erase_those( array $tickets ) {
		$deleted  = array_filter( $tickets, fn( array $ticket ): bool => $ticket['deleted'] ?? false );
		$there    = array_diff_key( $tickets, $deleted );
		$messages = array();
		$changes  = array_map( array( self::class, 'emptied' ), array_column( $there, 'fields', 'id' ) );
		$this->remember( array_column( $tickets, 'id' ) );
		$outcomes = array() === $changes
			? array()
			: Actor::within( 'privacy', fn() => $this->api->set_many( $changes ) );
		// Not before MySQL has it, too, is it erased.
		$flushed = is_wp_error( $outcomes ) || array() === $changes
			? $outcomes
			: $this->api->flush( array_keys( $changes ) );
		if ( is_wp_error( $flushed ) ) {
			return $flushed;
		}
		$refused = array_filter( $outcomes, 'is_wp_error' );
		foreach ( $refused as $id => $error ) {
			/* translators: 1: number of a ticket, 2: the reason */
			$messages[] = sprintf( __( 'Ticket %1$d: %2$s', 'ticketd' ), $id, $error->get_error_message() );
		}
		foreach ( $deleted as $ticket ) {
			if ( ! $this->empty_row( $ticket ) ) {
				return self::no_database();
			}
		}
		$erased = $this->erase_histories();
		if ( is_wp_error( $erased ) ) {
			return $erased;
		}
		return array(
			'removed'  => count( $outcomes ) - count( $refused ) + count( $deleted ),
			'refused'  => count( $refused ),
			'messages' => $messages,
		);
	}

	/**
	 * Remembers tickets whose history is to be erased. The erasing of a ticket is itself a change with the old values,
	 * so its history comes last; and a search does not find an erased ticket again.
	 *
	 * @param int[] $ids Ticket ids.
	 */
	private function remember( array $ids ): void {
		if ( array() !== $ids && $this->api->can( 'erase' ) ) {
			$all = array_merge( (array) get_option( self::UNERASED, array() ), $ids );
			update_option( self::UNERASED, array_values( array_unique( $all ) ), false );
		}
	}

	/**
	 * Erases the histories that are to be erased, also those of tickets that an earlier try has erased.
	 *
	 * @return true|\WP_Error
	 */
	private function erase_histories() {
		$ids = (array) get_option( self::UNERASED, array() );
		foreach ( array_chunk( $ids, Protocol::MAX_TICKETS ) as $some ) {
			$erased = $this->api->erase_history( $some );
			if ( is_wp_error( $erased ) ) {
				return $erased;
			}
		}
		if ( array() !== $ids ) {
			delete_option( self::UNERASED );
		}
		return true;
	}

	/**
	 * Erases a deleted ticket in its row: the daemon changes no deleted ticket.
	 *
	 * @param array $ticket The ticket.
	 * @return bool Whether the database has done it.
	 */
	private function empty_row( array $ticket ): bool {
		global $wpdb;
		$table = Table::describe( $this->settings->table() );
		if ( null === $table ) {
			return false;
		}
		$values = array_filter(
			self::emptied( $ticket['fields'] ),
			fn( string $name ): bool => $table->has( $name ),
			ARRAY_FILTER_USE_KEY
		);
		if ( $table->has_extra() ) {
			$values['extra'] = null;
		}
		// phpcs:ignore WordPress.DB.DirectDatabaseQuery -- The daemon changes no ticket that was deleted.
		return false !== $wpdb->update( $this->settings->table(), $values, array( 'ticket_id' => $ticket['id'] ) );
	}

	/**
	 * What to set so that nothing about a person is left.
	 *
	 * @param array $fields A ticket's fields.
	 * @return array Values by field name.
	 */
	private static function emptied( array $fields ): array {
		$emptied = array(
			'customer_id' => null,
			'subject'     => wp_privacy_anonymize_data( 'text' ),
		);
		foreach ( array_keys( $fields ) as $name ) {
			if ( ! in_array( $name, self::KEPT, true ) && ! array_key_exists( $name, $emptied ) ) {
				$emptied[ $name ] = null;
			}
		}
		/**
		 * Filters what a ticket is set to when the data of its customer is erased.
		 *
		 * @param array $emptied Values by field name.
		 * @param array $fields  What the ticket holds.
		 */
		return (array) apply_filters( 'ticketd_erased_fields', $emptied, $fields );
	}

	/**
	 * A person's tickets.
	 *
	 * @param string $email  The person's address.
	 * @param int    $offset How many to pass over.
	 * @return array{tickets: array[], is_last: bool}|\WP_Error At most PAGE tickets; those that were deleted, as their
	 *         rows are, with `deleted`. `is_last` where there are no more.
	 */
	private function tickets( string $email, int $offset ) {
		$flushed = $this->api->flush();
		if ( is_wp_error( $flushed ) ) {
			return $flushed;
		}
		$user = get_user_by( 'email', $email );
		$ids  = $this->ids( $user ? (int) $user->ID : 0, $email );
		if ( is_wp_error( $ids ) ) {
			return $ids;
		}
		$some  = array_slice( $ids, $offset, self::PAGE );
		$there = $this->api->get_many( $some );
		if ( is_wp_error( $there ) ) {
			return $there;
		}
		$tickets = array_filter( $there );
		if ( in_array( true, array_column( $tickets, 'stale' ), true ) ) {
			return new \WP_Error( 'ticketd_unavailable', __( 'ticketd became unreachable; try again.', 'ticketd' ) );
		}
		$deleted = $this->deleted( array_diff( $some, array_column( $tickets, 'id' ) ) );
		if ( is_wp_error( $deleted ) ) {
			return $deleted;
		}
		return array(
			'tickets' => array_merge( array_values( $tickets ), $deleted ),
			'is_last' => count( $ids ) <= $offset + self::PAGE,
		);
	}

	/**
	 * The rows of tickets that were deleted: what is left of them is a person's, too.
	 *
	 * @param int[] $ids Ticket ids.
	 * @return array[]|\WP_Error Tickets, with `deleted`.
	 */
	private function deleted( array $ids ) {
		if ( array() === $ids ) {
			return array();
		}
		$table = Table::describe( $this->settings->table() );
		$rows  = null === $table ? null : Database::rows(
			'SELECT ' . $table->selected() . ' FROM ' . $table->source() . ' WHERE `ticket_id` IN ('
				. implode( ',', array_map( 'intval', $ids ) ) . ')'
		);
		if ( null === $rows ) {
			return self::no_database();
		}
		return array_map( fn( array $row ): array => array( 'deleted' => true ) + $table->ticket( $row ), $rows );
	}

	/**
	 * Says that the database does not answer.
	 */
	private static function no_database(): \WP_Error {
		return new \WP_Error( 'ticketd_unavailable', __( 'The database does not answer.', 'ticketd' ) );
	}

	/**
	 * The ids of a person's tickets: those that MySQL has, and those among the dead letters.
	 *
	 * @param int    $user  The person's user id; 0: none.
	 * @param string $email The person's address.
	 * @return int[]|\WP_Error
	 */
	private function ids( int $user, string $email ) {
		$table = Table::describe( $this->settings->table() );
		if ( null === $table ) {
			return self::no_database();
		}
		$conditions = array();
		$values     = array();
		if ( 0 !== $user && $table->has( 'customer_id' ) ) {
			$conditions[] = '`customer_id` = %d';
			$values[]     = $user;
		}
		if ( $table->has( 'customer_email' ) ) {
			$conditions[] = '`customer_email` = %s';
			$values[]     = $email;
		}
		if ( $table->has_extra() ) { // Also with a column: tickets from before the column have the address here.
			$conditions[] = "LOWER(JSON_UNQUOTE(JSON_EXTRACT(`extra`, '$.customer_email'))) = LOWER(%s)";
			$values[]     = $email;
		}
		if ( array() === $conditions ) {
			return array();
		}
		$found = Database::rows(
			'SELECT `ticket_id` AS `id` FROM ' . $table->source() . ' WHERE ' . implode( ' OR ', $conditions ),
			$values
		);
		if ( null === $found ) {
			return self::no_database();
		}
		$dead = $this->dead_ids( $user, $email );
		if ( is_wp_error( $dead ) ) {
			return $dead;
		}
		$ids = array_map( 'intval', array_column( $found, 'id' ) );
		$ids = array_values( array_unique( array_merge( $ids, $dead ) ) );
		sort( $ids );
		return $ids;
	}

	/**
	 * The ids of a person's tickets among those with changes that MySQL refuses.
	 *
	 * @param int    $user  The person's user id; 0: none.
	 * @param string $email The person's address.
	 * @return int[]|\WP_Error
	 */
	private function dead_ids( int $user, string $email ) {
		$ids   = array();
		$after = 0;
		do {
			$letters = $this->api->dead_list( $after, 1000 );
			if ( is_wp_error( $letters ) ) {
				return $letters;
			}
			foreach ( $letters as $letter ) {
				$after = $letter['id'];
				if ( ! empty( $letter['cut'] ) ) { // alone it is whole.
					$alone = $this->api->dead_list( $after - 1, 1 );
					if ( is_wp_error( $alone ) ) {
						return $alone;
					}
					$letter = $alone[0] ?? $letter;
				}
				$fields  = $letter['fields'];
				$is_his  = 0 !== $user && (int) ( $fields['customer_id'] ?? 0 ) === $user;
				$address = strtolower( (string) ( $fields['customer_email'] ?? '' ) );
				if ( $is_his || strtolower( $email ) === $address ) {
					$ids[] = $letter['id'];
				}
			}
			$is_last = count( $letters ) < 1000;
		} while ( ! $is_last );
		return $ids;
	}
}
