<?php
/**
 * The history of a ticket: screen, function, REST, WP-CLI and privacy tools.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Client\FakeClient;
use Ticketd\Tests\Support\Database;
use Ticketd\Tests\Support\MariaDb;
use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Admin\History;
use Ticketd\WordPress\Cli\HistoryCommand;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Privacy;
use Ticketd\WordPress\Settings;

/**
 * Who changed what is shown, newest first, by 20, read-only.
 */
final class HistoryTest extends SiteTestCase {

	/** When the changes are made. */
	private const NOW = 1795000000;

	/**
	 * The daemon.
	 *
	 * @var FakeClient
	 */
	private FakeClient $fake;

	/**
	 * A daemon that keeps a history.
	 */
	protected function setUp(): void {
		parent::setUp();
		$this->fake = new FakeClient( static fn(): int => self::NOW );
		Plugin::instance()->api()->use_client( $this->fake );
		Site::features( array( 'by', 'erase', 'history' ) );
		foreach ( array( 'wp-cli.php', 'WP_CLI.php', 'Formatter.php' ) as $file ) {
			require_once __DIR__ . '/../Support/' . $file;
		}
		\WP_CLI::$printed  = array();
		\WP_CLI::$warnings = array();
	}

	/**
	 * Ends the fake.
	 */
	protected function tearDown(): void {
		Plugin::instance()->api()->use_client( null );
		$_GET = array();
		parent::tearDown();
	}

	/**
	 * The screen's list, without spaces between tags.
	 *
	 * @param array $change What the daemon returns instead of its history.
	 */
	private function screen( array $change = array() ): string {
		if ( array() !== $change ) {
			$this->daemon( array( null, array( 'changes' => array( $change ), 'next' => null ) ) );
		}
		ob_start();
		$ticket = array( 'id' => 1, 'fields' => array( 'status' => 'open', 'phone' => '555' ) );
		( new History( Plugin::instance()->api(), $ticket ) )->render();
		return ob_get_clean();
	}

	/**
	 * The texts of the list's items.
	 *
	 * @param string $html The screen.
	 * @return string[]
	 */
	private static function items( string $html ): array {
		preg_match_all( '#<li><p>(.*?)</p>(?:<ul>(.*?)</ul>)?(?:<p>(.*?)</p>)?</li>#s', $html, $found, PREG_SET_ORDER );
		$text = static fn( string $part ): string => html_entity_decode( trim( preg_replace( '/<[^>]*>/', ' ', $part ) ), ENT_QUOTES );
		return array_map( static fn( array $part ): string => preg_replace( '/\s+/', ' ', implode( ' | ', array_map( $text, array_filter( array_slice( $part, 1 ) ) ) ) ), $found );
	}

	/**
	 * An agent changes status and assignee, a visitor answers, another program writes: labels, names, old and new. The
	 * unchanged save is no item. The users are loaded in one query.
	 */
	public function test_the_list(): void {
		Site::$users = array( 3 => 'Ann', 4 => 'Bob & Co' );
		ticketd_create_ticket( array( 'status' => 'open', 'subject' => 'A <b>bold</b> &lt;' ) );
		Site::$user = 3;
		ticketd_set_ticket( 1, array( 'status' => 'pending', 'assigned_to' => 4 ) );
		ticketd_set_ticket( 1, array( 'status' => 'pending' ) );
		Site::$user = 0;
		$this->fake->sign( 'peer:33', '' );
		$this->fake->set( 1, array( 'phone' => '555', 'status' => null ) );
		$html = $this->screen();
		$ago  = human_time_diff( self::NOW ) . ' ago';
		$this->assertSame(
			array(
				"Another program $ago | Status: Pending → changed to None phone: None → changed to 555",
				"Ann $ago | Status: Open → changed to Pending Assignee: Unassigned → changed to Bob & Co",
				"A customer opened the ticket $ago | Subject: A <b>bold</b> &lt; Status: Open",
			),
			self::items( $html )
		);
		$this->assertSame( array( array( 3, 4 ) ), Site::$loaded );
		$this->assertStringContainsString( '<time datetime="2026-11-18T11:06:40Z" title="', $html );
		$this->assertStringContainsString( '<ol class="ticketd-changes" role="list">', $html );
		$this->assertStringContainsString( '<label for="ticketd-history-field">', $html );
		$this->assertStringNotContainsString( 'method="post"', $html );
		$this->assertStringNotContainsString( 'Older', $html );
	}

