<?php
/**
 * A stand-in for $wpdb.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Support;

/**
 * Records the given statements.
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
	 * Rows of the last query: always empty.
	 *
	 * @var object[]
	 */
	public array $last_result = array();

	/**
	 * The error of CREATE from now on, or empty.
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
	 * Puts values into a statement, which no test reads.
	 *
	 * @param string $statement The statement.
	 */
	public function prepare( string $statement ): string {
		return $statement;
	}

	/**
	 * Finds only the row of an option that is to be deleted.
	 *
	 * @param string $statement The statement.
	 */
	public function get_row( string $statement ): ?object {
		return 0 === strpos( $statement, 'SELECT autoload' ) ? (object) array( 'autoload' => 'no' ) : null;
	}

	/**
	 * All other methods that WordPress calls on a database: results are empty, and every change succeeds.
	 *
	 * @param string $method    The method.
	 * @param array  $arguments Its arguments.
	 */
	public function __call( string $method, array $arguments ) {
		return 0 === strpos( $method, 'get_' ) ? null : 1;
	}
}
