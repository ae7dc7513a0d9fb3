<?php
/**
 * Changes that get through, with a daemon or without.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Client;
use Ticketd\Client\Codec;
use Ticketd\Client\Connection;
use Ticketd\Client\PureCodec;
use Ticketd\Client\Spool;
use Ticketd\Client\SpoolingClient;
use Ticketd\Client\TicketdException;
use Ticketd\Tests\Support\Codecs;
use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;

/**
 * Which changes are spooled, and as which requests.
 */
final class SpoolingClientTest extends TestCase {

	/** Some fields. */
	private const FIELDS = array( 'status' => 'open' );

	/**
	 * The spool folder.
	 *
	 * @var Folder
	 */
	private Folder $folder;

	/**
	 * The daemon's stand-in.
	 *
	 * @var Peer|null
	 */
	private ?Peer $peer = null;

	/**
	 * Ids that the sequence gives next.
	 *
	 * @var int[]
	 */
	private array $ids = array( 901, 902, 903 );

	/**
	 * The identity of the site's table.
	 *
	 * @var string
	 */
	private string $identity = '';

	/**
	 * Makes a folder.
	 */
	protected function setUp(): void {
		$this->folder = new Folder();
	}

	/**
	 * A client whose daemon follows a script.
	 *
	 * @param array|null $script Connections, each a list of steps; null: there is no daemon.
	 * @param Codec|null $codec  The codec.
	 * @param string     $site   The site.
	 */
	private function client( ?array $script = null, ?Codec $codec = null, string $site = '' ): SpoolingClient {
		$this->peer = null === $script ? null : new Peer( $script );
		$socket     = null === $script ? Peer::free_path() : $this->peer->socket;
		$client     = new Client( new Connection( $socket ), $site, 200, $codec );
		$next_id    = function (): int {
			return array_shift( $this->ids ) ?? 0;
		};
		return new SpoolingClient( $client, fn() => new Spool( $this->folder->path ), $next_id, fn() => $this->identity );
	}

	/**
	 * A script of a daemon that answers the first request.
	 *
	 * @param array|null $error  The error.
	 * @param array|null $result The result.
	 */
	private static function answering( ?array $error, ?array $result = null ): array {
		return array( array( array( 'frame' ), array( 'send', Peer::reply( 1, $error, $result ) ), array( 'hold' ) ) );
	}

	/**
	 * The content of the spool: methods and parameters, in the order of the names.
	 */
	private function spooled(): array {
		$spooled = array();
		foreach ( $this->folder->frames() as $name ) {
			list( $type, $id, $method, $params ) = ( new PureCodec() )->decode( substr( $this->folder->contents( $name ), Connection::HEADER_BYTES ) );
			$this->assertSame( array( 0, 1 ), array( $type, $id ) );
			$this->assertStringContainsString( "-{$params['id']}-", $name );
			$spooled[] = array( $method, $params );
		}
		return $spooled;
	}

	/**
	 * The failure of a call.
	 *
	 * @param callable $call The call.
	 */
	private function failure( callable $call ): TicketdException {
		try {
			$call();
		} catch ( TicketdException $e ) {
			return $e;
		}
		$this->fail( 'the call succeeded' );
	}

	/**
	 * A spooled change carries the identity of its table, or no identity if the client does not know it.
	 */
	public function test_it_carries_the_identity_of_its_table(): void {
		$this->identity = 'ABC';
		$client         = $this->client();
		$client->create( self::FIELDS );
		$client->set( 5, self::FIELDS );
		$client->delete( 6 );
		$this->identity = '';
		$client->set( 7, self::FIELDS );
		$identities = array();
		foreach ( $this->spooled() as list( , $params ) ) {
			$identities[ $params['id'] ] = $params['identity'] ?? null;
		}
		$this->assertSame(
			array(
				901 => 'ABC',
				5   => 'ABC',
				6   => 'ABC',
				7   => null,
			),
			$identities
		);
	}