	/**
	 * Twenty a page; the address of the older ones keeps the filter.
	 */
	public function test_pages_and_the_filter(): void {
		for ( $n = 1; $n <= 25; $n++ ) {
			$this->fake->set( 1, array( 0 === $n % 2 ? 'status' : 'phone' => (string) $n ) );
		}
		$html = $this->screen();
		$this->assertCount( 20, self::items( $html ) );
		$this->assertStringContainsString( 'ticket=1&#038;history_before=6#ticketd-history" rel="next">Older changes</a>', $html );
		$_GET = array( 'history_before' => '6' );
		$html = $this->screen();
		$this->assertCount( 5, self::items( $html ) );
		$this->assertStringNotContainsString( 'Older', $html );
		$this->assertStringContainsString( 'ticket=1#ticketd-history">Newest changes</a>', $html );
		$_GET = array( 'history_field' => 'status' );
		$html = $this->screen();
		$this->assertCount( 12, self::items( $html ) );
		$this->assertStringContainsString( "<option value=\"status\" selected='selected'>Status</option>", $html );
		$_GET = array( 'history_field' => '"><script>' );
		$this->assertStringNotContainsString( '<script>', $this->screen() );
	}

	/**
	 * What the fake does not do: gaps, erased values, kinds, values that are unknown, long or no text, and a late answer.
	 */
	public function test_what_is_missing_is_said(): void {
		$change = array( 'revision' => 7, 'kind' => 'updated', 'at_us' => self::NOW * 1000000, 'by' => 'user:9', 'via' => 'import' );
		$ago    = human_time_diff( self::NOW ) . ' ago';
		$cases  = array(
			"User 9, by an import $ago | Status: Open | Changes may be missing before this one." => array( 'gap' => true, 'changes' => array( 'status' => array( 'open' ) ) ),
			"An import $ago | Status: erased"    => array( 'by' => 'cli', 'erased' => true, 'changes' => array( 'status' => array() ) ),
			"The command line $ago | note: changed" => array( 'by' => 'cli', 'via' => 'cli', 'changes' => array( 'note' => array() ) ),
			"A scheduled task deleted the ticket $ago" => array( 'by' => 'cron', 'via' => '', 'kind' => 'deleted' ),
			"the CRM $ago | note: 0xff → changed to " . str_repeat( 'ü', 200 ) . '…' => array( 'by' => 'the CRM', 'via' => 'api', 'changes' => array( 'note' => array( "\xff", str_repeat( 'ü', 300 ) ) ) ),
			"Unknown $ago"                       => array( 'by' => '', 'via' => '' ),
		);
		foreach ( $cases as $want => $more ) {
			$this->assertSame( array( $want ), self::items( $this->screen( $more + $change ) ) );
		}
		$this->daemon( array( null, array( 'changes' => array(), 'next' => null, 'stale' => true ) ) );
		$html = $this->screen();
		$this->assertStringContainsString( 'The latest changes may be missing.', $html );
		$this->assertStringContainsString( 'No changes are recorded.', $html );
	}

	/**
	 * A daemon that keeps no history is not asked; one that fails is explained, and the ticket's page goes on.
	 */
	public function test_without_a_history(): void {
		Site::features( array( 'by' ) );
		$this->assertSame( '', $this->screen() );
		$this->assertSame( array(), $this->fake->calls() );
		Site::features( array( 'history' ) );
		$this->fake->fail_next( 'unavailable' );
		$this->assertStringContainsString( 'Tickets are not available at the moment.', $this->screen() );
	}

