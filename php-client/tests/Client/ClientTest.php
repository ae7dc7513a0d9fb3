<?php
/**
 * The client's methods against a peer that answers as the daemon does.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\Client;

use PHPUnit\Framework\TestCase;
use Ticketd\Client\Client;
use Ticketd\Client\Codec;
use Ticketd\Client\Connection;
use Ticketd\Client\DaemonException;
use Ticketd\Client\InputException;
use Ticketd\Client\LostException;
use Ticketd\Client\Protocol;
use Ticketd\Client\ProtocolException;
use Ticketd\Client\PureCodec;
use Ticketd\Tests\Support\Codecs;
use Ticketd\Tests\Support\Peer;

/**
 * What each method sends and returns.
 */
final class ClientTest extends TestCase {

	/**
	 * The codecs.
	 */
	public static function codecs(): array {
		return Codecs::data();
	}

	/**
	 * A client on a peer that reads one frame and answers.
	 *
	 * @param array      $result What the peer answers.
	 * @param Peer|null  $peer   The peer.
	 * @param Codec|null $codec  The codec to use.
	 * @param string     $site   The site's name.
	 */
	private function client( array $result, ?Peer &$peer, ?Codec $codec = null, string $site = '' ): Client {
		$peer = new Peer( array( array( array( 'frame' ), array( 'send', Peer::reply( 1, null, $result ) ), array( 'hold' ) ) ) );
		return new Client( new Connection( $peer->socket ), $site, 5000, $codec );
	}

	/**
	 * The request that the peer read.
	 *
	 * @param Peer $peer The peer.
	 */
	private function request( Peer $peer ): array {
		return ( new PureCodec() )->decode( substr( hex2bin( $peer->request() ), Connection::HEADER_BYTES ) );
	}

	/**
	 * Changes say who makes them, in the parameters after all others. Where the refusal is about a field of the ticket
	 * that has the parameter's name, it stays a refusal, and the next change is signed again.
	 */
	public function test_changes_are_signed(): void {
		$refusal = array( 'field' => 'via' ) + Peer::error( 'invalid' );
		$steps   = array();
		foreach ( array( $refusal, $refusal, null ) as $index => $error ) {
			$steps[] = array( 'frame' );
			$steps[] = array( 'send', Peer::reply( $index + 1, $error, null === $error ? array( 'revision' => 7 ) : null ) );
		}
		$peer   = new Peer( array( array_merge( $steps, array( array( 'hold' ) ) ) ) );
		$client = new Client( new Connection( $peer->socket ), '', 5000 );
		$client->sign( 'user:3', 'crm' );
		try {
			$client->set( 1, array( 'via' => str_repeat( 'x', 9 ) ), 0, 'a' );
			$this->fail( 'the refusal is gone' );
		} catch ( DaemonException $refused ) {
			$this->assertSame( 'via', $refused->field() );
		}
		$client->delete( 1, 'b' );
		$signed = array();
		for ( $n = 0; $n < 3; $n++ ) {
			$message  = ( new PureCodec() )->decode( substr( hex2bin( $peer->frame() ), Connection::HEADER_BYTES ) );
			$signed[] = array_slice( $message[3], 2 );
		}
		$this->assertSame( 'user:3', $signed[0]['by'] );
		$this->assertArrayNotHasKey( 'by', $signed[1] );
		$this->assertSame( array( 'by' => 'user:3', 'via' => 'crm' ), array_intersect_key( $signed[2], array( 'by' => 1, 'via' => 1 ) ) );
	}

