// Package journal is a store without a server: what waits is written to a local log ([wal]) and kept, as an index, in memory. It
// serves a site without Redis.
//
// # The way of a change
//
// Apply decides what becomes of a mutation, writes that to the log (write(2), so a killed process loses nothing), changes the
// index and waits, outside every lock, until the log is as durable as its sync mode promises. What happens to tickets later
// (acks, parking, retries, dropping) is written too, but nobody waits for it to be on disk: an ack that is lost brings a ticket
// to the next place once more, which compares revisions and does nothing.
//
// Reads and claims show changes that are written but not on disk yet. To hide them would make every read of a busy ticket
// wait for the disk, and shows nothing truer: like every change whose outcome its writer does not know yet, it may be there
// or not after a loss of power, and what a flush has brought to the next place by then stays there.
//
// # Space
//
// A segment of the log is needed while a ticket in it waits or a request id in it is remembered. Segments that are not needed are
// removed, oldest first. What keeps an old one (a dead letter, a late due time) is written once more, a few tickets at a time, as
// soon as most of the log is not needed. A full log refuses changes with [store.ErrFull]; flushing goes on and makes room.
//
// The ids of deleted tickets are kept for ever: they are written once more, a bucket of 512 ids at a time, as what waits is.
//
// # Start
//
// The log is replayed. Tickets that are clean are forgotten: the next place has them. Revisions go on above the highest in the
// log and above the next place's ([Options].Floor): the log may have lost its end with the power, after that had been flushed.
// While the next place does not answer, writes are taken all the same, and lifted above its revision when it does.
//
// # What happens on failure
//
// Disk full, or MaxBytes, MaxEntries or MaxRequests reached: a [store.FullError] that says which, until there is room. A disk
// that fails otherwise: [store.ErrUnavailable], the outcome is not known, and the next write tries a new segment. A damaged log:
// Open fails with a [wal.CorruptError].
package journal
