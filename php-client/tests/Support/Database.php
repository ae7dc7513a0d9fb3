<?php
/**
 * A stand-in for $wpdb.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * Notes the statements that it is given.
 */
final class Database {

	/**
	 * The blog's prefix.
	 *
	 * @var string
	 */
	public string $prefix = 'wp_';

	/**
	 * Name of the options table.
	 *
	 * @var string
	 */
	public string $options = 'wp_options';

	/**
	 * Error of the last statement.
	 *
	 * @var string
	 */
	public string $last_error = '';

	/**
	 * Rows of the last query: there is nothing.
	 *
	 * @var object[]
	 */
	public array $last_result = array();

	/**
	 * What CREATE fails with from now on; empty: it does not.
	 *
	 * @var string
	 */
	public string $failure = '';

	/**
	 * The statements so far.
	 *
	 * @var string[]
	 */
	public array $statements = array();

	/**
	 * Runs a statement.
	 *
	 * @param string $statement The statement.
	 * @return int|false
	 */
	public function query( string $statement ) {
		$this->statements[] = $statement;
		$this->last_error   = 0 === strpos( $statement, 'CREATE' ) ? $this->failure : '';
		return '' === $this->last_error ? 1 : false;
	}

	/**
	 * The clause behind a new table.
	 */
	public function get_charset_collate(): string {
		return 'DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci';
	}

	/**
	 * Puts values into a statement, which nobody here looks at.
	 *
	 * @param string $statement The statement.
	 */
	public function prepare( string $statement ): string {
		return $statement;
	}

	/**
	 * Finds the row of an option that is to be deleted, and nothing else.
	 *
	 * @param string $statement The statement.
	 */
	public function get_row( string $statement ): ?object {
		return 0 === strpos( $statement, 'SELECT autoload' ) ? (object) array( 'autoload' => 'no' ) : null;
	}

	/**
	 * Everything else that WordPress asks a database for: nothing is there, and every change succeeds.
	 *
	 * @param string $method    The method.
	 * @param array  $arguments Its arguments.
	 */
	public function __call( string $method, array $arguments ) {
		return 0 === strpos( $method, 'get_' ) ? null : 1;
	}
}
