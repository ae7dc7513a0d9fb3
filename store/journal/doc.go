// Package journal is a store without a server, for a site without Redis: pending changes are written to a local log ([wal]) and
// indexed in memory.
//
// # The way of a change
//
// Apply decides a mutation's outcome, writes the mutation to the log (write(2), so a killed process loses no change), changes the
// index and waits, outside every lock, until the log is as durable as the sync mode promises. Later steps (acks, parking,
// retries, dropping) are written too, but no caller waits for the disk: after a lost ack the ticket is flushed once more, and the
// next place compares revisions and changes no row.
//
// Reads and claims show changes that are written but not on disk yet. Otherwise every read of a busy ticket would wait for the
// disk, without being more accurate: a change whose writer has no outcome yet may or may not survive a power loss, and a change
// that was flushed before stays in the next place.
//
// # Space
//
// A segment of the log is needed while the segment has a pending ticket or a remembered request id. The journal removes segments
// that are not needed, oldest first. As soon as most of the log is not needed, the journal writes the content that keeps an old
// segment (a dead letter, a late due time) once more, a few tickets at a time. A full log refuses changes with [store.ErrFull];
// flushing goes on and makes room.
//
// The ids of deleted tickets are kept for ever: the journal writes these ids once more in the same way, a bucket of 512 ids at a
// time.
//
// # The feed
//
// While the feed is on, a mutation's record has also what its event needs: the event's number, the ticket's revision before, and
// the old values. So the feed is a reader of the log, which never reads beyond what is durable, and a write costs no more system
// calls. The destinations' cursors are records that may be lost. The feed keeps segments that a destination has not read, within
// its own bound; beyond the bound the destination gets a gap.
//
// # Start
//
// The log is replayed. Clean tickets are forgotten: the next place has these tickets. New revisions are above the highest in the
// log and above the next place's ([Options].Floor): the end of the log may have been flushed and then lost in a power loss. While
// the next place does not answer, the journal accepts writes, and lifts their revisions above the next place's when the next
// place answers.
//
// # What happens on failure
//
// Disk full, or MaxBytes, MaxEntries or MaxRequests reached: a [store.FullError] that names the bound, until room is made. A disk
// that fails otherwise: [store.ErrUnavailable], the outcome is not known, and the next write tries a new segment. A damaged log:
// Open fails with a [wal.CorruptError].
package journal
