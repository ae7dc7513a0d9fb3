<?php
/**
 * The feed by a webhook.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Site;
use Ticketd\WordPress\Feed\Webhook;

/**
 * Only what the daemon has signed, and lately, reaches a listener.
 */
final class WebhookTest extends SiteTestCase {

	/** Keys of the receiver. */
	private const KEY   = 'a key of more than 24 bytes';
	private const OTHER = 'another key, of the old secret';

	/** The events that the daemon's own tests hold. */
	private const EVENTS = __DIR__ . '/../../../sync/feed/cloudevent/testdata/';

	/**
	 * What the listener got.
	 *
	 * @var array[]
	 */
	private array $heard = array();

	/**
	 * Registers the route, and listens.
	 */
	protected function setUp(): void {
		parent::setUp();
		Site::$capabilities = array();
		rest_get_server();
		( new Webhook( array( self::KEY, self::OTHER ) ) )->register_routes();
		add_action(
			'ticketd_feed_event',
			function ( array $event ): void {
				$this->heard[] = $event;
			}
		);
	}

	/**
	 * Ends the listeners.
	 */
	protected function tearDown(): void {
		remove_all_actions( 'ticketd_feed_event' );
		parent::tearDown();
	}

	/**
	 * Sends a body.
	 *
	 * @param string $body    The body.
	 * @param array  $headers Headers instead of the right ones.
	 * @param string $key     The key of the signature.
	 */
	private function post( string $body, array $headers = array(), string $key = self::KEY ): \WP_REST_Response {
		$headers += array( 'webhook-id' => '812-7', 'webhook-timestamp' => (string) time() );
		$headers += array( 'webhook-signature' => self::signature( $headers['webhook-id'], $headers['webhook-timestamp'], $body, $key ) );
		$request  = new \WP_REST_Request( 'POST', '/ticketd/v1/feed' );
		$request->set_header( 'Content-Type', 'application/cloudevents+json' );
		foreach ( $headers as $name => $value ) {
			$request->set_header( $name, $value );
		}
		$request->set_body( $body );
		return rest_get_server()->dispatch( $request );
	}

	/**
	 * A signature.
	 *
	 * @param string $id   The id.
	 * @param string $time The time.
	 * @param string $body The body.
	 * @param string $key  The key.
	 */
	private static function signature( string $id, string $time, string $body, string $key ): string {
		return 'v1,' . base64_encode( hash_hmac( 'sha256', "$id.$time.$body", $key, true ) );
	}

	/**
	 * An event of the daemon's tests.
	 *
	 * @param string $name The file's name.
	 */
	private static function body( string $name ): string {
		return file_get_contents( self::EVENTS . $name . '.json' );
	}

