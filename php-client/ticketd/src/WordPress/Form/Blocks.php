<?php
/**
 * The blocks.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Form;

use Ticketd\WordPress\Plugin;

defined( 'ABSPATH' ) || exit;

/**
 * Offers the shortcodes in the block editor. Both give the same output, made by the server for each visitor.
 */
final class Blocks {

	/** The form's shortcode. */
	public const FORM = 'ticketd_form';

	/** The shortcode of the customer's tickets. */
	public const MY_TICKETS = 'ticketd_my_tickets';

	/** The editor's script. */
	private const SCRIPT = 'ticketd-blocks';

	/** The style of the form and the customer's tickets. Only pages that show one of them load it. */
	public const STYLE = 'ticketd-form';

	/**
	 * The plugin's main file.
	 *
	 * @var string
	 */
	private string $file;

	/**
	 * Remembers the plugin's main file.
	 *
	 * @param string $file The path.
	 */
	public function __construct( string $file ) {
		$this->file = $file;
	}

	/**
	 * Adds the hooks.
	 */
	public function register(): void {
		add_action( 'init', array( $this, 'add_blocks' ) );
	}

	/**
	 * Registers the blocks.
	 */
	public function add_blocks(): void {
		$needed = array(
			'wp-blocks',
			'wp-element',
			'wp-i18n',
			'wp-block-editor',
			'wp-components',
			'wp-server-side-render',
		);
		wp_register_script(
			self::SCRIPT,
			plugins_url( 'assets/blocks.js', $this->file ),
			$needed,
			Plugin::VERSION,
			true
		);
		wp_set_script_translations( self::SCRIPT, 'ticketd' );
		wp_register_style( self::STYLE, plugins_url( 'assets/form.css', $this->file ), array(), Plugin::VERSION );
		$this->add_block( 'form', self::FORM );
		$this->add_block( 'my-tickets', self::MY_TICKETS );
	}

	/**
	 * Registers a block, which its block.json describes. The block shows what a shortcode does, and its attributes are
	 * the shortcode's.
	 *
	 * @param string $folder    The block's folder.
	 * @param string $shortcode The shortcode.
	 */
	private function add_block( string $folder, string $shortcode ): void {
		register_block_type(
			dirname( $this->file ) . '/blocks/' . $folder,
			array(
				'render_callback' => static function ( array $attributes ) use ( $shortcode ): string {
					global $shortcode_tags;

					return (string) call_user_func( $shortcode_tags[ $shortcode ], $attributes );
				},
			)
		);
	}
}