	/**
	 * The client tells the daemon how long a call lasts, except for the default, and for a flush, which takes as long
	 * as needed.
	 */
	public function test_the_daemon_is_told_the_deadline(): void {
		$told = static function ( int $timeout_ms, callable $call ): ?int {
			$peer = new Peer( array( array( array( 'frame' ), array( 'close' ) ), array( array( 'frame' ), array( 'close' ) ) ) );
			try {
				$call( new Client( new Connection( $peer->socket ), '', $timeout_ms ) );
			} catch ( LostException $e ) {
				unset( $e ); // The peer has nothing to say.
			}
			$sent = ( new PureCodec() )->decode( substr( hex2bin( $peer->frame() ), Connection::HEADER_BYTES ) );
			return $sent[3]['timeout_ms'] ?? null;
		};
		$this->assertNull( $told( Client::DEFAULT_TIMEOUT_MS, static fn( Client $client ) => $client->get( 1 ) ) );
		$this->assertNull( $told( 5000, static fn( Client $client ) => $client->flush() ) );
		$this->assertSame( Protocol::MAX_TIMEOUT_MS, $told( 90000, static fn( Client $client ) => $client->delete( 1 ) ) );
		$left = $told( 20000, static fn( Client $client ) => $client->get( 1 ) );
		$this->assertGreaterThan( 10000, $left );
		$this->assertLessThanOrEqual( 20000, $left );
	}

	/**
	 * Create carries a request id of its own.
	 *
	 * @dataProvider codecs
	 * @param Codec $codec The codec.
	 */
	public function test_create_makes_up_a_request_id( Codec $codec ): void {
		$answer = array(
			'id'       => 812,
			'revision' => 7,
		);
		$client = $this->client( $answer, $peer, $codec, 'main' );
		$this->assertSame( $answer, $client->create( array( 'status' => 'open' ) ) );

		list( $type, $id, $method, $params ) = $this->request( $peer );
		$this->assertSame( array( 0, 1, 'create' ), array( $type, $id, $method ) );
		$this->assertMatchesRegularExpression( '/^[0-9a-f]{32}$/', $params['request_id'] );
		unset( $params['request_id'] );
		$this->assertSame(
			array(
				'fields'   => array( 'status' => 'open' ),
				'remember' => 600,
				'site'     => 'main',
			),
			$params
		);
	}

	/**
	 * Create may name the ticket's id; a request id of the caller's own is remembered for as long as the daemon does.
	 */
	public function test_create_with_an_id_of_ones_own(): void {
		$answer = array(
			'id'       => 812,
			'revision' => 7,
		);
		$client = $this->client( $answer, $peer );
		$this->assertSame( $answer, $client->create( array( 'status' => 'open' ), 'form-1', 812 ) );
		$sent = array(
			'id'         => 812,
			'fields'     => array( 'status' => 'open' ),
			'request_id' => 'form-1',
		);
		$this->assertSame( $sent, $this->request( $peer )[3] );
	}

	/**
	 * Every change has a request id, so that it can be repeated.
	 */
	public function test_every_change_has_a_request_id(): void {
		$calls = array(
			static function ( Client $client ): void {
				$client->set( 3, array( 'status' => 'open' ) );
			},
			static function ( Client $client ): void {
				$client->delete( 3 );
			},
			static function ( Client $client ): void {
				$client->set_many( array( 3 => array( 'status' => 'open' ) ) );
			},
		);
		foreach ( $calls as $call ) {
			$both = array(
				'revision' => 7,
				'results'  => array( 7 ),
			);
			$call( $this->client( $both, $peer ) );
			$params = $this->request( $peer )[3];
			$this->assertMatchesRegularExpression( '/^[0-9a-f]{32}$/', $params['request_id'] );
			$this->assertSame( 600, $params['remember'] );
		}
	}

	/**
	 * A stale answer is passed on for tickets and pages. The mark of a whole result concerns only its missing
	 * tickets, not the tickets that it has.
	 */
	public function test_stale_results_say_so(): void {
		$stale  = array( 'stale' => true );
		$ticket = array(
			'id'       => 3,
			'revision' => 5,
			'fields'   => array( 'status' => 'open' ),
		);
		$page   = array(
			'tickets' => array( $ticket ),
			'next'    => null,
		);
		$this->assertSame( $ticket + $stale, $this->client( $ticket + $stale, $peer )->get( 3 ) );
		$this->assertSame( $page + $stale, $this->client( $page + $stale, $peer )->list_tickets() );
		$locked = $stale + array( 'locked' => array( 7, 8 ) );
		$this->assertSame( $page + $locked, $this->client( $page + $locked, $peer )->list_tickets() );
		$three = array( 'tickets' => array( $ticket + $stale, null, $ticket ) );
		$this->assertSame(
			array(
				3 => $ticket + $stale,
				4 => null,
				5 => $ticket,
			),
			$this->client( $three + $stale, $peer )->get_many( array( 3, 4, 5 ) )
		);
		$this->assertSame( 7, $this->client( array( 'count' => 7 ) + $stale, $peer )->count_tickets() );
	}