	/**
	 * The signature of the standard's own example.
	 */
	public function test_the_standards_example(): void {
		$this->assertSame( 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', self::signature( 'msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330', '{"test": 2432232314}', Webhook::keys( 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' )[0] ) );
	}

	/**
	 * An event, as the socket brings it.
	 */
	public function test_an_event(): void {
		$response = $this->post( self::body( 'updated' ) );
		$this->assertSame( array( 204, null ), array( $response->get_status(), $response->get_data() ) );
		$want = array(
			'id'          => '812-1764000000123456',
			'kind'        => 'updated',
			'ticket'      => 812,
			'revision'    => 1764000000123456,
			'previous'    => 1763999990000001,
			'fields'      => array( 'assigned_to' => 3, 'due_at' => null, 'status' => 'pending' ),
			'was'         => array( 'assigned_to' => null, 'status' => 'open' ),
			'omitted'     => array(),
			'by'          => 'user:3',
			'via'         => 'wp-admin',
			'at_us'       => 1795981200123456,
			'recorded_us' => 1795981200124001,
			'delivery'    => 1,
		);
		$this->assertSame( array( $want ), $this->heard );
	}

	/**
	 * Every kind of event that the daemon makes, in one batch.
	 */
	public function test_every_kind(): void {
		$files = array_map( static fn( string $path ): string => basename( $path, '.json' ), glob( self::EVENTS . '*.json' ) );
		$this->assertSame( 204, $this->post( '[' . implode( ',', array_map( array( self::class, 'body' ), $files ) ) . ']' )->get_status() );
		$heard = array_combine( $files, $this->heard );
		$this->assertSame( 9223372036854775807, $heard['numbers']['ticket'] );
		$this->assertSame( array( 'a field whose name is a number', '9007199254740993', "a\0b" ), array( $heard['numbers']['fields'][12], $heard['numbers']['fields']['customer_id'], $heard['numbers']['fields']['nul'] ) );
		$this->assertSame( array( 'gap', 12, 40, 29 ), array( $heard['gap']['kind'], $heard['gap']['first'], $heard['gap']['last'], $heard['gap']['lost'] ) );
		$this->assertSame( array( 'restated', 1763999990000001 ), array( $heard['restated']['kind'], $heard['restated']['from'] ) );
		$this->assertSame( array( 'test', 0, 'a test by ticketd feed test' ), array( $heard['test']['kind'], $heard['test']['ticket'], $heard['test']['note'] ) );
	}

	/**
	 * One changed byte, a time-stamp of six minutes ago or ahead, a missing or another header, another key: 401, and
	 * nothing happens.
	 */
	public function test_what_is_not_signed(): void {
		$body = self::body( 'updated' );
		$now  = (string) time();
		$good = self::signature( '812-7', $now, $body, self::KEY );
		$bad  = array(
			array( $body . ' ', array( 'webhook-timestamp' => $now, 'webhook-signature' => $good ) ),
			array( $body, array( 'webhook-id' => '812-8', 'webhook-timestamp' => $now, 'webhook-signature' => $good ) ),
			array( $body, array( 'webhook-timestamp' => (string) ( time() - 360 ) ) ),
			array( $body, array( 'webhook-timestamp' => (string) ( time() + 360 ) ) ),
			array( $body, array( 'webhook-timestamp' => '' ) ),
			array( $body, array( 'webhook-timestamp' => $now . ' ' ) ),
			array( $body, array( 'webhook-id' => '' ) ),
			array( $body, array( 'webhook-id' => '812.7' ) ),
			array( $body, array( 'webhook-signature' => '' ) ),
			array( $body, array( 'webhook-timestamp' => $now, 'webhook-signature' => substr( $good, 3 ) ) ),
			array( $body, array( 'webhook-timestamp' => $now, 'webhook-signature' => 'v2' . substr( $good, 2 ) ) ),
			array( $body, array(), 'a key that nobody has told the site' ),
		);
		foreach ( $bad as $index => $arguments ) {
			$this->assertSame( 401, $this->post( ...$arguments )->get_status(), "case $index" );
		}
		$this->assertSame( array(), $this->heard );
	}

	/**
	 * While the secret is replaced, one of two signatures by one of two keys is enough.
	 */
	public function test_rotation(): void {
		$body = self::body( 'updated' );
		$now  = (string) time();
		$both = self::signature( '812-7', $now, $body, 'the newest key of the daemon' ) . ' ' . self::signature( '812-7', $now, $body, self::OTHER );
		$this->assertSame( 204, $this->post( $body, array( 'webhook-timestamp' => $now, 'webhook-signature' => $both ) )->get_status() );
	}

	/**
	 * A listener that fails is told to the daemon, which sends the event again; so is a site where nobody listens.
	 */
	public function test_failures(): void {
		foreach ( array( '', '[]', '"x"', '[7]', '{"specversion":"1.0","id":"1","type":"com.example.other","data":{}}' ) as $body ) {
			$this->assertSame( 400, $this->post( $body )->get_status(), $body );
		}
		$odd = '{"specversion":"1.0","id":"1-7","type":"com.github.ticketd.ticket.updated","authid":[1],"time":"tomorrow","data":{"ticket":"1","via":["x"]}}';
		$this->assertSame( 204, $this->post( $odd )->get_status() );
		$this->assertSame( array( '', '', 0 ), array( $this->heard[0]['by'], $this->heard[0]['via'], $this->heard[0]['at_us'] ) );
		add_action(
			'ticketd_feed_event',
			static function (): void {
				throw new \DomainException( 'The CRM is away.' );
			}
		);
		$response = $this->post( self::body( 'updated' ) );
		$this->assertSame( array( 500, 'DomainException: The CRM is away.' ), array( $response->get_status(), $response->get_data()['message'] ) );
		remove_all_actions( 'ticketd_feed_event' );
		$this->assertSame( 503, $this->post( self::body( 'updated' ) )->get_status() );
	}

	/**
	 * The forms of a secret. Without one there is no route.
	 */
	public function test_secrets(): void {
		$good = 'whsec_' . base64_encode( self::KEY );
		$this->assertSame( array( self::KEY ), Webhook::keys( $good ) );
		$this->assertSame( array( self::KEY, self::OTHER ), Webhook::keys( $good . "\n whsec_" . base64_encode( self::OTHER ) . "\n" ) );
		$bad = array( '', null, true, self::KEY, base64_encode( self::KEY ), 'v1,' . $good, 'whsec_' . bin2hex( '8 bytes!' ), 'whsec_' . base64_encode( '8 bytes!' ), 'whsec_' . base64_encode( str_repeat( 'x', 65 ) ), $good . ' x' );
		foreach ( $bad as $text ) {
			$this->assertNull( Webhook::keys( $text ), var_export( $text, true ) );
		}
		$GLOBALS['wp_rest_server'] = null;
		$this->assertSame( 404, $this->post( self::body( 'updated' ) )->get_status() );
	}
}
