// Package outbox is a store in front of a next store on the network: a local journal accepts the changes that the next store does
// not take, and replays these changes to the next store.
//
// # The way of a change
//
//	Apply ──> next store                          while it answers and nothing of the ticket waits in the journal
//	      ──> journal ── Replay, in order ──> next store      otherwise, or where the change asks for an early answer
//
// A change without an answer from the next store goes into the journal too. The next store may have made the change already;
// making the change a second time only raises the revision (or has no effect, if the change has a request id). A new change of a
// ticket with pending changes queues behind these changes. A change that may repeat a request which only the next store remembers
// is different: the change waits for a short time until the journal has no changes of the ticket, and goes directly. A read waits
// for at most 250 ms until the next store has the ticket's changes that were accepted before the read, and returns the next
// store's state. The read puts pending changes over that state only if the next store does not take the changes in this time, or
// is not expected to take the changes soon; see [Store.Get].
//
// # Why entries are replayed singly
//
// The flusher brings the newest state of each ticket to MySQL; the outbox replays every change, in the order of the journal. So a
// single number for each partition of the next store says which entries have arrived, however often a part of the journal is
// sent, and a request id is remembered with its own change. With changes merged by ticket the same number would be wrong: of
// tickets A (changes 1 and 9) and B (change 5), sending B first would say that 1 has arrived.
//
// # Partitions
//
// A Redis Cluster can be unreachable in parts. Each partition has a queue (a lane) of pending changes, replayed and confirmed on
// its own, so that a partition's fail-over affects only the changes of the partition's tickets. All lanes share the same journal
// and the journal's bound: the oldest segment is kept until no lane needs the segment.
//
// # Creates whose id is taken
//
// A replay may show that a create was acknowledged under the id of a different ticket. The outbox gives the create, with all
// pending changes of the create's ticket, a new id ([Options].NextID); without a new id the create stays pending like a stuck
// entry. The journal gets moved entries, and stuck entries that go to the end of the queue, a second time: the second record
// replaces the first; see replace.go.
//
// # What happens on failure
//
// After a crash between Replay and the record of its success the outbox sends the same entries again; the next store skips the
// entries that have arrived. A delayed earlier write (for example in the socket buffer of a Redis that was stopped) must not be
// made after the replayed entries: before a replay the outbox raises the fence, and the next store refuses writes with an old
// fence. The journal has a bound; beyond the bound the outbox refuses changes with [store.ErrFull].
package outbox