	/**
	 * Set sends its arguments unchanged.
	 *
	 * @dataProvider codecs
	 * @param Codec $codec The codec.
	 */
	public function test_set_sends_fields_and_conditions( Codec $codec ): void {
		$client = $this->client( array( 'revision' => 9 ), $peer, $codec );
		$fields = array(
			'status'  => null,
			'12'      => true,
			'score'   => 0.5,
			'subject' => 'Grüße',
		);
		$this->assertSame( 9, $client->set( 812, $fields, 8, 'again', true ) );
		$this->assertSame(
			array(
				'id'          => 812,
				'fields'      => $fields,
				'request_id'  => 'again',
				'if_revision' => 8,
				'must_exist'  => true,
			),
			$this->request( $peer )[3]
		);
	}

	/**
	 * Each ticket of set_many has its own outcome.
	 */
	public function test_set_many_tells_each_outcome(): void {
		$client   = $this->client( array( 'results' => array( 5, Peer::error( 'invalid' ) + array( 'field' => 'status' ) ) ), $peer );
		$outcomes = $client->set_many(
			array(
				3 => array( 'status' => 'open' ),
				4 => array( 'status' => 'nonsense' ),
			)
		);
		$this->assertSame( array( 3, 4 ), array_keys( $outcomes ) );
		$this->assertSame( 5, $outcomes[3] );
		$this->assertInstanceOf( DaemonException::class, $outcomes[4] );
		$this->assertSame( 'status', $outcomes[4]->field() );
		$this->assertStringEndsWith( '#1', $outcomes[4]->request_id() );
		$this->assertSame( array( array( 3, array( 'status' => 'open' ) ), array( 4, array( 'status' => 'nonsense' ) ) ), $this->request( $peer )[3]['tickets'] );
	}

	/**
	 * A check has an answer for each change; an answer of another shape fails the call.
	 */
	public function test_check_tells_what_each_change_meets(): void {
		$error                          = Peer::error( 'invalid' ) + array( 'field' => 'status' );
		$entries                        = array( array( 3, array( 'status' => 'open' ) ), array( null, array( 'status' => 'x' ) ), array( null, array( 'status' => 'y' ), 'r-1' ) );
		$client                         = $this->client( array( 'results' => array( array( 3, 7, array( 'status' ) ), $error, array( null, 0, array() ) ) ), $peer );
		list( $first, $second, $third ) = $client->check( $entries );
		$this->assertSame( array( 'id' => 3, 'revision' => 7, 'differs' => array( 'status' ) ), $first );
		$this->assertSame( 'status', $second->field() );
		$this->assertSame( array( 'id' => null, 'revision' => 0, 'differs' => array() ), $third );
		$this->assertSame( array( 'entries' => $entries ), array_intersect_key( $this->request( $peer )[3], array( 'entries' => null ) ) );
		foreach ( array( 7, array( 3, 7 ), array( 'x', 7, array() ), array( 3, null, array() ) ) as $other ) {
			try {
				$this->client( array( 'results' => array( $other ) ), $peer )->check( array( $entries[0] ) );
				$this->fail( 'taken: ' . json_encode( $other ) );
			} catch ( ProtocolException $e ) {
				$this->assertStringContainsString( 'judgement', $e->getMessage() );
			}
		}
		$this->expectException( InputException::class );
		$client->check( array( array( 3 ) ) );
	}

