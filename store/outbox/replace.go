package outbox

import (
	"bytes"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// replacement is what waits of one ticket, to be replayed behind the others, under another id where to differs.
type replacement struct {
	replaced

	entries []entry   // in their order
	why     error     // of one that is stuck
	since   time.Time // when a create that gets another id was acknowledged
}

// replace appends replacements to the journal, all or none, under new sequence numbers: the next store passes over the old ones.
// The caller holds the lock.
func (s *Store) replace(replacements []replacement) (at wal.Position, err error) {
	if len(replacements) == 0 {
		return at, nil
	}
	var records [][]byte
	next := s.last
	for i := range replacements {
		r := &replacements[i]
		r.upTo, r.count, r.at = next, len(r.entries), s.opts.Now()
		records = append(records, r.encode())
		for j := range r.entries {
			next++
			r.entries[j].sequence = next
			records = append(records, r.entries[j].encode())
		}
	}
	return s.journal.Append(records...)
}

// recoverReplaced notes, when the journal is opened, that a replacement follows. Its sequence numbers are used up even if its
// entries cannot be read.
func (s *Store) recoverReplaced(at wal.Position, data []byte) error {
	r, err := decodeReplaced(data)
	if err != nil {
		return err
	}
	s.recovering = &replacement{replaced: r}
	s.last, s.numbered = max(s.last, r.upTo+uint64(r.count)), at.Segment //nolint:gosec // positive
	return nil
}

// recoverEntry takes up an entry when the journal is opened, or keeps it back until its replacement is complete.
func (s *Store) recoverEntry(at wal.Position, e *entry, record []byte) error {
	r := s.recovering
	if r == nil || e.sequence != r.upTo+1+uint64(len(r.entries)) || e.mutation.ID != r.to {
		s.recovering = nil // a crash has cut it off
		s.enqueue(e, at, bytes.Clone(record))
		return nil
	}
	r.entries = append(r.entries, *e)
	if len(r.entries) < r.count {
		return nil
	}
	s.recovering = nil
	l := s.lane(r.from)
	old, rest, err := apart(l.queue, r.from)
	if err != nil {
		return err
	}
	r.since = acknowledgedAt(append(old, r.entries...)) // the old ones may be gone: what comes then has been kept
	s.void(l, old, rest)
	s.queueAgain(at, r)
	return nil
}

// void forgets entries of a ticket that wait in a lane; rest is what is left in its queue. The caller holds the lock.
func (s *Store) void(l *lane, entries []entry, rest []queued) {
	for i := range entries {
		s.waiting.remove(&entries[i])
	}
	s.count -= len(entries)
	l.queue = rest
}

// queueAgain puts a replacement that the journal has into the queue of its ticket's lane. The caller holds the lock.
func (s *Store) queueAgain(at wal.Position, r *replacement) {
	s.lane(r.from).written, s.lane(r.to).written = at, at
	for i := range r.entries {
		e := &r.entries[i]
		s.enqueue(e, at, e.encode())
		if r.from != r.to && e.mutation.Kind == store.Delete { // it was not the other ticket that was deleted
			s.recent.forget(r.from)
		}
	}
	if r.from != r.to {
		s.untold = append(s.untold, Move{From: r.from, To: r.to, RequestID: r.entries[0].mutation.RequestID, Since: r.since, At: r.at})
		s.tellMoves()
	}
}

// apart takes a ticket's changes out of a queue.
func apart(queue []queued, id ticket.ID) (of []entry, rest []queued, err error) {
	for i := range queue {
		e, err := queue[i].entry()
		if err != nil {
			return nil, nil, err
		}
		if e.mutation.ID == id {
			of = append(of, e)
		} else {
			rest = append(rest, queue[i])
		}
	}
	return of, rest, nil
}