	/**
	 * The function, with the client's arguments.
	 */
	public function test_the_function(): void {
		Site::$user = 3;
		ticketd_create_ticket( array( 'status' => 'open' ) );
		ticketd_set_ticket( 1, array( 'status' => 'pending' ) );
		$page = ticketd_ticket_history( 1, array( 'limit' => 1 ) );
		$this->assertSame( 2, $page['next'] );
		$change = array(
			'revision' => 2,
			'kind'     => 'updated',
			'at_us'    => self::NOW * 1000000,
			'by'       => 'user:3',
			'via'      => 'php',
			'changes'  => array( 'status' => array( 'open', 'pending' ) ),
			'erased'   => false,
			'gap'      => false,
		);
		ksort( $change );
		ksort( $page['changes'][0] );
		$this->assertSame( $change, $page['changes'][0] );
		$this->assertSame( 1, count( ticketd_ticket_history( 1, array( 'before' => 2 ) )['changes'] ) );
	}

	/**
	 * What the client sends, and what it reads.
	 */
	public function test_the_protocol(): void {
		$change = array( 'revision' => 7, 'kind' => 'updated', 'at_us' => 5, 'changes' => array( 'a' => array( null, 'x' ) ), 'later' => 1 );
		$this->daemon( array( null, array( 'changes' => array( $change ), 'next' => 7 ) ), array( null, array( 'count' => 2 ) ) );
		$page = ticketd_ticket_history( 812, array( 'before' => 9, 'field' => 'a' ) );
		$this->assertSame( 7, $page['next'] );
		$this->assertSame( array( array( 'a' => array( null, 'x' ) ), '', false ), array( $page['changes'][0]['changes'], $page['changes'][0]['by'], $page['changes'][0]['gap'] ) );
		$this->assertSame( 2, Plugin::instance()->api()->erase_history( array( 812 ) ) );
		$this->assertSame( array( 'history', array( 'id' => 812, 'before' => 9, 'field' => 'a' ) ), $this->request() );
		$this->assertSame( array( 'erase_history', array( 'ids' => array( 812 ) ) ), $this->request() );
	}

	/**
	 * Asks the route.
	 *
	 * @param array $query The query.
	 */
	private function get( array $query = array() ): \WP_REST_Response {
		$request = new \WP_REST_Request( 'GET', '/ticketd/v1/tickets/1/history' );
		$request->set_query_params( $query );
		return rest_get_server()->dispatch( $request );
	}

	/**
	 * REST shows who may read the ticket its changes, of the fields that REST shows.
	 */
	public function test_rest(): void {
		$this->assertSame( 401, $this->get()->get_status() );
		Site::$capabilities = array( 'ticketd_edit_tickets' );
		$this->fake->set( 1, array( 'status' => 'open', 'phone' => '555' ) );
		// Bytes are no value that a client sets: another program has put them into a column of theirs.
		$foreign = fn() => $this->tickets->set( 1, array( 'status' => 'pending', 'note' => "\xff" ), 0, true );
		\Closure::bind( $foreign, $this->fake, FakeClient::class )();
		add_filter( 'ticketd_rest_fields', static fn( array $fields ): array => array_diff_key( $fields, array( 'phone' => 1 ) ) );
		$response = $this->get( array( 'per_page' => 1 ) );
		$data     = json_decode( wp_json_encode( $response->get_data() ), true );
		$this->assertSame( '2026-11-18T11:06:40.000000Z', $data[0]['at'] );
		$this->assertSame( array( 'status' => array( 'open', 'pending' ), 'note' => array( null, array( 'hex' => 'ff' ) ) ), $data[0]['changes'] );
		$this->assertSame( '2', $response->get_headers()['X-Ticketd-Next'] );
		$data = json_decode( wp_json_encode( $this->get( array( 'before' => 2 ) )->get_data() ), true );
		$this->assertSame( array( 'status' => array( 'open' ) ), $data[0]['changes'] );
		$this->assertSame( 400, $this->get( array( 'after' => 2 ) )->get_status() );
		$this->assertSame( 400, $this->get( array( 'before' => 'x' ) )->get_status() );
	}