	/**
	 * Tickets come back by id, absent ones as null.
	 */
	public function test_get_many_keys_tickets_by_id(): void {
		$ticket = array(
			'id'       => 3,
			'revision' => 5,
			'fields'   => array( 'status' => 'open' ),
		);
		$client = $this->client( array( 'tickets' => array( $ticket, null ) ), $peer );
		$this->assertSame(
			array(
				3 => $ticket,
				4 => null,
			),
			$client->get_many( array( 3, 4 ) )
		);
	}

	/**
	 * Pending changes come back by id, tickets without any as null.
	 *
	 * @dataProvider codecs
	 * @param Codec $codec The codec.
	 */
	public function test_waiting_keys_changes_by_id( Codec $codec ): void {
		$pending = array(
			'revision' => 5,
			'fields'   => array(
				'status' => 'open',
				'reply'  => null,
			),
		);
		$client  = $this->client( array( 'tickets' => array( $pending, null ), 'stale' => true ), $peer, $codec );
		$answer  = $client->waiting( array( 3, 4 ) );
		$this->assertSame( array( 3 => $pending, 4 => null ), $answer['tickets'] );
		$this->assertTrue( $answer['stale'] );
		$this->assertSame( array( 'ids' => array( 3, 4 ) ), $this->request( $peer )[3] );
		$this->assertSame( array( 'tickets' => array() ), $client->waiting( array() ) );
	}

	/**
	 * A description has all of its keys, whatever an older daemon leaves out.
	 */
	public function test_describe(): void {
		$client = $this->client( array( 'kind' => 'postmeta', 'keys' => array( 'status' => '_st' ), 'types' => array() ), $peer );
		$this->assertSame(
			array(
				'kind'          => 'postmeta',
				'keys'          => array( 'status' => '_st' ),
				'posts'         => array(),
				'post_types'    => array(),
				'adds'          => 'behind',
				'queries'       => 'fresh',
				'query_wait_ms' => 250,
				'max_value'     => 0,
			),
			$client->describe()
		);
	}

	/**
	 * A list sends its filters, alternatives as lists, and returns a page.
	 *
	 * @dataProvider codecs
	 * @param Codec $codec The codec.
	 */
	public function test_list_sends_filters( Codec $codec ): void {
		$ticket = array(
			'id'       => 3,
			'revision' => 5,
			'fields'   => array( 'status' => 'open' ),
		);
		$page   = array(
			'tickets' => array( $ticket ),
			'next'    => 'abc',
		);
		$client = $this->client( $page, $peer, $codec );
		$where  = array(
			'status'      => array(
				1 => 'open',
				4 => null,
			),
			'priority'    => array( '!=' => array( 3 => 'low' ), '<' => 9 ),
			'customer_id' => 7,
		);
		$args   = array(
			'created_at' => array( 'from' => '2026-11-01' ),
			'fresh'      => false,
			'limit'      => '20',
		);
		$this->assertSame( $page, $client->list_tickets( array( 'where' => $where ) + $args ) );
		$where['status']         = array( 'open', null );
		$where['priority']['!='] = array( 'low' );
		$args['limit']           = 20;
		$this->assertSame( array( 'where' => $where ) + $args, $this->request( $peer )[3] );
	}

	/**
	 * Filters that would find the opposite or anything if they were taken for lists of alternatives.
	 */
	public static function mistaken(): array {
		return array(
			'a word'     => array( array( 'not' => 'closed' ) ),
			'a mix'      => array( array( 'open', '!=' => 'closed' ) ),
			'two bounds' => array( array( '>' => array( 1, 2 ) ) ),
			'nested'     => array( array( '!=' => array( array( 'closed' ) ) ) ),
		);
	}

	/**
	 * A filter with other keys than operators is refused before anything is sent.
	 *
	 * @dataProvider mistaken
	 * @param array $filter The filter.
	 */
	public function test_a_mistaken_comparison_is_refused( array $filter ): void {
		$client = new Client( new Connection( Peer::free_path() ) );
		try {
			$client->count_tickets( array( 'where' => array( 'status' => $filter ) ) );
			$this->fail( 'It was taken.' );
		} catch ( InputException $e ) {
			$this->assertSame( 'status', $e->field() );
		}
	}

