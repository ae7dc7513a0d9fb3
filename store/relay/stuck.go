package relay

import (
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// behind returns what is to be tried again behind the others: for each ticket with stuck entries among the replayed ones, these
// and whatever else of it waits, as a ticket's changes must stay in their order; and the rest of the lane's queue. The caller
// holds the lock.
func (s *Store) behind(l *lane, entries []store.Entry, stuck []int) (again []replacement, rest []queued, err error) {
	rest = l.queue[len(entries):]
	index := make(map[ticket.ID]int, len(stuck)) // of the tickets in again
	for _, i := range stuck {
		m := &entries[i].Mutation
		at, known := index[m.ID]
		if !known {
			at = len(again)
			index[m.ID] = at
			again = append(again, replacement{replaced: replaced{from: m.ID, to: m.ID}})
		}
		again[at].entries = append(again[at].entries, entry{revision: entries[i].Revision, mutation: *m})
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