	/**
	 * Ways in which a change is not delivered.
	 */
	public static function outages(): array {
		$answers = array();
		foreach ( array( 'overloaded', 'shutting_down', 'unavailable' ) as $code ) {
			$answers[ $code ] = array( self::answering( Peer::error( $code ) ) );
		}
		return $answers + array(
			'no daemon'    => array( null ),
			'it hangs'     => array( array( array( array( 'frame' ), array( 'hold' ) ) ) ),
			'lost twice'   => array( array( array( array( 'frame' ) ), array( array( 'frame' ) ) ) ),
			'lost, gone'   => array( array( array( array( 'frame' ), array( 'unlink' ) ) ) ),
			'at its limit' => array( array( array( array( 'send', Peer::reply( 0, Peer::error( 'overloaded', true ) ) ) ) ) ),
		);
	}

	/**
	 * The change is in the spool under its request id, and counts as accepted.
	 *
	 * @dataProvider outages
	 * @param array|null $script The daemon's script.
	 */
	public function test_what_is_not_delivered_is_spooled( ?array $script ): void {
		$this->assertSame( 0, $this->client( $script, null, 'shop' )->set( 812, self::FIELDS, 0, 'again' ) );
		$params = array(
			'id'         => 812,
			'fields'     => self::FIELDS,
			'request_id' => 'again',
			'site'       => 'shop',
		);
		$this->assertSame( array( array( 'set', $params ) ), $this->spooled() );
	}

	/**
	 * A full backlog: the daemon does not accept, and connecting fails at once.
	 */
	public function test_a_full_backlog_is_spooled(): void {
		$path    = Peer::free_path();
		$context = stream_context_create( array( 'socket' => array( 'backlog' => 1 ) ) );
		$server  = stream_socket_server( 'unix://' . $path, $errno, $error, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context );
		$waiting = array();
		do {
			$last      = @stream_socket_client( 'unix://' . $path, $errno, $error, 1.0 );
			$waiting[] = $last;
		} while ( false !== $last );
		$client = new SpoolingClient( new Client( new Connection( $path ) ), fn() => new Spool( $this->folder->path ) );
		$this->assertSame( 0, $client->delete( 812 ) );
		$this->assertIsResource( $server );
		unlink( $path );
		list( $method, $params ) = $this->spooled()[0];
		$this->assertSame( 'delete', $method );
		$this->assertSame( array( 'id', 'request_id', 'remember' ), array_keys( $params ) );
		$this->assertSame( 600, $params['remember'] );
	}

	/**
	 * Refusals, faults, and a server that does not speak the protocol.
	 */
	public static function refusals(): array {
		$answers = array( 'no protocol' => array( array( array( array( 'frame' ), array( 'send', bin2hex( 'HTTP/1.1 200 OK' ) ) ) ), 'protocol' ) );
		foreach ( array( 'invalid', 'forbidden', 'not_found', 'conflict', 'too_large', 'malformed', 'internal', 'version', 'unknown_method' ) as $code ) {
			$answers[ $code ] = array( self::answering( Peer::error( $code ) ), $code );
		}
		return $answers;
	}

	/**
	 * The failure is thrown, and nothing is spooled.
	 *
	 * @dataProvider refusals
	 * @param array  $script The daemon's script.
	 * @param string $reason What the call must fail with.
	 */
	public function test_what_is_refused_is_not_spooled( array $script, string $reason ): void {
		$calls = array(
			fn( $client ) => $client->set( 812, self::FIELDS ),
			fn( $client ) => $client->create( self::FIELDS ),
			fn( $client ) => $client->delete( 812 ),
			fn( $client ) => $client->set_many( array( 812 => self::FIELDS ) ),
		);
		foreach ( $calls as $call ) {
			$client = $this->client( $script );
			$this->assertSame( $reason, $this->failure( fn() => $call( $client ) )->reason() );
		}
		$this->assertSame( array(), $this->folder->all() );
	}

	/**
	 * A change on condition is not spooled.
	 */
	public function test_a_condition_is_not_spooled(): void {
		$client = $this->client();
		$this->assertSame( 'unavailable', $this->failure( fn() => $client->set( 812, self::FIELDS, 7 ) )->reason() );
		$this->assertSame( array(), $this->folder->all() );
	}

	/**
	 * The codecs.
	 */
	public static function codecs(): array {
		return Codecs::data();
	}

