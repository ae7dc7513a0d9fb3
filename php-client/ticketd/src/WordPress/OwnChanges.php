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
	 * Pairs of the time in microseconds since 1970 and the Request, in their order.
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

		$this->changes[] = array( (int) round( microtime( true ) * 1000000 ), new Request( $method, $params ) );
		$this->changes   = array_slice( $this->changes, -self::MOST );
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
		foreach ( $this->changes as $change ) {
			$id = $change[1]->param( 'id' );
			if ( isset( $wanted[ $id ] ) ) {
				$waiting[ $id ][] = $change;
				usort( $waiting[ $id ], static fn( array $a, array $b ): int => $a[0] <=> $b[0] );
			}
		}
		return $waiting;
	}
}
