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
		$this->add_block(
			'ticketd/form',
			self::FORM,
			array( 'categories' => '' ),
			__( 'Ticket form', 'ticketd' ),
			__( 'A form with which customers open a ticket.', 'ticketd' )
		);
		$this->add_block(
			'ticketd/my-tickets',
			self::MY_TICKETS,
			array( 'per_page' => 20 ),
			__( 'My tickets', 'ticketd' ),
			__( 'The tickets of the customer who is logged in.', 'ticketd' )
		);
	}

	/**
	 * Registers a block that shows what a shortcode does.
	 *
	 * @param string $name        The block's name.
	 * @param string $shortcode   The shortcode.
	 * @param array  $defaults    Defaults of its attributes by name, which are the shortcode's.
	 * @param string $title       The block's title.
	 * @param string $description The description.
	 */
	private function add_block(
		string $name,
		string $shortcode,
		array $defaults,
		string $title,
		string $description
	): void {
		$attribute = static fn( $value ): array => array(
			'type'    => is_int( $value ) ? 'integer' : 'string',
			'default' => $value,
		);
		register_block_type(
			$name,
			array(
				'api_version'     => 2,
				'title'           => $title,
				'description'     => $description,
				'category'        => 'widgets',
				'icon'            => 'tickets-alt',
				'attributes'      => array_map( $attribute, $defaults ),
				'supports'        => array( 'html' => false ),
				'editor_script'   => self::SCRIPT,
				'editor_style'    => self::STYLE,
				'render_callback' => static function ( array $attributes ) use ( $shortcode ): string {
					global $shortcode_tags;

					return (string) call_user_func( $shortcode_tags[ $shortcode ], $attributes );
				},
			)
		);
	}
}