	/**
	 * The file is, byte for byte, the frame that the daemon was sent.
	 *
	 * @dataProvider codecs
	 * @param Codec $codec The codec.
	 */
	public function test_the_file_is_the_frame( Codec $codec ): void {
		$fields = array(
			'subject'     => str_repeat( 'Grüße ', 50 ),
			'customer_id' => 70000,
			'score'       => 0.5,
			'vip'         => true,
			'12'          => -5,
			'category'    => null,
		);
		$client = $this->client( self::answering( Peer::error( 'overloaded' ) ), $codec, 'shop' );
		$client->set( 812, $fields );
		$this->assertSame( $this->peer->request(), bin2hex( $this->folder->contents( $this->folder->frames()[0] ) ) );

		$this->folder->take();
		$client = $this->client( self::answering( Peer::error( 'shutting_down' ) ), $codec );
		$client->create( $fields, 'form-1', 812 );
		$this->assertSame( $this->peer->request(), bin2hex( $this->folder->contents( $this->folder->frames()[0] ) ) );
	}

	/**
	 * A change names its table, to the daemon as in the spool. The same request id from another site of the user is
	 * not a repetition.
	 */
	public function test_a_change_names_its_table(): void {
		$ids    = array( 901, 902 );
		$create = function ( string $table ) use ( &$ids ): array {
			$client = new Client( new Connection( Peer::free_path() ), '', 200, null, null, $table );
			$next   = static function () use ( &$ids ): int {
				return array_shift( $ids );
			};
			return ( new SpoolingClient( $client, fn() => new Spool( $this->folder->path ), $next ) )->create( self::FIELDS, 'form-1' );
		};
		$this->assertSame( 901, $create( 'one.wp_support_tickets' )['id'] );
		$this->assertSame( 902, $create( 'two.wp_support_tickets' )['id'] );
		$this->assertSame( 901, $create( 'one.wp_support_tickets' )['id'] );
		$tables = array_map( static fn( array $change ): string => $change[1]['table'], $this->spooled() );
		$this->assertSame( array( 'one.wp_support_tickets', 'two.wp_support_tickets' ), $tables );
	}

	/**
	 * Several changes are spooled one by one, each under the request id that the daemon would have made for it.
	 */
	public function test_several_changes_are_spooled_one_by_one(): void {
		$client = $this->client( null, null, 'shop' );
		$this->assertSame( array( 5 => 0, 3 => 0 ), $client->set_many( array( 5 => self::FIELDS, 3 => array( 'status' => null ) ), 'bulk', true ) );
		$common = array( 'must_exist' => true, 'site' => 'shop' );
		$this->assertSame(
			array(
				array( 'set', array( 'id' => 5, 'fields' => self::FIELDS, 'request_id' => 'bulk#0' ) + $common ),
				array( 'set', array( 'id' => 3, 'fields' => array( 'status' => null ), 'request_id' => 'bulk#1' ) + $common ),
			),
			$this->spooled()
		);
	}

	/**
	 * Of several changes, the undelivered changes are spooled, and the refused changes are reported.
	 */
	public function test_of_several_changes_some_are_spooled(): void {
		$results  = array( 'results' => array( 9, Peer::error( 'overloaded' ), Peer::error( 'invalid' ), Peer::error( 'unavailable' ) ) );
		$client   = $this->client( self::answering( null, $results ) );
		$outcomes = $client->set_many( array( 1 => self::FIELDS, 2 => self::FIELDS, 3 => self::FIELDS, 4 => self::FIELDS ) );
		$this->assertSame( 'invalid', $outcomes[3]->reason() );
		unset( $outcomes[3] );
		$this->assertSame( array( 1 => 9, 2 => 0, 4 => 0 ), $outcomes );
		list( $second, $fourth ) = $this->spooled();
		$this->assertSame( array( 2, 4 ), array( $second[1]['id'], $fourth[1]['id'] ) );
		$this->assertStringEndsWith( '#1', $second[1]['request_id'] );
		$this->assertStringEndsWith( '#3', $fourth[1]['request_id'] );
		$this->assertSame( 600, $fourth[1]['remember'] );
	}

