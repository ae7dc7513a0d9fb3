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

// replacement are the pending changes of a ticket, to be replayed behind the other tickets' changes, under a new id if to differs
// from from.
type replacement struct {
	replaced

	entries []entry   // in the order of the journal
	why     error     // why the ticket is stuck
	since   time.Time // when a create that gets a new id was acknowledged
}

// replace appends replacements to the journal, completely or not at all, under new sequence numbers: the next store skips the old
// numbers. The caller holds the lock.
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

// void forgets a ticket's pending entries in a lane; rest is the rest of the lane's queue. The caller holds the lock.
func (s *Store) void(l *lane, entries []entry, rest []queued) {
	for i := range entries {
		s.waiting.remove(&entries[i])
	}
	s.count -= len(entries)
	l.queue = rest
}

// queueAgain puts a replacement that is in the journal into the queue of its ticket's lane. The caller holds the lock.
func (s *Store) queueAgain(at wal.Position, r *replacement) {
	s.lane(r.from).written, s.lane(r.to).written = at, at
	for i := range r.entries {
		e := &r.entries[i]
		s.enqueue(e, at, e.encode())
		if r.from != r.to && e.mutation.Kind == store.Delete { // the other ticket was not deleted
			s.recent.forget(r.from)
		}
	}
	if r.from != r.to {
		s.untold = append(s.untold, Move{From: r.from, To: r.to, RequestID: r.entries[0].mutation.RequestID, Since: r.since, At: r.at})
		s.tellMoves()
	}
}

// apart separates a ticket's changes from the rest of a queue.
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

// Move is a create that was acknowledged under the id of another ticket, and the create's new id.
type Move struct {
	From, To ticket.ID
	// RequestID is the create's; empty for a create without a request id.
	RequestID string
	// Since is when the create was acknowledged, or a little earlier if a clock decides; At is when the create got the new id.
	Since, At time.Time
}

// Moves keeps the moves for readers that need a move after the journal has forgotten the move: Moves receives each move before
// the journal removes a segment. Its methods are called with the outbox's lock held.
type Moves interface {
	// Moving runs replace, by which the ticket of an id gets a new id, at a moment when no change for the ticket by the old id is
	// being made, or fails at once.
	Moving(from ticket.ID, replace func() error) error
	// Moved keeps a move. The outbox calls Moved again after a restart and after an error.
	Moved(m Move) error
}

var errNoID = errors.New("no new id is available")

// move gives the create at the head of a lane, and all pending changes of its ticket, a new id: the old id is another ticket's.
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
		Msg("a ticket was created while Redis was unreachable, under the id of another ticket: the new ticket got a new id; " +
			"pass the new id on to the client that received the old id")
	s.lane(to).wakeUp()
	s.signal()
	return nil
}

// acknowledgedAt is when a ticket's pending create was acknowledged. If the journal acknowledged the create, a revision is the
// date, which other hosts' clocks may have moved ahead.
func acknowledgedAt(of []entry) time.Time {
	if len(of) == 0 {
		return time.Time{}
	}
	m := &of[0].mutation
	if m.Accepted != 0 && m.Accepted != store.Unreceived { // the create has got a new id before
		return time.UnixMicro(int64(m.Accepted))
	}
	return changedAt(m).Add(-time.Duration(store.LateSkew) * time.Microsecond)
}

// tellMoves passes on the moves that have not been kept yet. The caller holds the lock.
func (s *Store) tellMoves() {
	if s.opts.Moves == nil {
		s.untold = nil
	}
	for len(s.untold) > 0 {
		if err := s.opts.Moves.Moved(s.untold[0]); err != nil {
			s.repeats.Error().Err(err).Msg("the journal frees no space until this error is resolved")
			return
		}
		s.untold = s.untold[1:]
	}
}
