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

// Move is a create that was acknowledged under an id which belongs to another ticket, and the id that it got instead.
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
	moved := []replacement{{replaced: replaced{from: from, to: to}, entries: slices.Clone(old)}}
	for i := range moved[0].entries {
		m := &moved[0].entries[i].mutation
		m.ID, m.Accepted = to, ticket.MaxRevision
	}
	at, err := s.replace(moved)
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

func (s *Store) noteMove(m Move) {
	s.moves = append(s.moves, m)
	s.moves = s.moves[max(len(s.moves)-maxMoves, 0):]
}
