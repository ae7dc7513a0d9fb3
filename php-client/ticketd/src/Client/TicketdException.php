<?php
/**
 * The base of all failures of a call.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * A failed call. The subclass says where the call failed: before sending, on the way, or in the daemon.
 */
abstract class TicketdException extends \RuntimeException {

	/** The reasons that are an outage, beside the daemon's own codes. */
	private const OUTAGES = array( 'timeout', 'lost' );

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
	 * Whether the call may have been done nevertheless.
	 *
	 * @var bool
	 */
	private bool $ambiguous;

	/**
	 * The failed call, if a request was made.
	 *
	 * @var Request|null
	 */
	private ?Request $request = null;

	/**
	 * Makes the exception.
	 *
	 * @param string $reason    Stable name of the failure.
	 * @param string $message   The fault and the operator's action, for people.
	 * @param bool   $retryable Whether the same call may succeed later.
	 * @param bool   $ambiguous Whether the call may have been done nevertheless.
	 * @param string $field     The field or parameter to blame; empty: unknown.
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
	 * Whether the call may have been done although it failed here. Then repeat a change only under the same request
	 * id.
	 */
	public function ambiguous(): bool {
		return $this->ambiguous;
	}

	/**
	 * Whether the daemon is unreachable or cannot serve the call now: a change may be spooled, the database may
	 * answer a read. Refusals and faults of the daemon are no outage: a repetition would fail again.
	 */
	public function is_outage(): bool {
		return in_array( $this->reason, self::OUTAGES, true )
			|| in_array( $this->reason, Protocol::RETRYABLE_CODES, true );
	}

	/**
	 * The failed call; null if the call was refused before a request was made.
	 */
	public function request(): ?Request {
		return $this->request;
	}

	/**
	 * The request id that the call carried; an empty string where it had none.
	 */
	public function request_id(): string {
		return null === $this->request ? '' : $this->request->request_id();
	}

	/**
	 * Notes which call failed.
	 *
	 * @param Request $request   The call.
	 * @param bool    $ambiguous True: an attempt before this one may have done it.
	 */
	public function set_request( Request $request, bool $ambiguous = false ): void {
		$this->request   = $request;
		$this->ambiguous = $this->ambiguous || $ambiguous;
	}

	/**
	 * What a log says of the failed call besides the message: names and ids, no values of fields.
	 *
	 * @param Request $request The call.
	 * @return array A context as PSR-3 has it.
	 */
	public function context( Request $request ): array {
		return array(
			'method'     => $request->method(),
			'ticket'     => $request->param( 'id' ),
			'site'       => $request->site(),
			'request_id' => $request->request_id(),
			'reason'     => $this->reason,
			'exception'  => $this,
		);
	}

	/**
	 * Adds text for people to the message.
	 *
	 * @param string $text One or more sentences.
	 */
	public function add( string $text ): void {
		$this->message .= ' ' . $text;
	}
}
