<?php
/**
 * What every failure of a call has in common.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * A call that failed. Its subclasses say where: before anything was sent, on the way, or in the daemon.
 */
abstract class TicketdException extends \RuntimeException {

	/**
	 * Stable name of the failure.
	 *
	 * @var string
	 */
	private string $reason;

	/**
	 * The field or parameter to blame, or an empty string.
	 *
	 * @var string
	 */
	private string $field;

	/**
	 * Whether the same call may succeed later.
	 *
	 * @var bool
	 */
	private bool $retryable;

	/**
	 * Whether the call may have been done all the same.
	 *
	 * @var bool
	 */
	private bool $ambiguous;

	/**
	 * The request id under which the call may be repeated, or an empty string.
	 *
	 * @var string
	 */
	private string $request_id = '';

	/**
	 * Makes the exception.
	 *
	 * @param string $reason    Stable name of the failure.
	 * @param string $message   What is wrong and what to do, for people.
	 * @param bool   $retryable Whether the same call may succeed later.
	 * @param bool   $ambiguous Whether the call may have been done all the same.
	 * @param string $field     The field or parameter to blame, if there is one.
	 */
	public function __construct(
		string $reason,
		string $message,
		bool $retryable,
		bool $ambiguous = false,
		string $field = ''
	) {
		parent::__construct( $message );
		$this->reason    = $reason;
		$this->field     = $field;
		$this->retryable = $retryable;
		$this->ambiguous = $ambiguous;
	}

	/**
	 * Stable name of the failure: an error code of the protocol, or `timeout`, `lost` or `protocol`.
	 */
	public function reason(): string {
		return $this->reason;
	}

	/**
	 * The field or parameter to blame; an empty string where none is.
	 */
	public function field(): string {
		return $this->field;
	}

	/**
	 * Whether the same call may succeed later, unchanged.
	 */
	public function retryable(): bool {
		return $this->retryable;
	}

	/**
	 * Whether the call may have been done although it failed here. Repeat a change then only under its request id.
	 */
	public function ambiguous(): bool {
		return $this->ambiguous;
	}

	/**
	 * The request id that the call carried; an empty string where it had none.
	 */
	public function request_id(): string {
		return $this->request_id;
	}

	/**
	 * Notes under which request id the call may be repeated.
	 *
	 * @param string $request_id The request id that the call carried.
	 */
	public function set_request_id( string $request_id ): void {
		$this->request_id = $request_id;
	}
}
