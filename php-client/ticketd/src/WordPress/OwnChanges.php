<?php
/**
 * The changes of this PHP request.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\Request;

defined( 'ABSPATH' ) || exit;

/**
 * Remembers the changes of this PHP request, so that it reads what it wrote, also if the daemon accepted a change and
 * became unreachable before the flush.
 */
final class OwnChanges {

	/** Most changes that are remembered; the oldest are forgotten. A page makes a few, an import many. */
	private const MOST = 100;

	/**
	 * The time in microseconds since 1970, the method and the parameters of each, in their order. A request is made of
	 * those that a read asks for, while the daemon is unreachable.
	 *
	 * @var array[]
	 */
	private array $changes = array();

	/**
	 * Remembers a change that was accepted.
	 *
	 * @param string $site   The site's name in the daemon's configuration.
	 * @param string $method `create`, `set` or `delete`.
	 * @param int    $id     The ticket's id.
	 * @param array  $fields Values by field name.
	 */
	public function add( string $site, string $method, int $id, array $fields = array() ): void {
		$params = array(
			'site'   => $site,
			'id'     => $id,
			'fields' => $fields,
		);

		$this->changes[] = array( (int) round( microtime( true ) * 1000000 ), $method, $params );
		if ( count( $this->changes ) > self::MOST ) {
			array_shift( $this->changes );
		}
	}

	/**
	 * Adds them to the pending changes of tickets.
	 *
	 * @param int[] $ids     Ticket ids.
	 * @param array $waiting By ticket id a list of such pairs.
	 * @return array The same with this request's own, in the order of their times.
	 */
	public function among( array $ids, array $waiting ): array {
		$wanted = array_flip( $ids );
		foreach ( $this->changes as list( $time_us, $method, $params ) ) {
			$id = $params['id'];
			if ( isset( $wanted[ $id ] ) ) {
				$waiting[ $id ][] = array( $time_us, new Request( $method, $params ) );
				usort( $waiting[ $id ], static fn( array $a, array $b ): int => $a[0] <=> $b[0] );
			}
		}
		return $waiting;
	}
}
