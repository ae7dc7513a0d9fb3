<?php
/**
 * The plugin.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Knows the hooks, and holds the only instance of every other part.
 */
final class Plugin {

	/** The plugin's version, as in its header. */
	public const VERSION = '0.1.0';

	/** The hook by which WP-Cron follows the feed. It is here so that a page need not load the class of the feed. */
	public const FEED = 'ticketd_feed';

	/** The settings page, and its group of settings. */
	public const SETTINGS = 'ticketd-settings';

	/**
	 * The instance.
	 *
	 * @var self|null
	 */
	private static ?self $instance = null;

	/**
	 * The daemon's API.
	 *
	 * @var Api
	 */
	private Api $api;

	/**
	 * Makes the plugin's parts; nothing happens yet.
	 */
	private function __construct() {
		$this->api = new Api( new Settings() );
	}

	/**
	 * The instance of this request.
	 */
	public static function instance(): self {
		self::$instance = self::$instance ?? new self();
		return self::$instance;
	}

	/**
	 * The daemon's API.
	 */
	public function api(): Api {
		return $this->api;
	}

	/**
	 * Adds the hooks.
	 *
	 * @param string $file The plugin's main file.
	 */
	public function register( string $file ): void {
		$this->register_life( $file );
		$this->register_pages();
		$this->register_other_plugins();
		$options = wp_load_alloptions(); // get_option() asks the database for an option that is not there.
		if ( isset( $options['ticketd_meta'] ) && is_array( get_option( 'ticketd_meta' ) ) ) {
			Meta\Adapter::instance()->register(); // As the must-use plugin does, which some site may lack.
		}
		if ( isset( $options['ticketd_mirror'] ) ) {
			$this->register_mirror();
		}
		( new Watchdog( $this->api, new Settings() ) )->register();
		$this->register_feed();
		( new Form\Blocks( $file ) )->register();
		( new Capabilities() )->register();
		if ( is_admin() ) {
			( new Admin\Screens( $this->api, $file ) )->register();
		}
		$this->register_site_health();
		DropIn::register();

		add_action(
			'rest_api_init',
			function (): void {
				$tickets = new RestController( $this->api );
				$tickets->register_routes();
				( new RestHistory( $this->api, $tickets ) )->register_routes();
				$secret = defined( 'TICKETD_FEED_SECRET' ) ? Feed\Webhook::keys( \TICKETD_FEED_SECRET ) : null;
				if ( null !== $secret ) {
					( new Feed\Webhook( $secret ) )->register_routes();
				}
				( new Admin\Operations( $this->api ) )->register_routes();
			}
		);
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			Cli\Commands::add( $this->api, new Settings() );
		}
	}

	/**
	 * Adds hooks of the plugin's and a blog's life.
	 *
	 * @param string $file The plugin's main file.
	 */
	private function register_life( string $file ): void {
		$installer = self::lazy( static fn(): Installer => new Installer( $file ) );
		$lifecycle = self::lazy( fn(): Lifecycle => new Lifecycle( $file, $this->api ) );
		register_activation_hook( $file, $installer( 'activate' ) );
		// WordPress calls no activation hook where files were replaced, by an update or by hand.
		add_action( 'admin_init', $installer( 'upgrade' ) );
		add_action( Watchdog::HOOK, $installer( 'upgrade' ), 5 );
		add_action( 'admin_notices', $installer( 'show_error' ) );
		add_action( 'network_admin_notices', $installer( 'show_error' ) );
		// Later than WordPress itself, which makes the new blog's own tables at 10.
		add_action( 'wp_initialize_site', $installer( 'initialize_blog' ), 20 );
		register_deactivation_hook( $file, $lifecycle( 'deactivate' ) );
		add_action( 'wp_validate_site_deletion', $lifecycle( 'before_blog_is_deleted' ), 10, 2 );
		add_filter( 'wpmu_drop_tables', $lifecycle( 'add_tables' ), 10, 2 );
	}

	/**
	 * Adds the hooks of the pages: settings, privacy tools, the form and the customer's tickets.
	 */
	private function register_pages(): void {
		$settings = self::lazy( static fn(): SettingsPage => new SettingsPage() );
		$privacy  = self::lazy( fn(): Privacy => new Privacy( $this->api, new Settings() ) );
		$form     = self::lazy( fn(): Form\Form => new Form\Form( $this->api, new Settings() ) );
		$tickets  = self::lazy( fn(): Form\MyTickets => new Form\MyTickets( $this->api ) );
		add_action( 'admin_menu', $settings( 'add_page' ) );
		add_action( 'admin_init', $settings( 'add_settings' ) );
		add_filter( 'option_page_capability_' . self::SETTINGS, $settings( 'capability' ) );
		add_filter( 'wp_privacy_personal_data_exporters', $privacy( 'add_exporter' ) );
		add_filter( 'wp_privacy_personal_data_erasers', $privacy( 'add_eraser' ) );
		add_action( 'admin_init', $privacy( 'add_policy' ) );
		add_shortcode( Form\Blocks::FORM, $form( 'render' ) );
		add_action( 'template_redirect', $form( 'receive' ) );
		add_shortcode( Form\Blocks::MY_TICKETS, $tickets( 'render' ) );
	}

	/**
	 * Adds the hooks of the mirror of another plugin's tickets.
	 */
	private function register_mirror(): void {
		( new Mirror\Collector( $this->api ) )->register();
		add_action(
			Watchdog::HOOK,
			function (): void {
				$mirror = Mirror\Mirror::of_blog( $this->api );
				if ( null !== $mirror ) {
					$mirror->look();
				}
			}
		);
	}

	/**
	 * Adds the hooks of the feed. Most blogs have none, and load no class of it.
	 */
	private function register_feed(): void {
		$cron = self::lazy( fn(): Feed\Cron => new Feed\Cron( $this->api ) );
		// phpcs:ignore WordPress.WP.CronInterval.CronSchedulesInterval -- A look costs one call, where a plugin listens.
		add_filter( 'cron_schedules', $cron( 'add_schedule' ) );
		add_action( self::FEED, $cron( 'run' ) );
		$schedule = $cron( 'schedule' );
		add_action(
			'wp_loaded', // Later than the plugins that add listeners.
			function () use ( $schedule ): void {
				if ( $this->api->can( 'feed' ) ) {
					$schedule();
				}
			}
		);
	}

	/**
	 * Adds the hooks of other plugins and of WordPress' abilities.
	 */
	private function register_other_plugins(): void {
		$shop      = self::lazy( static fn(): Form\WooCommerce => new Form\WooCommerce( new Settings() ) );
		$abilities = self::lazy( fn(): Abilities => new Abilities( $this->api ) );
		$monitor   = self::lazy( fn(): QueryMonitor => new QueryMonitor( $this->api ) );
		add_filter( 'woocommerce_my_account_my_orders_actions', $shop( 'add_action' ), 10, 2 );
		add_action( 'woocommerce_order_details_after_order_table', $shop( 'show_link' ) );
		add_action( 'wp_abilities_api_categories_init', $abilities( 'add_category' ) );
		add_action( 'wp_abilities_api_init', $abilities( 'add_abilities' ) );
		add_filter( 'qm/collectors', $monitor( 'add_collector' ), 20 );
		add_filter( 'qm/outputter/html', $monitor( 'add_panel' ), 120, 2 );
	}

	/**
	 * Makes callbacks of an object whose class is loaded at the first call: most pages call none of them.
	 *
	 * @param callable $make Makes the object.
	 * @return callable Makes a callback of a method's name.
	 */
	private static function lazy( callable $make ): callable {
		$object = null;
		return static function ( string $method ) use ( $make, &$object ): callable {
			return static function ( ...$args ) use ( $make, &$object, $method ) {
				$object = $object ?? $make();
				return $object->$method( ...$args );
			};
		};
	}

	/**
	 * Adds the plugin's part of Site Health, which WordPress also asks for outside of its admin pages.
	 */
	private function register_site_health(): void {
		add_filter(
			'site_status_tests',
			function ( array $tests ): array {
				return $this->site_health()->add_tests( $tests );
			}
		);
		add_filter(
			'debug_information',
			function ( array $info ): array {
				return $this->site_health()->add_information( $info );
			}
		);
	}

	/**
	 * The plugin's part of Site Health.
	 */
	private function site_health(): Admin\SiteHealth {
		$health = new Health( $this->api );
		return new Admin\SiteHealth( new Checks( $health, new Settings() ), $health );
	}
}
