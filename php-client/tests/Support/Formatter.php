<?php
/**
 * A stand-in for WP-CLI's formatter of rows.
 *
 * @package Ticketd
 */

namespace WP_CLI;

/**
 * Notes what would be printed on STDOUT.
 */
final class Formatter {

	/**
	 * The options.
	 *
	 * @var array
	 */
	private array $options;

	/**
	 * The columns.
	 *
	 * @var string[]
	 */
	private array $columns;

	/**
	 * Takes what it prints with.
	 *
	 * @param array    $options `format`, `field`, `fields`.
	 * @param string[] $columns The columns where `fields` says no others.
	 */
	public function __construct( array &$options, array $columns ) {
		$this->options = $options;
		$this->columns = $columns;
	}

	/**
	 * Notes rows.
	 *
	 * @param array[] $rows The rows.
	 */
	public function display_items( array $rows ): void {
		$columns = explode( ',', $this->options['fields'] ?? $this->options['field'] ?? implode( ',', $this->columns ) );

		\WP_CLI::$printed[] = array( $this->options['format'], $rows, $columns );
	}
}
