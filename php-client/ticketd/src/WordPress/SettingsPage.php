<?php
/**
 * The settings page.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

defined( 'ABSPATH' ) || exit;

/**
 * Shows the settings under Settings, with WordPress' Settings API. A value from a constant is shown but cannot be
 * changed. In a network only network managers may change settings: a blog that chose its own socket and site could
 * read another blog's tickets.
 */
final class SettingsPage {

	/** Longest text. */
	private const MAX_TEXT = 255;

	/** Lowest and highest value of the settings that are numbers. */
	private const NUMBERS = array(
		'timeout_ms'      => array( 1, 60000 ),
		'form_page'       => array( 0, PHP_INT_MAX ),
		'rate_limit'      => array( 1, 1000 ),
		'rate_seconds'    => array( 1, 86400 ),
		'overdue_seconds' => array( 60, 2592000 ),
	);

	/**
	 * The capability that changing them needs.
	 */
	public static function capability(): string {
		return is_multisite() ? 'manage_network_options' : 'ticketd_manage';
	}

	/**
	 * Adds the page to the menu.
	 */
	public function add_page(): void {
		add_options_page(
			__( 'ticketd', 'ticketd' ),
			__( 'ticketd', 'ticketd' ),
			self::capability(),
			Plugin::SETTINGS,
			array( $this, 'show' )
		);
	}

	/**
	 * Tells WordPress of the settings.
	 */
	public function add_settings(): void {
		register_setting(
			Plugin::SETTINGS,
			Settings::OPTION,
			array(
				'type'              => 'object',
				'sanitize_callback' => array( self::class, 'sanitized' ),
				'show_in_rest'      => false,
			)
		);
		$sections = array(
			'daemon'    => __( 'The daemon', 'ticketd' ),
			'form'      => __( 'The form', 'ticketd' ),
			'lifecycle' => __( 'Watching and uninstalling', 'ticketd' ),
		);
		foreach ( $sections as $section => $title ) {
			add_settings_section( $section, $title, '__return_empty_string', Plugin::SETTINGS );
			foreach ( self::labels()[ $section ] as $name => list( $label, $help ) ) {
				add_settings_field(
					'ticketd_' . $name,
					$label,
					array( $this, 'show_field' ),
					Plugin::SETTINGS,
					$section,
					array(
						'label_for' => 'ticketd_' . $name,
						'name'      => $name,
						'help'      => $help,
					)
				);
			}
		}
	}

	/**
	 * Shows the page.
	 */
	public function show(): void {
		if ( ! current_user_can( self::capability() ) ) {
			wp_die( esc_html__( 'Sorry, you are not allowed to change these settings.', 'ticketd' ), 403 );
		}
		echo '<div class="wrap"><h1>' . esc_html( get_admin_page_title() ) . '</h1>';
		echo '<p>' . esc_html__( 'An empty setting has its default, which plugins can change.', 'ticketd' ) . '</p>';
		echo '<form action="options.php" method="post">';
		settings_fields( Plugin::SETTINGS );
		do_settings_sections( Plugin::SETTINGS );
		submit_button();
		echo '</form></div>';
	}

	/**
	 * Shows a setting.
	 *
	 * @param array $args Its `name`, `label_for` and `help`.
	 */
	public function show_field( array $args ): void {
		$name     = $args['name'];
		$stored   = (array) get_option( Settings::OPTION, array() );
		$constant = Settings::constant_of( $name );
		$value    = '' !== $constant ? constant( $constant ) : ( $stored[ $name ] ?? '' );
		$disabled = '' !== $constant ? ' disabled' : '';
		$field    = sprintf(
			'id="%s" name="%s[%s]" aria-describedby="%s"%s',
			esc_attr( $args['label_for'] ),
			esc_attr( Settings::OPTION ),
			esc_attr( $name ),
			esc_attr( $args['label_for'] . '_help' ),
			$disabled
		);
		$choices  = self::choices()[ $name ] ?? null;
		$unset    = (string) Settings::unset_value( $name );
		if ( null !== $choices ) {
			// phpcs:ignore WordPress.Security.EscapeOutput -- Escaped above.
			echo '<select ' . $field . '>';
			/* translators: %s: label of a choice */
			$default = sprintf( __( 'Default: %s', 'ticketd' ), $choices[ $unset ] ?? $unset );
			foreach ( array( '' => $default ) + $choices as $choice => $text ) {
				printf(
					'<option value="%s"%s>%s</option>',
					esc_attr( $choice ),
					selected( $value, $choice, false ),
					esc_html( $text )
				);
			}
			echo '</select>';
		} elseif ( isset( self::NUMBERS[ $name ] ) ) {
			printf(
				'<input type="number" class="small-text" min="%d" value="%s" placeholder="%s" %s>',
				(int) self::NUMBERS[ $name ][0],
				esc_attr( $value ),
				esc_attr( $unset ),
				// phpcs:ignore WordPress.Security.EscapeOutput -- Escaped above.
				$field
			);
		} else {
			printf(
				'<input type="text" class="regular-text code" value="%s" placeholder="%s" %s>',
				esc_attr( $value ),
				esc_attr( $unset ),
				// phpcs:ignore WordPress.Security.EscapeOutput -- Escaped above.
				$field
			);
		}
		$help = $args['help'];
		if ( '' !== $constant ) {
			/* translators: %s: name of a constant */
			$help = sprintf( __( 'Decided by %s in wp-config.php.', 'ticketd' ), $constant );
		} elseif ( null === $choices && '' !== $unset && '0' !== $unset ) {
			/* translators: %s: a value */
			$help .= ' ' . sprintf( __( 'Default: %s', 'ticketd' ), $unset );
		}
		printf( '<p class="description" id="%s">%s</p>', esc_attr( $args['label_for'] . '_help' ), esc_html( $help ) );
	}

