package outbox

import (
	"time"

	"context"
	"errors"
	"fmt"
	"slices"

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

// Move is a create that was acknowledged under an id which belongs to another ticket, and the id that it got instead.
type Move struct {
	From, To ticket.ID
	// RequestID is the create's; empty where it has none.
	RequestID string
	// Since is when the create was acknowledged, or a little earlier where a clock decides; At is when it got its other id.
	Since, At time.Time
}

// Moves keeps the moves for those who must know them when the journal has forgotten them: it is told of each before the journal
// gives back any space. It is called with the outbox's lock held.
type Moves interface {
	// Moving runs replace, by which the ticket of an id gets another one, at a moment at which nobody makes a change for it by that
	// id, or fails at once.
	Moving(from ticket.ID, replace func() error) error
	// Moved keeps a move. It is called again after a restart, and after an error.
	Moved(m Move) error
}

var errNoID = errors.New("there is no other id for it")

// move gives the create at the head of a lane, and whatever waits of its ticket behind it, another id: the old one is another
// ticket's.
func (s *Store) move(ctx context.Context, l *lane, from ticket.ID) error {
	if s.opts.NextID == nil {
		return errNoID
	}
	to, err := s.opts.NextID(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, rest, err := apart(l.queue, from)
	if err != nil {
		return err
	}
	moved := []replacement{{replaced: replaced{from: from, to: to}, entries: slices.Clone(old), since: acknowledgedAt(old)}}
	for i := range moved[0].entries {
		m := &moved[0].entries[i].mutation
		m.ID, m.Accepted = to, store.Unreceived
	}
	var at wal.Position
	replace := func() error {
		at, err = s.replace(moved)
		return err
	}
	if s.opts.Moves == nil {
		err = replace()
	} else {
		err = s.opts.Moves.Moving(from, replace)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	s.void(l, old, rest)
	s.queueAgain(at, &moved[0])
	s.opts.Log.Error().Int64("ticket", int64(from)).Int64("new_id", int64(to)).
		Msg("a ticket was created while Redis was away, under an id that belongs to another ticket: it got a new id; " +
			"pass that on to whoever received the old one")
	s.lane(to).wakeUp()
	s.signal()
	return nil
}

// acknowledgedAt is when a ticket's create was acknowledged that waits with other changes of it. Where the journal did that, it
// is dated by a revision, which other hosts' clocks may have moved ahead.
func acknowledgedAt(of []entry) time.Time {
	if len(of) == 0 {
		return time.Time{}
	}
	m := &of[0].mutation
	if m.Accepted != 0 && m.Accepted != store.Unreceived { // that of a create which got another id before
		return time.UnixMicro(int64(m.Accepted))
	}
	return changedAt(m).Add(-time.Duration(store.LateSkew) * time.Microsecond)
}

// tellMoves tells of the moves that have not been kept yet. The caller holds the lock.
func (s *Store) tellMoves() {
	if s.opts.Moves == nil {
		s.untold = nil
	}
	for len(s.untold) > 0 {
		if err := s.opts.Moves.Moved(s.untold[0]); err != nil {
			s.repeats.Error().Err(err).Msg("the journal gives back no space until that is put right")
			return
		}
		s.untold = s.untold[1:]
	}
}
