<?php
/**
 * Activation.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Installer;

/**
 * Activation runs the statements of schema.sql, and says what went wrong.
 */
final class InstallerTest extends SiteTestCase {

	/**
	 * The installer.
	 */
	private function installer(): Installer {
		return new Installer( dirname( __DIR__, 2 ) . '/ticketd/ticketd.php' );
	}

	/**
	 * Every statement runs, for this blog's table, without open placeholders.
	 */
	public function test_activation_runs_the_schema(): void {
		global $wpdb;
		$this->installer()->activate();
		$statements = array_values( preg_grep( '/^(?!SHOW).*support_tickets/s', $wpdb->statements ) );
		$this->assertGreaterThanOrEqual( 2, count( $statements ) );
		$this->assertStringStartsWith( 'CREATE TABLE IF NOT EXISTS `wp_support_tickets` (', $statements[0] );
		$this->assertStringContainsString( 'DEFAULT CHARACTER SET utf8mb4', $statements[0] );
		foreach ( $statements as $statement ) {
			$this->assertDoesNotMatchRegularExpression( '/\{\w+\}|;|^--/m', $statement );
		}
		$this->assertFalse( get_option( Installer::ERROR_OPTION ) );
	}

	/**
	 * A failure ends the activation, is remembered, is shown to users who can act, and is forgotten afterwards.
	 */
	public function test_a_failure_is_shown_until_it_is_gone(): void {
		global $wpdb;
		$wpdb->failure = "CREATE command denied to user <'u'>";
		$result        = $this->installer()->install();
		$this->assertSame( 'ticketd_schema', $result->get_error_code() );
		$this->assertCount( 1, preg_grep( '/^(?!SHOW).*support_tickets/s', $wpdb->statements ) );
		$this->assertSame( '', $this->notice() );

		Site::$capabilities = array( 'activate_plugins' );
		$this->assertStringContainsString( 'CREATE command denied to user &lt;', $this->notice() );

		$wpdb->failure = '';
		$this->assertTrue( $this->installer()->install() );
		$this->assertSame( '', $this->notice() );
	}

	/**
	 * A name that cannot be a table's name never reaches a statement.
	 */
	public function test_an_odd_table_name_is_refused(): void {
		global $wpdb;
		add_filter(
			'ticketd_table',
			static function (): string {
				return 'a`; DROP TABLE b';
			}
		);
		$this->assertSame( 'ticketd_table', $this->installer()->install()->get_error_code() );
		$this->assertSame( array(), preg_grep( '/DROP TABLE/', $wpdb->statements ) );
	}

	/**
	 * The notice on an admin page.
	 */
	private function notice(): string {
		ob_start();
		$this->installer()->show_error();
		return ob_get_clean();
	}
}
