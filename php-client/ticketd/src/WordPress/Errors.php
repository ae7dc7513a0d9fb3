<?php
/**
 * Failures in WordPress' form.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress;

use Ticketd\Client\DaemonException;
use Ticketd\Client\TicketdException;

defined( 'ABSPATH' ) || exit;

/**
 * Makes a WP_Error of a failure of the client.
 */
final class Errors {

	/** HTTP status by failure; whatever is not here is 500. */
	private const STATUS = array(
		'invalid'       => 400,
		'not_found'     => 404,
		'conflict'      => 409,
		'exists'        => 409,
		'too_large'     => 413,
		'lost'          => 502,
		'protocol'      => 502,
		'overloaded'    => 503,
		'shutting_down' => 503,
		'unavailable'   => 503,
		'timeout'       => 504,
	);

	/**
	 * Makes a WP_Error.
	 *
	 * @param TicketdException $failure What the client threw.
	 */
	public static function from_exception( TicketdException $failure ): \WP_Error {
		$data = array(
			'status'     => self::STATUS[ $failure->reason() ] ?? 500,
			'field'      => $failure->field(),
			'retryable'  => $failure->retryable(),
			'ambiguous'  => $failure->ambiguous(),
			'request_id' => $failure->request_id(),
		);
		if ( $failure instanceof DaemonException && 0 !== $failure->revision() ) {
			$data['revision'] = $failure->revision();
		}
		return new \WP_Error( 'ticketd_' . $failure->reason(), $failure->getMessage(), $data );
	}
}
