<?php
/**
 * The plugin.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Knows the hooks, and holds the one instance of everything else.
 */
final class Plugin {

	/** The plugin's version, as in its header. */
	public const VERSION = '0.1.0';

	/**
	 * The instance.
	 *
	 * @var self|null
	 */
	private static ?self $instance = null;

	/**
	 * What calls the daemon.
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
	 * What calls the daemon.
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
		( new Installer( $file ) )->register();
		( new Lifecycle( $file, $this->api ) )->register();
		( new Watchdog( $this->api, new Settings() ) )->register();
		( new Privacy( $this->api, new Settings() ) )->register();
		( new SettingsPage() )->register();
		( new Form\Form( $this->api, new Settings() ) )->register();
		( new Form\MyTickets( $this->api ) )->register();
		( new Form\Blocks( $file ) )->register();
		( new Form\WooCommerce( new Settings() ) )->register();
		( new Abilities( $this->api ) )->register();
		( new QueryMonitor( $this->api ) )->register();
		( new Capabilities() )->register();
		if ( is_admin() ) {
			( new Admin\Screens( $this->api, $file ) )->register();
		}
		$this->register_site_health();
		DropIn::register();

		add_action(
			'rest_api_init',
			function (): void {
				( new RestController( $this->api ) )->register_routes();
				( new Admin\Operations( $this->api ) )->register_routes();
			}
		);
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			Cli\Commands::add( $this->api, new Settings() );
		}
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
