<?php
/**
 * The protocol's limits, as far as the client needs them.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * The limits that both sides must agree on. A test compares them with protocol/SPEC.md.
 *
 * Limits that only the daemon decides (fields of a ticket, tickets of a request, lengths of names) are not repeated
 * here: it answers `invalid` and says why.
 */
final class Limits {

	/** Version of the protocol, the first byte of every frame. */
	public const VERSION = 1;

	/** Longest payload of a frame, in bytes, in both directions. */
	public const MAX_PAYLOAD = 4194304;

	/** Largest request id of a frame; the next one after it is 1. */
	public const MAX_ID = 4294967295;

	/** How deep arrays and maps of a message may be nested. No message of the protocol comes near it. */
	public const MAX_DEPTH = 32;
}
