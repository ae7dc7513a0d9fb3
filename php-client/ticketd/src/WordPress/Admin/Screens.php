<?php
/**
 * The plugin's screens.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Capabilities;
use Ticketd\WordPress\Checks;
use Ticketd\WordPress\Health;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Adds the menu, and the parts of the page that the screens need. No call to the daemon.
 */
final class Screens {

	/** Pages of the menu. */
	public const TICKETS = 'ticketd';
	public const STATUS  = 'ticketd-status';
	public const DEAD    = 'ticketd-dead';

	/** Where the menu stands: behind the comments. */
	private const POSITION = 26;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * The plugin's main file.
	 *
	 * @var string
	 */
	private string $file;

	/**
	 * The daemon's state.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * The checks.
	 *
	 * @var Checks
	 */
	private Checks $checks;

	/**
	 * Takes the parts.
	 *
	 * @param Api    $api  The daemon's API.
	 * @param string $file The plugin's main file.
	 */
	public function __construct( Api $api, string $file ) {
		$this->api    = $api;
		$this->file   = $file;
		$this->health = new Health( $api );
		$this->checks = new Checks( $this->health, new Settings() );
	}

	/**
	 * Adds the hooks.
	 */
	public function register(): void {
		add_action( 'admin_menu', array( $this, 'add_menu' ) );
		add_action( 'admin_enqueue_scripts', array( $this, 'enqueue' ) );
		$operations = new Operations( $this->api );
		add_action( 'admin_post_' . Operations::FLUSH, array( $operations, 'flush_and_return' ) );
		add_action( 'admin_post_' . Operations::FEED, array( $operations, 'control_feed_and_return' ) );
		add_filter( 'set_screen_option_' . TicketQuery::PER_PAGE_OPTION, array( $this, 'per_page' ), 10, 3 );
		add_filter( 'default_hidden_columns', array( $this, 'hide_columns' ), 10, 2 );
		( new Alerts( $this->checks ) )->register();
		( new Widget( $this->api, $this->health ) )->register();
	}

	/**
	 * Adds the menu.
	 */
	public function add_menu(): void {
		$tickets = new TicketScreens( $this->api );
		$status  = new StatusScreen( $this->health, $this->checks );
		$dead    = new DeadScreen( $this->api );
		$pages   = array(
			array(
				self::TICKETS,
				__( 'Tickets', 'ticketd' ),
				__( 'All tickets', 'ticketd' ),
				Capabilities::EDIT_TICKETS,
				$tickets,
			),
			array(
				self::STATUS,
				__( 'ticketd status', 'ticketd' ),
				__( 'Status', 'ticketd' ),
				Capabilities::MANAGE,
				$status,
			),
			array(
				self::DEAD,
				__( 'Dead letters', 'ticketd' ),
				__( 'Dead letters', 'ticketd' ),
				Capabilities::MANAGE,
				$dead,
			),
		);
		// A user with only the right to manage has no list; the menu then leads to the first page for that user.
		$is_agent = current_user_can( Capabilities::EDIT_TICKETS );
		add_menu_page(
			__( 'Tickets', 'ticketd' ),
			__( 'Tickets', 'ticketd' ),
			$is_agent ? Capabilities::EDIT_TICKETS : Capabilities::MANAGE,
			self::TICKETS,
			'',
			'dashicons-tickets-alt',
			self::POSITION
		);
		foreach ( $pages as list( $slug, $title, $label, $capability, $screen ) ) {
			$hook = add_submenu_page( self::TICKETS, $title, $label, $capability, $slug, array( $screen, 'render' ) );
			if ( false !== $hook ) {
				add_action( 'load-' . $hook, array( $screen, 'load' ) );
			}
		}
	}

	/**
	 * Adds styles and scripts to the plugin's screens and the dashboard.
	 *
	 * @param string $hook The page.
	 */
	public function enqueue( string $hook ): void {
		$is_status = (bool) strpos( $hook, '_page_' . self::STATUS );
		if ( ! $is_status && 'index.php' !== $hook && ! preg_match( '/_page_ticketd(-dead)?$/D', $hook ) ) {
			return;
		}
		wp_enqueue_style( 'ticketd-admin', plugins_url( 'assets/admin.css', $this->file ), array(), $this->version() );
		if ( ! $is_status ) {
			return;
		}
		wp_enqueue_script(
			'ticketd-status',
			plugins_url( 'assets/status.js', $this->file ),
			array(),
			$this->version(),
			true
		);
		wp_localize_script( 'ticketd-status', 'ticketdStatus', StatusScreen::script_data() );
	}

	/**
	 * Hides a column of the tickets until an agent asks for it in the screen options.
	 *
	 * @param string[]   $hidden Columns that are hidden.
	 * @param \WP_Screen $screen The screen.
	 * @return string[]
	 */
	public function hide_columns( array $hidden, \WP_Screen $screen ): array {
		if ( 'toplevel_page_' . self::TICKETS === $screen->id ) {
			$hidden[] = 'created_at';
		}
		return $hidden;
	}

	/**
	 * Checks the tickets per page that an agent has chosen.
	 *
	 * @param mixed  $kept   The value that is kept by default.
	 * @param string $option The option.
	 * @param mixed  $value  The chosen value.
	 */
	public function per_page( $kept, string $option, $value ): int {
		unset( $kept, $option );
		return max( 1, min( TicketQuery::MAX_PER_PAGE, (int) $value ) );
	}

	/**
	 * Address of the list.
	 *
	 * @param array<string, string> $query Further parameters.
	 */
	public static function list_url( array $query = array() ): string {
		return add_query_arg( array_map( 'rawurlencode', $query ), self::url( self::TICKETS ) );
	}

	/**
	 * Address of a ticket.
	 *
	 * @param int $id The ticket's id.
	 */
	public static function ticket_url( int $id ): string {
		return add_query_arg( 'ticket', $id, self::url( self::TICKETS ) );
	}

	/**
	 * Address of a page.
	 *
	 * @param string $page The page.
	 */
	public static function url( string $page ): string {
		return admin_url( 'admin.php?page=' . $page );
	}

	/**
	 * The plugin's version, so that browsers fetch the files again after an update.
	 */
	private function version(): string {
		return (string) get_file_data( $this->file, array( 'version' => 'Version' ) )['version'];
	}
}
