// Package flush is the mover: it claims dirty tickets of a store, brings them to the sink, and acks what arrived.
//
// # States of the sink, as the flusher sees it
//
//	unknown ──a look at the table, a write──> up, down, paused;
//	up ──ErrSinkDown──> down ──a write that works──> up;
//	up ──ErrSinkPaused──> paused ──definition read again, a write that works──> up;
//	up ──ErrSinkForeign──> paused ──an operator's word, a write that works──> up
//
// A round that had nothing to bring proves nothing. What a look at the table finds ([Flusher.Looked]) counts, but for one thing:
// a sink that has refused a write is up again only when it takes one, or nothing is left that it refused.
//
// While the sink is down or paused, claims are released at once and charged to no ticket, and the flusher tries again with
// growing, jittered pauses. Its backlog waits in the store; nothing waits in the flusher's memory beyond one batch.
//
// # What happens on failure
//
// A crash between write and ack leaves the claim to its lease: another round flushes it again and the sink's revision guard
// makes that a no-op. A failed ack does the same. Nothing is acked that the sink has not confirmed.
//
// A ticket whose row somebody else holds locked in the sink is left for later: the others of its batch are acked, it is due
// again after a pause that grows, and from then on it is written after the others and apart from them, so that nobody waits for
// its lock. The sink counts as up, unless nothing at all could be written.
package flush
