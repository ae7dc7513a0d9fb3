package relay

import (
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/journal/wal"
)

// behind returns what is to be tried again behind the others: of the replayed entries those that are stuck, then whatever else
// waits of their tickets, as a ticket's changes must stay in their order; and the rest of the lane's queue. The caller holds the
// lock.
func (s *Store) behind(l *lane, entries []store.Entry, stuck []int) (again []entry, rest []queued, err error) {
	rest = l.queue[len(entries):]
	replayed := make(map[ticket.ID]int, len(stuck)) // of the stuck tickets' entries
	for _, i := range stuck {
		e := &entries[i]
		again = append(again, entry{revision: e.Revision, mutation: e.Mutation})
		replayed[e.Mutation.ID]++
	}
	more := false
	for id, n := range replayed {
		more = more || s.waiting.tickets[id].entries > n
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
		if replayed[e.mutation.ID] > 0 {
			again = append(again, e)
		} else {
			others = append(others, rest[i])
		}
	}
	return again, others, nil
}

// renumber writes entries once more, under new sequence numbers: the next store passes over the old ones by now. All of them
// are written, and what follows them, or none. Entries that have not been replayed yet stay in the journal under their old
// numbers, too: after a restart they are replayed twice, in their order both times. The caller holds the lock.
func (s *Store) renumber(entries []entry, following ...[]byte) (at wal.Position, records [][]byte, err error) {
	if len(entries) == 0 {
		return at, nil, nil
	}
	for i := range entries {
		entries[i].sequence = s.last + 1 + uint64(i)
		records = append(records, entries[i].encode())
	}
	at, err = s.journal.Append(append(records, following...)...)
	return at, records, err
}

// superseded are records that keep a restart from replaying the old ones of these entries: a create that is given up at its old
// place must not leave there what was to follow it, which would reach the ticket that has its id. The caller holds the lock.
func (s *Store) superseded(again []entry) (records [][]byte) {
	told := make(map[ticket.ID]bool, len(again))
	for i := range again {
		if id := again[i].mutation.ID; !told[id] {
			told[id] = true
			records = append(records, putBehind{id: id, upTo: s.last}.encode())
		}
	}
	return records
}

// recoverBehind leaves out, when the journal is opened, what has been put behind the others.
func (s *Store) recoverBehind(data []byte) error {
	p, err := decodeBehind(data)
	if err != nil {
		return err
	}
	l := s.lane(p.id)
	all, rest, err := apart(l.queue, p.id)
	if err != nil {
		return err
	}
	var newer []queued
	for i := range l.queue {
		e, err := l.queue[i].entry()
		if err != nil {
			return err
		}
		if e.mutation.ID == p.id && e.sequence > p.upTo {
			newer = append(newer, l.queue[i])
		}
	}
	for i := range all {
		s.waiting.remove(&all[i])
	}
	s.count -= len(all)
	l.queue = rest
	for i := range newer {
		e, err := newer[i].entry()
		if err != nil {
			return err
		}
		s.enqueue(&e, wal.Position{Segment: newer[i].segment}, newer[i].record)
	}
	return nil
}
