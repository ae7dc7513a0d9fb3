<?php
/**
 * Adds the WP-CLI commands.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Api;
use Ticketd\WordPress\Settings;

defined( 'ABSPATH' ) || exit;

/**
 * Knows which class has which command.
 */
final class Commands {

	/**
	 * Adds them.
	 *
	 * @param Api      $api      The daemon's API.
	 * @param Settings $settings The settings.
	 */
	public static function add( Api $api, Settings $settings ): void {
		$operations = new Operations( $api, $settings );
		\WP_CLI::add_command( 'ticketd', new Command( $api ) );
		foreach ( array( 'flush', 'status', 'verify', 'doctor' ) as $name ) {
			\WP_CLI::add_command( 'ticketd ' . $name, array( $operations, $name ) );
		}
		\WP_CLI::add_command( 'ticketd history', array( new HistoryCommand( $api ), 'history' ) );
		\WP_CLI::add_command( 'ticketd dead', new DeadCommand( $api ) );
		\WP_CLI::add_command( 'ticketd meta', new MetaCommand() );
		\WP_CLI::add_command( 'ticketd mirror', new MirrorCommand( $api ) );
		\WP_CLI::add_command( 'ticketd feed', new FeedCommand( $api ) );
		\WP_CLI::add_command( 'ticketd feed dead', new FeedDeadCommand( $api ) );
		\WP_CLI::add_command( 'ticketd import', new ImportCommand( $api, $settings ) );
	}
}
