<?php
/**
 * The clients of a PHP request.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Breaker;
use Ticketd\Client\Client;
use Ticketd\Client\ClientInterface;
use Ticketd\Client\Connection;
use Ticketd\Client\Spool;
use Ticketd\Client\SpoolingClient;

defined( 'ABSPATH' ) || exit;

/**
 * Gives each blog a client for its site, over one connection.
 */
final class Clients {

	/** Option that holds the names of the daemon's features. */
	public const FEATURES = 'ticketd_features';

	/**
	 * The settings.
	 *
	 * @var Settings
	 */
	private Settings $settings;

	/**
	 * The connection of this request, which all blogs share.
	 *
	 * @var Connection|null
	 */
	private ?Connection $connection = null;

	/**
	 * The breaker, which all blogs share as they do the daemon.
	 *
	 * @var Breaker|null
	 */
	private ?Breaker $breaker = null;

	/**
	 * The spool, which all blogs share.
	 *
	 * @var Spool|null
	 */
	private ?Spool $spool = null;

	/**
	 * Clients by site and table.
	 *
	 * @var array<string, Client>
	 */
	private array $clients = array();

	/**
	 * The same with the spool behind them.
	 *
	 * @var array<string, SpoolingClient>
	 */
	private array $spooling = array();

	/**
	 * The site of the client that was returned last.
	 *
	 * @var string
	 */
	private string $site = '';

	/**
	 * What a test has put in the place of all clients, or null.
	 *
	 * @var ClientInterface|null
	 */
	private ?ClientInterface $substitute = null;

	/**
	 * Takes the settings; the first call connects.
	 *
	 * @param Settings $settings The settings.
	 */
	public function __construct( Settings $settings ) {
		$this->settings = $settings;
	}

	/**
	 * Puts a client in the place of all others, for a test.
	 *
	 * @param ClientInterface|null $client The client; null: no longer.
	 */
	public function substitute( ?ClientInterface $client ): void {
		$this->substitute = $client;
	}

	/**
	 * The current blog's client.
	 */
	public function current(): ClientInterface {
		return $this->of( $this->settings->site(), $this->settings->full_table() );
	}

	/**
	 * The client of a site.
	 *
	 * @param string $site  The site's name; empty: the daemon finds the site by the table.
	 * @param string $table The site's table, as `database.table`.
	 */
	public function of( string $site, string $table ): ClientInterface {
		$this->site = $site;
		return $this->substitute ?? $this->client( $site, $table );
	}

	/**
	 * The client of a site, with the spool behind it. New tickets get no id while the daemon is unreachable.
	 *
	 * @param string $site  The site's name; empty: the daemon finds the site by the table.
	 * @param string $table The site's table, as `database.table`.
	 */
	public function spooling_of( string $site, string $table ): ClientInterface {
		$this->site = $site;
		if ( null !== $this->substitute ) {
			return $this->substitute;
		}
		$key = $site . "\n" . $table;
		if ( ! isset( $this->spooling[ $key ] ) ) {
			$this->spooling[ $key ] = new SpoolingClient( $this->client( $site, $table ), array( $this, 'spool' ) );
		}
		return $this->spooling[ $key ];
	}

	/**
	 * The current blog's client, with the spool behind it, for changes of the current user.
	 */
	public function spooling(): ClientInterface {
		$this->site = $this->settings->site();

		$client = $this->substitute ?? $this->client_with_spool();
		if ( self::can( 'by' ) ) {
			require_once __DIR__ . '/Actor.php'; // See below.
			$actor = Actor::current();
			$client->sign( $actor['by'], $actor['via'] );
		} else {
			$client->sign( '' );
		}
		return $client;
	}

	/**
	 * Whether the daemon has a feature, as far as the current blog knows. A daemon refuses parameters that it does not
	 * know, and a page cannot ask before each change.
	 *
	 * @param string $feature Its name, as `ping` says it: `by`, `feed`, `history`.
	 */
	public static function can( string $feature ): bool {
		$known = get_option( self::FEATURES );
		return is_array( $known ) && in_array( $feature, $known, true );
	}

	/**
	 * Remembers what the daemon can do.
	 *
	 * @param string[] $features Names of features.
	 */
	public static function remember( array $features ): void {
		if ( get_option( self::FEATURES ) !== $features ) {
			update_option( self::FEATURES, $features ); // Loaded with the other options: each change asks for it.
		}
	}

	/**
	 * The client of the present site, with the spool behind it.
	 */
	private function client_with_spool(): SpoolingClient {
		$table = $this->settings->full_table();
		$key   = $this->site . "\n" . $table;
		if ( ! isset( $this->spooling[ $key ] ) ) {
			$spool      = fn(): Spool => $this->spool();
			$is_waiting = fn( int $id ): bool => array() !== $this->spool()->waiting( array( $id ) );

			$client = $this->client( $this->site, $table );
			// A class that the autoloader looks up takes five times as long.
			require_once dirname( __DIR__ ) . '/Client/SpoolingClient.php';
			$this->spooling[ $key ] = new SpoolingClient(
				$client,
				$spool,
				fn(): int => Sequence::next( $this->settings->table(), $is_waiting ),
				fn(): string => Database::identity( $this->settings->table() )
			);
		}
		return $this->spooling[ $key ];
	}

	/**
	 * The name of the site whose client was returned last: of the latest call, without asking the settings again.
	 */
	public function site(): string {
		return $this->site;
	}

	/**
	 * The client of a site.
	 *
	 * @param string $site  The site's name.
	 * @param string $table The table of its tickets, as `database.table`.
	 */
	private function client( string $site, string $table ): Client {
		$key = $site . "\n" . $table;
		if ( ! isset( $this->clients[ $key ] ) ) {
			$this->connection = $this->connection ?? new Connection( $this->settings->socket() );
			$this->breaker    = $this->breaker ?? new Breaker( $this->settings->spool() );

			$this->clients[ $key ] = new Client(
				$this->connection,
				$site,
				$this->settings->timeout_ms(),
				null,
				$this->breaker,
				$table
			);
		}
		return $this->clients[ $key ];
	}

	/**
	 * The spool.
	 */
	public function spool(): Spool {
		$this->spool = $this->spool ?? new Spool( $this->settings->spool() );
		return $this->spool;
	}
}