	/**
	 * The last page has no next, and no tickets may be found.
	 */
	public function test_an_empty_page(): void {
		$page   = array(
			'tickets' => array(),
			'next'    => null,
		);
		$client = $this->client( $page, $peer );
		$this->assertSame( $page, $client->list_tickets() );
	}

	/**
	 * Count returns the number.
	 */
	public function test_count_returns_the_number(): void {
		$client = $this->client( array( 'count' => 42 ), $peer );
		$this->assertSame( 42, $client->count_tickets( array( 'deleted' => true ) ) );
		$this->assertSame( array( 0, 1, 'count', array( 'deleted' => true ) ), $this->request( $peer ) );
	}

	/**
	 * A count by a field returns the groups as pairs of names.
	 */
	public function test_count_by_returns_groups(): void {
		$client = $this->client( array( 'count' => 11, 'groups' => array( array( 'open', 9 ), array( null, 2 ) ), 'stale' => true ), $peer );
		$want   = array(
			'count'  => 11,
			'groups' => array( array( 'value' => 'open', 'count' => 9 ), array( 'value' => null, 'count' => 2 ) ),
			'stale'  => true,
		);
		$this->assertSame( $want, $client->count_tickets_by( 'status', array( 'contains' => array( 'subject' => 'x' ) ) ) );
		$this->assertSame( array( 'contains' => array( 'subject' => 'x' ), 'by' => 'status' ), $this->request( $peer )[3] );
	}

	/**
	 * Dead letters are listed, retried and dropped; an empty list of ids means none, not all.
	 *
	 * @dataProvider codecs
	 * @param Codec $codec The codec.
	 */
	public function test_dead_letters( Codec $codec ): void {
		$letter = array(
			'id'       => 812,
			'revision' => 7,
			'code'     => 4025,
			'reason'   => 'CONSTRAINT failed',
			'at_ms'    => 1764000000001,
			'deleted'  => false,
			'fields'   => array( 'priority' => 'forbidden', 'assigned_to' => null ),
		);
		$client = $this->client( array( 'letters' => array( $letter + array( 'later' => 1 ) ) ), $peer, $codec );
		$this->assertSame( array( $letter ), $client->dead_list( 811, 20 ) );
		$this->assertSame( array( 0, 1, 'dead_list', array( 'limit' => 20, 'after' => 811 ) ), $this->request( $peer ) );

		$client = $this->client( array( 'count' => 2 ), $peer, $codec );
		$this->assertSame( 0, $client->dead_retry( array() ) );
		$this->assertSame( 2, $client->dead_retry( array( 812, '813' ) ) );
		$this->assertSame( array( 0, 1, 'dead_retry', array( 'ids' => array( 812, 813 ) ) ), $this->request( $peer ) );

		$client = $this->client( array( 'count' => 3 ), $peer, $codec );
		$this->assertSame( 0, $client->dead_drop( array() ) );
		$this->assertSame( 3, $client->dead_drop( null ) );
		$this->assertSame( array( 0, 1, 'dead_drop', array( 'all' => true ) ), $this->request( $peer ) );
	}

	/**
	 * Letters and groups of another shape are anomalies.
	 */
	public function test_letters_and_groups_of_another_shape_are_refused(): void {
		$calls = array(
			array( array( 'letters' => array( array( 'id' => 1, 'revision' => 1, 'fields' => array() ) ) ), fn( $client ) => $client->dead_list() ),
			array( array(), fn( $client ) => $client->dead_list() ),
			array( array( 'count' => 1, 'groups' => array( array( 'open' ) ) ), fn( $client ) => $client->count_tickets_by( 'status' ) ),
		);
		foreach ( $calls as list( $result, $call ) ) {
			try {
				$call( $this->client( $result, $peer ) );
				$this->fail( 'accepted' );
			} catch ( ProtocolException $e ) {
				$this->addToAssertionCount( 1 );
			}
		}
	}