	/**
	 * Takes what can be used of what was sent, and says what cannot.
	 *
	 * @param mixed $sent Values by name.
	 * @return array<string, string|int> Values by name.
	 */
	public static function sanitized( $sent ): array {
		$clean = array();
		foreach ( array_merge( ...array_values( self::labels() ) ) as $name => list( $label ) ) {
			$value = is_array( $sent ) && is_scalar( $sent[ $name ] ?? null ) ? trim( (string) $sent[ $name ] ) : '';
			if ( '' === $value ) {
				continue;
			}
			if ( isset( self::NUMBERS[ $name ] ) ) {
				list( $least, $most ) = self::NUMBERS[ $name ];
				$is_good              = (string) (int) $value === $value && $value >= $least && $value <= $most;
				$value                = (int) $value;
			} elseif ( isset( self::choices()[ $name ] ) ) {
				$is_good = isset( self::choices()[ $name ][ $value ] );
			} else {
				$is_good = strlen( $value ) <= self::MAX_TEXT && 1 === preg_match( '/^[^\x00-\x1f]+$/D', $value )
					&& ( ! in_array( $name, array( 'socket', 'spool' ), true ) || '/' === $value[0] );
			}
			if ( $is_good ) {
				$clean[ $name ] = $value;
			} else {
				/* translators: %s: label of a setting */
				$text = sprintf( __( '%s: this value cannot be used; the default is.', 'ticketd' ), $label );
				add_settings_error( Settings::OPTION, 'ticketd_' . $name, $text );
			}
		}
		return $clean;
	}

	/**
	 * Labels and explanations by section and name.
	 */
	private static function labels(): array {
		return array(
			'daemon'    => array(
				'socket'     => array( __( 'Socket', 'ticketd' ), __( 'Path of the daemon\'s socket.', 'ticketd' ) ),
				'site'       => array(
					__( 'Site', 'ticketd' ),
					__( 'This site\'s name in the daemon\'s configuration; optional, as the table tells.', 'ticketd' ),
				),
				'timeout_ms' => array(
					__( 'Timeout', 'ticketd' ),
					__( 'Timeout of one call, in milliseconds.', 'ticketd' ),
				),
				'spool'      => array(
					__( 'Spool folder', 'ticketd' ),
					__( 'Folder for changes while the daemon is unreachable; as in its configuration.', 'ticketd' ),
				),
			),
			'form'      => array(
				'form'         => array( __( 'Who may open tickets', 'ticketd' ), __( 'With the form.', 'ticketd' ) ),
				'form_page'    => array(
					__( 'Page of the form', 'ticketd' ),
					__( 'Id of the page with the form; WooCommerce orders then link to it.', 'ticketd' ),
				),
				'rate_limit'   => array(
					__( 'Tickets per visitor', 'ticketd' ),
					__( 'At most, in the time below.', 'ticketd' ),
				),
				'rate_seconds' => array( __( 'In this time', 'ticketd' ), __( 'In seconds.', 'ticketd' ) ),
			),
			'lifecycle' => array(
				'overdue_seconds' => array(
					__( 'Overdue after', 'ticketd' ),
					__(
						'Lag in seconds from which WordPress flushes pending changes; more than the daemon\'s max_age.',
						'ticketd'
					),
				),
				'keep'            => array(
					__( 'When the plugin is deleted', 'ticketd' ),
					__( 'With nothing kept, the tickets in the database are lost for good.', 'ticketd' ),
				),
			),
		);
	}

	/**
	 * Values of the settings that are choices, with their texts.
	 */
	private static function choices(): array {
		return array(
			'form' => array(
				'everyone'  => __( 'Everyone', 'ticketd' ),
				'customers' => __( 'Logged-in users', 'ticketd' ),
				'off'       => __( 'No one', 'ticketd' ),
			),
			'keep' => array(
				'tickets' => __( 'Keep the tickets', 'ticketd' ),
				'all'     => __( 'Keep tickets and settings', 'ticketd' ),
				'nothing' => __( 'Keep nothing', 'ticketd' ),
			),
		);
	}
}
