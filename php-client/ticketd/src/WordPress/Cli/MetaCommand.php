<?php
/**
 * The WP-CLI commands for metadata.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Cli;

use Ticketd\WordPress\Meta\Adapter;
use Ticketd\WordPress\Meta\Keys;
use Ticketd\WordPress\Meta\Loader;

defined( 'ABSPATH' ) || exit;

/**
 * Lets ticketd take metadata of posts and users that another plugin writes.
 */
final class MetaCommand {

	/**
	 * Lets ticketd take the metadata that the daemon's configuration names.
	 *
	 * The daemon has a site of the kind "postmeta" or "usermeta" for this database. The command reads its keys, and
	 * puts a small loader among the must-use plugins. Run the command again after the keys have changed.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd meta install
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args None.
	 */
	public function install( array $args, array $assoc_args ): void {
		$problem = Loader::install();
		if ( '' !== $problem ) {
			\WP_CLI::error( $problem );
		}
		$learnt = array();
		$said   = '';
		foreach ( array_keys( Keys::KINDS ) as $type ) {
			$description = Adapter::instance()->learn( $type );
			if ( is_wp_error( $description ) ) {
				$said = '' === $said ? $description->get_error_message() : $said;
			} else {
				$learnt[] = $type;
			}
		}
		if ( array() === $learnt ) {
			if ( array() === Adapter::descriptions() ) {
				Loader::remove(); // Otherwise changes may be pending, and the daemon is away for the moment.
			}
			\WP_CLI::error( $said );
		}
		$this->status( array(), $assoc_args );
	}

	/**
	 * Lets WordPress write all metadata again. Pending changes are flushed first.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd meta uninstall
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args None.
	 */
	public function uninstall( array $args, array $assoc_args ): void {
		$problem = Adapter::instance()->end();
		if ( '' !== $problem ) {
			\WP_CLI::error( $problem );
		}
		if ( ! is_multisite() ) {
			Loader::remove(); // In a network other blogs may need it.
		}
		\WP_CLI::success( __( 'WordPress writes all metadata itself.', 'ticketd' ) );
	}

	/**
	 * Shows which metadata ticketd takes.
	 *
	 * ## OPTIONS
	 *
	 * [--format=<format>]
	 * : The output format.
	 * ---
	 * default: table
	 * options:
	 *   - table
	 *   - json
	 *   - csv
	 *   - yaml
	 *   - count
	 * ---
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp ticketd meta status
	 *
	 * @param string[] $args       None.
	 * @param array    $assoc_args Options.
	 */
	public function status( array $args, array $assoc_args ): void {
		$rows = array();
		foreach ( Adapter::descriptions() as $type => $description ) {
			foreach ( $description['keys'] as $field => $key ) {
				$rows[] = array(
					'type'       => $type,
					'post_types' => 'post' === $type ? implode( ',', $description['post_types'] ) : '',
					'key'        => $key,
					'field'      => $field,
				);
			}
		}
		Output::rows( $rows, $assoc_args, array( 'type', 'post_types', 'key', 'field' ) );
		if ( array() !== $rows && ! Loader::is_installed() ) {
			$text = __( 'The loader is not among the must-use plugins: run "wp ticketd meta install".', 'ticketd' );
			\WP_CLI::warning( $text );
		}
	}
}
