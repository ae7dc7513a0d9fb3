package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Move tells of a create that was acknowledged under an id which turned out to be another ticket's, and of the id that it has now.
type Move struct {
	From, To ticket.ID
	At       time.Time
}

// maxMoves bounds how many of them are kept for [Status]; the log tells of all.
const maxMoves = 16

var errNoID = errors.New("there is no other id for it")

// takenAt returns the index of the create with which a replay has ended as its id is taken; -1 where it has come to its end.
func takenAt(outcomes []store.Outcome) int {
	return slices.IndexFunc(outcomes, func(o store.Outcome) bool { return errors.Is(o.Err, store.ErrTaken) })
}

// move gives the create at the head of a lane, and whatever waits of its ticket behind it, another id: the old one is another
// ticket's. The journal has the changes under the new id, and that those under the old one are void, in one record after the
// other: a crash in between leaves the old ones, which are then moved again.
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
	moved := slices.Clone(old)
	for i := range moved {
		moved[i].mutation.ID, moved[i].mutation.Accepted = to, 0
	}
	m := Move{From: from, To: to, At: s.opts.Now()}
	at, records, err := s.renumber(moved, m.encode())
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	s.void(l, old, rest)
	for i := range moved {
		s.enqueue(&moved[i], at, records[i])
	}
	s.noteMove(m)
	s.opts.Log.Error().Int64("ticket", int64(from)).Int64("new_id", int64(to)).
		Msg("a ticket was created while Redis was away, under an id that is another ticket's: it has a new id; tell who was told the old one")
	s.lane(to).wakeUp()
	s.signal()
	return nil
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

// void forgets changes of a ticket that wait in a lane; rest is what is left in its queue. The caller holds the lock.
func (s *Store) void(l *lane, entries []entry, rest []queued) {
	for i := range entries {
		s.waiting.remove(&entries[i])
		if m := &entries[i].mutation; m.Kind == store.Delete { // it was not the other ticket that was deleted
			s.recent.forget(m.ID)
		}
	}
	s.count -= len(entries)
	l.queue = rest
}

func (s *Store) noteMove(m Move) {
	s.moves = append(s.moves, m)
	s.moves = s.moves[max(len(s.moves)-maxMoves, 0):]
}

// recoverMove takes up a move when the journal is opened: the changes under the new id come before it.
func (s *Store) recoverMove(data []byte) error {
	m, err := decodeMoved(data)
	if err != nil {
		return err
	}
	l := s.lane(m.From)
	old, rest, err := apart(l.queue, m.From)
	if err != nil {
		return err
	}
	s.void(l, old, rest)
	s.noteMove(m)
	return nil
}