	/**
	 * A change that cannot be accepted does not stop the others; a set_many beyond the limit is refused as a whole.
	 * The longest request id has room for the number.
	 */
	public function test_of_several_changes_each_stands_for_itself(): void {
		$client   = $this->client();
		$outcomes = $client->set_many( array( 1 => array( 'status' => "\xff" ), 2 => self::FIELDS ) );
		$this->assertSame( array( 'invalid', 'status' ), array( $outcomes[1]->reason(), $outcomes[1]->field() ) );
		$this->assertSame( 0, $outcomes[2] );
		$this->folder->take();

		$many = array_fill( 1, 1001, self::FIELDS );
		$this->assertSame( 'tickets', $this->failure( fn() => $client->set_many( $many ) )->field() );
		$this->assertSame( array(), $this->folder->all() );
		$long = str_repeat( 'x', 64 );
		$this->assertSame( array_fill( 1, 1000, 0 ), $client->set_many( array_fill( 1, 1000, self::FIELDS ), $long ) );
		$this->assertSame( $long . '#999', $this->spooled()[999][1]['request_id'] );
	}

	/**
	 * A new ticket gets its id from the sequence; a repeated create is the same ticket and takes no other id.
	 */
	public function test_a_new_ticket_gets_an_id(): void {
		$client = $this->client();
		$made   = array(
			'id'       => 901,
			'revision' => 0,
		);
		$this->assertSame( $made, $client->create( self::FIELDS, 'form-1' ) );
		$this->assertSame( $made, $client->create( self::FIELDS, 'form-1' ) );
		$this->assertSame( 902, $client->create( self::FIELDS )['id'] );
		$this->assertSame( 77, $client->create( self::FIELDS, 'form-2', 77 )['id'] );
		list( $first, $second, $third ) = $this->spooled();
		$this->assertSame( array( 'create', array( 'id' => 901, 'fields' => self::FIELDS, 'request_id' => 'form-1' ) ), $first );
		$this->assertSame( array( 902, 600 ), array( $second[1]['id'], $second[1]['remember'] ) );
		$this->assertSame( array( 'create', array( 'id' => 77, 'fields' => self::FIELDS, 'request_id' => 'form-2' ) ), $third );
		$this->assertSame( array( 903 ), $this->ids );
	}

	/**
	 * A create that the daemon may have done under its own id is spooled under the same request id, so that the
	 * daemon finds the first ticket.
	 */
	public function test_an_ambiguous_create_keeps_its_request_id(): void {
		$client = $this->client( array( array( array( 'frame' ), array( 'hold' ) ) ) );
		$this->assertSame( 901, $client->create( self::FIELDS )['id'] );
		$sent = ( new PureCodec() )->decode( substr( hex2bin( $this->peer->request() ), Connection::HEADER_BYTES ) )[3];
		$this->assertSame( array( array( 'create', array( 'id' => 901 ) + $sent ) ), $this->spooled() );
	}

	/**
	 * Without an id the create fails with its own failure.
	 */
	public function test_without_an_id_there_is_no_ticket(): void {
		$this->ids = array();
		$client    = $this->client();
		$failure   = $this->failure( fn() => $client->create( self::FIELDS, 'form-1' ) );
		$this->assertSame( array( 'unavailable', 'form-1', false ), array( $failure->reason(), $failure->request_id(), $failure->ambiguous() ) );
		$client  = $this->client( array( array( array( 'frame' ), array( 'hold' ) ) ) );
		$failure = $this->failure( fn() => $client->create( self::FIELDS, 'form-1' ) );
		$this->assertSame( array( 'unavailable', true ), array( $failure->reason(), $failure->ambiguous() ) );
		$this->assertSame( array(), $this->folder->all() );
	}