	/**
	 * WP-CLI prints a screenful for people, and all for programs.
	 */
	public function test_wp_cli(): void {
		for ( $n = 1; $n <= 22; $n++ ) {
			$this->fake->set( 1, array( 'status' => (string) $n, 'phone' => null ) );
		}
		$command = new HistoryCommand( Plugin::instance()->api() );
		$command->history( array( '1' ), array() );
		list( , $rows, $columns ) = \WP_CLI::$printed[0];
		$this->assertSame( array( 20, 'status: 21 → 22', '2026-11-18 11:06:40' ), array( count( $rows ), $rows[0]['changes'], $rows[0]['at'] ) );
		$this->assertSame( array( 'revision', 'at', 'kind', 'by', 'via', 'changes', 'gap', 'erased' ), $columns );
		$this->assertStringContainsString( 'Only 20 changes are printed', \WP_CLI::$warnings[0] );
		$command->history( array( '1' ), array( 'format' => 'json', 'of' => 'status' ) );
		$rows = \WP_CLI::$printed[1][1];
		$this->assertCount( 22, $rows );
		$this->assertEquals( (object) array( 'status' => array( '21', '22' ) ), $rows[0]['changes'] );
		$this->assertCount( 1, \WP_CLI::$warnings );
	}

	/**
	 * A person gets the changes of the fields that the ticket's export has, and not who made them. Erasing the ticket
	 * erases its history, also the values that erasing itself has changed, and also after a try that broke off.
	 */
	public function test_privacy_tools(): void {
		$GLOBALS['wpdb'] = MariaDb::wpdb();
		$GLOBALS['wpdb']->insert( 'wp_support_tickets', array( 'ticket_id' => 1, 'revision' => 1, 'subject' => '', 'extra' => '{"customer_email":"ann@example.org"}' ) );
		Site::$user = 3;
		ticketd_create_ticket( array( 'customer_email' => 'ann@example.org', 'status' => 'open', 'note' => 'rude' ) );
		ticketd_set_ticket( 1, array( 'status' => 'pending', 'message' => 'my secret: a<b, <bob@example.org>' ) );
		add_filter( 'ticketd_exported_fields', static fn( array $fields ): array => array_diff_key( $fields, array( 'note' => 1 ) ) );
		$privacy = new Privacy( Plugin::instance()->api(), new Settings() );
		$data    = $privacy->export( 'ann@example.org' )['data'];
		remove_all_filters( 'ticketd_exported_fields' );
		$this->assertSame( array( 'ticketd-tickets', 'ticketd-history' ), array_column( $data, 'group_id' ) );
		$this->assertSame(
			array(
				array( 'name' => '2026-11-18 11:06:40', 'value' => 'status: open → pending; message: NULL → my secret: a&lt;b, &lt;bob@example.org&gt;' ),
				array( 'name' => '2026-11-18 11:06:40', 'value' => 'customer_email: ann@example.org; status: open' ),
			),
			$data[1]['data']
		);
		// WordPress' report takes values for HTML.
		$this->assertContains( array( 'name' => 'message', 'value' => 'my secret: a&lt;b, &lt;bob@example.org&gt;' ), $data[0]['data'] );
		// The daemon goes away between the erasing of the ticket and that of its history.
		$this->fake->fail_next( 'unavailable', 1, 'erase_history' );
		$this->assertInstanceOf( \WP_Error::class, $privacy->erase( 'ann@example.org' ) );
		$GLOBALS['wpdb']->update( 'wp_support_tickets', array( 'extra' => '{}' ), array( 'ticket_id' => 1 ) ); // As MySQL has it then.
		$this->assertTrue( $privacy->erase( 'ann@example.org' )['done'] );
		$this->assertFalse( get_option( 'ticketd_unerased' ) );
		$kept = wp_json_encode( ticketd_ticket_history( 1 ) );
		$this->assertStringNotContainsString( 'secret', $kept );
		$this->assertStringNotContainsString( 'rude', $kept );
		$this->assertSame( array( 'user:3', 'privacy' ), array( ticketd_ticket_history( 1 )['changes'][0]['by'], ticketd_ticket_history( 1 )['changes'][0]['via'] ) );
		$GLOBALS['wpdb'] = new Database();
	}
}
