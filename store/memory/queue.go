package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Claim implements [store.Queue].
func (s *Store) Claim(_ context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []store.Claim
	for id, e := range s.tickets {
		if e.queued() && !e.due.After(now) {
			claims = append(claims, e.claim(id))
		}
	}
	slices.SortFunc(claims, func(a, b store.Claim) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	claims = claims[:min(limit, len(claims))]
	for i := range claims {
		s.tickets[claims[i].ID].due = now.Add(lease)
	}
	return claims, nil
}

// ClaimIDs implements [store.Queue].
func (s *Store) ClaimIDs(
	_ context.Context, now time.Time, ids []ticket.ID, lease time.Duration,
) ([]store.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []store.Claim
	for _, id := range ids {
		if e := s.tickets[id]; e != nil && e.dirty() {
			c := e.claim(id)
			c.Due = now
			claims = append(claims, c)
			e.due = now.Add(lease)
		}
	}
	return claims, nil
}

func (e *entry) claim(id ticket.ID) store.Claim {
	c := store.Claim{ID: id, Revision: e.revision, Newest: e.revision, Deleted: e.deleted != 0, Due: e.due, Since: e.since}
	for _, name := range slices.Sorted(maps.Keys(e.changed)) {
		c.Fields = append(c.Fields, ticket.Field{Name: name, Value: e.fields[name]})
	}
	return c
}

// Ack implements [store.Queue].
func (s *Store) Ack(_ context.Context, receipts []store.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range receipts {
		s.highest = max(s.highest, r.Revision)
		e := s.tickets[r.ID]
		if e == nil {
			continue
		}
		e.arrived(r.Revision)
		switch {
		case !r.Ahead:
		case e.dirty():
			e.forgetClean()
		default:
			delete(s.tickets, r.ID)
		}
	}
	return nil
}

// arrived removes the marks up to a revision.
func (e *entry) arrived(revision ticket.Revision) {
	oldest := ticket.Revision(0)
	for name, changed := range e.changed {
		if changed <= revision {
			delete(e.changed, name)
		} else if oldest == 0 || changed < oldest {
			oldest = changed
		}
	}
	if e.deleted <= revision {
		e.deleted = 0
	}
	e.letter = nil
	if oldest != 0 {
		e.since = time.UnixMicro(int64(oldest)).Truncate(time.Millisecond)
	}
}

// forgetClean forgets what is clean: the next place may have newer.
func (e *entry) forgetClean() {
	e.full = false
	for name := range e.fields {
		if _, changed := e.changed[name]; !changed {
			delete(e.fields, name)
		}
	}
}

// Release implements [store.Queue].
func (s *Store) Release(_ context.Context, claims []store.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		if e := s.tickets[c.ID]; e != nil && c.Due.Before(e.due) {
			e.due = c.Due
		}
	}
	return nil
}

// Park implements [store.Queue].
func (s *Store) Park(_ context.Context, letters []store.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range letters {
		if e := s.tickets[l.ID]; e != nil && e.revision == l.Revision {
			e.letter = &l
		}
	}
	return nil
}

// DirtyIDs implements [store.Queue].
func (s *Store) DirtyIDs(context.Context) ([]ticket.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []ticket.ID
	for id, e := range s.tickets {
		if e.queued() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Backlog implements [store.Queue].
func (s *Store) Backlog(context.Context) (store.Backlog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b store.Backlog
	for _, e := range s.tickets {
		switch {
		case e.queued():
			b.Dirty++
			if b.Oldest.IsZero() || e.since.Before(b.Oldest) {
				b.Oldest = e.since
			}
			if b.NextDue.IsZero() || e.due.Before(b.NextDue) {
				b.NextDue = e.due
			}
		case e.letter != nil:
			b.Dead++
		}
	}
	return b, nil
}
