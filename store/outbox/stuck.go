package outbox

import (
	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// refused is a replayed entry that the next store cannot make now.
type refused struct {
	at  int // among the replayed entries
	why error
}

// Stuck returns a [store.StuckError] where changes of these tickets, or of any where ids is nil, are stuck; else nil.
func (s *Store) Stuck(ids []ticket.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ids == nil {
		ids = slices.Sorted(maps.Keys(s.waiting.tickets))
	}
	var found *store.StuckError
	for _, id := range ids {
		w := s.waiting.tickets[id]
		switch {
		case w == nil || w.stuck == nil:
		case found == nil:
			found = &store.StuckError{Tickets: 1, First: id, Why: w.stuck}
		default:
			found.Tickets++
		}
	}
	if found == nil {
		return nil
	}
	return found
}

// behind returns what is to be tried again behind the others: for each ticket with stuck entries among the replayed ones, these
// and whatever else of it waits, as a ticket's changes must stay in their order; and the rest of the lane's queue. The caller
// holds the lock.
func (s *Store) behind(l *lane, entries []store.Entry, stuck []refused) (again []replacement, rest []queued, err error) {
	rest = l.queue[len(entries):]
	index := make(map[ticket.ID]int, len(stuck)) // of the tickets in again
	for _, r := range stuck {
		m := &entries[r.at].Mutation
		at, known := index[m.ID]
		if !known {
			at = len(again)
			index[m.ID] = at
			again = append(again, replacement{replaced: replaced{from: m.ID, to: m.ID}, why: r.why})
		}
		again[at].entries = append(again[at].entries, entry{revision: entries[r.at].Revision, mutation: *m})
	}
	more := false
	for i := range again {
		more = more || s.waiting.tickets[again[i].to].entries > len(again[i].entries)
	}
	if !more {
		return again, rest, nil
	}
	others := make([]queued, 0, len(rest))
	for i := range rest {
		e, err := rest[i].entry()
		if err != nil {
			return nil, nil, err
		}
		if at, known := index[e.mutation.ID]; known {
			again[at].entries = append(again[at].entries, e)
		} else {
			others = append(others, rest[i])
		}
	}
	return again, others, nil
}
