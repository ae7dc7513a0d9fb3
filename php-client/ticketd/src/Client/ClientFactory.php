<?php
/**
 * Makes clients.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * Makes a client of named options, as an application's configuration has them.
 */
final class ClientFactory {

	/** The options with what is meant where one is left out. */
	private const DEFAULTS = array(
		'socket'     => Connection::DEFAULT_SOCKET,
		'site'       => '',
		'table'      => '',
		'timeout_ms' => Client::DEFAULT_TIMEOUT_MS,
		'spool'      => '',
		'next_id'    => null,
		'identity'   => null,
		'logger'     => null,
	);

	/**
	 * Makes a client; its first call connects. It is for one process: make it after a fork, and keep it for all calls
	 * of a request, or of a worker's job.
	 *
	 * @param array $options {
	 *     All optional.
	 *
	 *     @type string   $socket     Path of the daemon's socket.
	 *     @type string   $site       The site's name; empty where this user may use exactly one.
	 *     @type string   $table      The table of the tickets, as `database.table`. Give it where it is known: the
	 *                                daemon refuses what is meant for another one.
	 *     @type int      $timeout_ms Time a call has, in milliseconds.
	 *     @type string   $spool      The folder of all users' spools, `daemon.spool_dir`. With it changes are kept
	 *                                while the daemon is unreachable, see SpoolingClient. Empty: they fail then.
	 *     @type callable $next_id    With a spool: returns the id of a new ticket from the site's sequence while the
	 *                                daemon is unreachable, or 0.
	 *     @type callable $identity   With a spool: returns the identity of the site's table.
	 *     @type object   $logger     A \Psr\Log\LoggerInterface: gets a warning for every change that is spooled and
	 *                                where the daemon hangs, a notice where a call is sent again. Failures are thrown
	 *                                and not logged; values of fields are in no message.
	 * }
	 * @throws InputException If there is no such option.
	 */
	public static function create( array $options = array() ): ClientInterface {
		foreach ( array_keys( array_diff_key( $options, self::DEFAULTS ) ) as $unknown ) {
			throw new InputException(
				sprintf( 'There is no such option; there are %s.', implode( ', ', array_keys( self::DEFAULTS ) ) ),
				(string) $unknown
			);
		}
		$options += self::DEFAULTS;

		$client = new Client(
			new Connection( $options['socket'] ),
			$options['site'],
			$options['timeout_ms'],
			null,
			new Breaker( $options['spool'] ),
			$options['table'],
			$options['logger']
		);
		if ( '' === $options['spool'] ) {
			return $client;
		}
		$made  = null;
		$spool = static function () use ( $options, &$made ): Spool {
			$made = $made ?? new Spool( $options['spool'] );
			return $made;
		};
		return new SpoolingClient( $client, $spool, $options['next_id'], $options['identity'], $options['logger'] );
	}
}