	/**
	 * A value that cannot be an argument of a list never reaches a codec, however deep; the exception names the
	 * field.
	 */
	public function test_a_list_by_something_else_is_refused(): void {
		$client = new Client( new Connection( Peer::free_path() ) );
		$wrong  = array(
			'status'     => array( 'where' => array( 'status' => array( 'open', new \stdClass() ) ) ),
			'category'   => array( 'where' => array( 'category' => array( array( 'deep' ) ) ) ),
			'where'      => array( 'where' => 'status' ),
			'from'       => array( 'created_at' => array( 'from' => array( 'soon' ) ) ),
			'updated_at' => array( 'updated_at' => '2026-11-01' ),
			'limit'      => array( 'limit' => array( 20 ) ),
			'subject'    => array( 'contains' => array( 'subject' => array( 'x' ) ) ),
		);
		foreach ( $wrong as $field => $args ) {
			try {
				$client->count_tickets( $args );
				$this->fail( "accepted $field" );
			} catch ( InputException $e ) {
				$this->assertSame( $field, $e->field() );
			}
		}
	}

	/**
	 * A result that is not a page is an anomaly.
	 */
	public function test_a_page_of_another_shape_is_refused(): void {
		$client = $this->client( array( 'tickets' => array( null ) ), $peer );
		$this->expectException( ProtocolException::class );
		$client->list_tickets();
	}

	/**
	 * A request for no tickets is not sent.
	 */
	public function test_empty_batches_send_nothing(): void {
		$client = new Client( new Connection( Peer::free_path() ) );
		$this->assertSame( array(), $client->get_many( array() ) );
		$this->assertSame( array(), $client->set_many( array() ) );
		$this->assertSame( array(), $client->check( array() ) );
	}

	/**
	 * A flush reports progress before its result.
	 */
	public function test_flush_reports_progress(): void {
		$progress = static function ( int $done ): array {
			return array(
				'send',
				Peer::frame_of(
					array(
						2,
						'flush',
						array(
							'id'    => 1,
							'done'  => $done,
							'total' => 20,
						),
					)
				),
			);
		};
		$result   = array(
			'flushed' => 19,
			'dead'    => 1,
		);
		$peer     = new Peer( array( array( array( 'frame' ), $progress( 5 ), $progress( 20 ), array( 'send', Peer::reply( 1, null, $result ) ), array( 'hold' ) ) ) );
		$client   = new Client( new Connection( $peer->socket ) );
		$seen     = array();
		$report   = static function ( int $done, int $total ) use ( &$seen ): void {
			$seen[] = array( $done, $total );
		};
		$this->assertSame( $result, $client->flush( array( 7 ), $report, 5000 ) );
		$this->assertSame( array( array( 5, 20 ), array( 20, 20 ) ), $seen );
		$this->assertSame( array( 'ids' => array( 7 ) ), $this->request( $peer )[3] );
	}

	/**
	 * Values that are not scalars never reach a codec.
	 */
	public function test_objects_and_arrays_are_refused_by_name(): void {
		$client = new Client( new Connection( Peer::free_path() ) );
		foreach ( array( array( 1 ), new \stdClass(), fopen( 'php://memory', 'r' ) ) as $value ) {
			try {
				$client->set( 1, array( 'subject' => $value ) );
				$this->fail( 'accepted ' . gettype( $value ) );
			} catch ( InputException $e ) {
				$this->assertSame( array( 'invalid', 'subject', false ), array( $e->reason(), $e->field(), $e->retryable() ) );
			}
		}
	}

	/**
	 * A result without a promised part is an anomaly.
	 */
	public function test_a_result_of_another_shape_is_refused(): void {
		$client = $this->client( array( 'revision' => '9' ), $peer );
		$this->expectException( ProtocolException::class );
		$client->set( 812, array( 'status' => 'open' ) );
	}

	/**
	 * A request beyond the frame's limit is refused before it is sent.
	 */
	public function test_a_request_over_the_limit_is_refused(): void {
		$client = new Client( new Connection( Peer::free_path() ) );
		try {
			$client->set( 1, array( 'subject' => str_repeat( 'x', 4194304 ) ) );
			$this->fail( 'accepted' );
		} catch ( InputException $e ) {
			$this->assertSame( 'too_large', $e->reason() );
		}
	}
}
