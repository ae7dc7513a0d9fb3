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
 * While the daemon is there, it alone decides most of them: it answers `invalid` and says why. They count here where a
 * change is spooled or a list is made without it.
 */
final class Limits {

	/** Version of the protocol, the first byte of every frame. */
	public const VERSION = 1;

	/** Longest payload of a frame, in bytes, in both directions. */
	public const MAX_PAYLOAD = 4194304;

	/** Largest request id of a frame; the next one after it is 1. */
	public const MAX_ID = 4294967295;

	/** Most bytes of a request id. */
	public const MAX_REQUEST_ID = 64;

	/** Most bytes of a request id of `set`: one of several at once has `#` and its number behind it. */
	public const MAX_SET_REQUEST_ID = 68;

	/** Most fields of one ticket in one request. */
	public const MAX_FIELDS = 128;

	/** Most tickets of a page, or ids of a request. */
	public const MAX_TICKETS = 1000;

	/** Most fields in a list's `where`. */
	public const MAX_WHERE = 16;

	/** Most values of one of them. */
	public const MAX_CHOICES = 100;

	/** Most bytes of a text that is searched for. */
	public const MAX_CONTAINS = 256;

	/** Most groups of a count by a field. */
	public const MAX_GROUPS = 1000;

	/** How long a client waits that does not say, in milliseconds. */
	public const TIMEOUT_MS = 1000;

	/** Most milliseconds that a client says it waits. */
	public const MAX_TIMEOUT_MS = 60000;

	/** How deep arrays and maps of a message may be nested. No message of the protocol comes near it. */
	public const MAX_DEPTH = 32;
}
