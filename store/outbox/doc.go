// Package outbox is a store in front of another one on the network: a local journal takes what the other does not, and replays it
// there.
//
// # The way of a change
//
//	Apply ──> next store                          while it answers and nothing of the ticket waits in the journal
//	      ──> journal ── Replay, in order ──> next store      otherwise, or where the change asks for an early answer
//
// A change that the next store did not answer goes into the journal too: it may have been made there, and is then made again,
// which only raises its revision (or changes nothing, where it has a request id). A new change of a ticket that still waits in
// the journal queues behind it; one that may repeat a request which only the next store remembers waits, for a short time, until
// nothing of the ticket is in the journal, and goes directly. Reads put what waits over what the next store holds.
//
// # Why entries are replayed one by one
//
// The flusher brings the newest state of each ticket to MySQL; the outbox brings every change, in the order of the journal. So
// one number for each partition of the next store says what has arrived, however often a part of the journal is sent, and a
// request id is remembered with the change that it belongs to. With changes merged by ticket the same number would be wrong: of
// tickets A (changes 1 and 9) and B (change 5), bringing B first would say that 1 has arrived.
//
// # Partitions
//
// A Redis Cluster can be away in parts. What waits is kept in one queue (a lane) for each partition, replayed and confirmed on
// its own, so that a partition's fail-over diverts the changes of its tickets alone and holds up no other's. All lanes share one
// journal, and its bound: its oldest segment is kept until the lane that needs it longest has moved on.
//
// # Creates whose id is taken
//
// A create was acknowledged here under an id that is another ticket's, as turns out when it is replayed. It gets another id
// ([Options].NextID), with whatever waits of its ticket; see move.go. Without one it waits as a stuck entry does. What is moved,
// or put behind the others, is in the journal once more and replaces what was there; see replace.go.
//
// # What happens on failure
//
// A crash between Replay and the record of its success sends the same entries again; the next store passes over what it has. A
// write that was sent before and was held up on the way (a Redis that was stopped has it in its socket buffer) must not be made
// after what was replayed: before replaying, the outbox raises the fence, and the next store refuses what carries the old one.
// The journal has a bound; beyond it changes are refused with [store.ErrFull].
package outbox