	/**
	 * Changes that the daemon would refuse for any table.
	 */
	public static function bad_changes(): array {
		return array(
			'no fields'        => array( 1, array(), 'r', 'fields' ),
			'too many fields'  => array( 1, array_fill( 0, 129, 1 ), 'r', 'fields' ),
			'an empty name'    => array( 1, array( '' => 1 ), 'r', '' ),
			'a reserved name'  => array( 1, array( '_rev' => 1 ), 'r', '_rev' ),
			'a quote in one'   => array( 1, array( 'a`b' => 1 ), 'r', 'a`b' ),
			'a name too long'  => array( 1, array( str_repeat( 'a', 65 ) => 1 ), 'r', str_repeat( 'a', 65 ) ),
			'a line end'       => array( 1, array( "a\n" => 1 ), 'r', "a\n" ),
			'a name of bytes'  => array( 1, array( "a\xff" => 1 ), 'r', 'fields' ),
			'no UTF-8'         => array( 1, array( 'subject' => "caf\xe9" ), 'r', 'subject' ),
			'not a number'     => array( 1, array( 'score' => NAN ), 'r', 'score' ),
			'without end'      => array( 1, array( 'score' => -INF ), 'r', 'score' ),
			'an id of 0'       => array( 0, self::FIELDS, 'r', 'id' ),
			'an id below 0'    => array( -1, self::FIELDS, 'r', 'id' ),
			'a long request'   => array( 1, self::FIELDS, str_repeat( 'x', 69 ), 'request_id' ),
			'an odd request'   => array( 1, self::FIELDS, 'a b', 'request_id' ),
			'more than one'    => array( 1, array( 'status' => array( 'open' ) ), 'r', 'status' ),
		);
	}

	/**
	 * Such changes are refused here, with the field's name.
	 *
	 * @dataProvider bad_changes
	 * @param int    $id         The ticket's id.
	 * @param array  $fields     The fields.
	 * @param string $request_id The request id.
	 * @param string $field      The field that is to blame.
	 */
	public function test_what_cannot_be_accepted_is_refused( int $id, array $fields, string $request_id, string $field ): void {
		$client  = $this->client();
		$failure = $this->failure( fn() => $client->set( $id, $fields, 0, $request_id ) );
		$this->assertSame( array( 'invalid', $field, false ), array( $failure->reason(), $failure->field(), $failure->retryable() ) );
		if ( $id > 0 ) {
			$this->assertSame( 'invalid', $this->failure( fn() => $client->create( $fields, $request_id ) )->reason() );
			$this->assertCount( 3, $this->ids, 'an id was taken for it' );
		}
		$this->assertSame( array(), $this->folder->all() );
	}

	/**
	 * Without a folder that can be written, calls fail as without a spool.
	 */
	public function test_without_a_folder_the_failure_is_told(): void {
		foreach ( array( '', '/nonexistent/ticketd', '/proc' ) as $path ) {
			$client = new SpoolingClient( new Client( new Connection( Peer::free_path() ) ), fn() => new Spool( $path ), fn() => 901 );
			$calls  = array(
				fn() => $client->set( 812, self::FIELDS ),
				fn() => $client->create( self::FIELDS ),
				fn() => $client->delete( 812 ),
				fn() => $client->set_many( array( 812 => self::FIELDS, 813 => self::FIELDS ) ),
			);
			foreach ( $calls as $call ) {
				$failure = $this->failure( $call );
				$this->assertSame( 'unavailable', $failure->reason() );
				$this->assertStringContainsString( 'cannot be reached', $failure->getMessage() );
			}
		}
	}

	/**
	 * A full folder is told as such, with the request id under which the change may be tried again.
	 */
	public function test_a_full_folder_is_told(): void {
		$spool  = new Spool( $this->folder->path, 1 );
		$client = new SpoolingClient( new Client( new Connection( Peer::free_path() ) ), fn() => $spool );
		$client->set( 1, self::FIELDS );
		$failure = $this->failure( fn() => $client->set( 2, self::FIELDS, 0, 'again' ) );
		$this->assertSame( array( 'overloaded', 'again' ), array( $failure->reason(), $failure->request_id() ) );
	}

	/**
	 * An accepted change is not spooled.
	 */
	public function test_what_is_delivered_is_not_spooled(): void {
		$this->assertSame( 9, $this->client( self::answering( null, array( 'revision' => 9 ) ) )->set( 812, self::FIELDS ) );
		$this->assertSame( array(), $this->folder->all() );
	}
}
