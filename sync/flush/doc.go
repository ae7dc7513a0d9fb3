// Package flush is the mover: it claims dirty tickets of a store, writes them to the sink, and acks the confirmed revisions.
//
// # States of the sink, as the flusher sees it
//
//	unknown ──a look at the table, a write──> up, down, paused;
//	up ──ErrSinkDown──> down ──a write that works──> up;
//	up ──ErrSinkPaused──> paused ──definition read again, a write that works──> up;
//	up ──ErrSinkForeign──> paused ──an operator's word, a write that works──> up
//
// A round without tickets proves no state. The result of a look at the table ([Flusher.Looked]) counts, with an exception: after
// the sink has rejected a write, only another write, or the end of all rejected changes, proves that the sink is up. While the
// sink's server is down ([Options.Server]), the sink is down, and the server's own line in the log stands for all its sinks.
//
// While the sink is down or paused, the flusher releases claims at once, blames no ticket, and retries with growing, jittered
// pauses. The backlog stays in the store; the flusher's memory holds at most the batches under way.
//
// # What happens on failure
//
// After a crash between write and ack, the claim ends with its lease: another round flushes the claim again and the sink's
// revision guard makes that write a no-op. The same holds after a failed ack. The flusher acks only revisions that the sink has
// confirmed.
//
// If another client holds a ticket's row locked in the sink, the flusher leaves the ticket for later and acks the other tickets
// of the batch. The ticket is due again after a growing pause; from then on the flusher writes the ticket after and apart from
// the others, so that no other ticket waits for that lock. The sink counts as up, unless the flusher could write no ticket at
// all.
package flush
