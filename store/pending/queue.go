package pending

import (
	"context"
	"time"

	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Claim implements [store.Queue].
func (s *Store) Claim(_ context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []store.Claim
	var taken []*entry // given their leases at the end, so that a lease of 0 does not take a ticket twice
	for len(claims) < limit {
		e, some := s.byDue.first()
		if !some || e.due > now.UnixMicro() {
			break
		}
		claims = append(claims, e.claim())
		taken = append(taken, e)
		s.byDue.remove(e)
	}
	for _, e := range taken {
		e.due = now.Add(lease).UnixMicro()
		s.byDue.put(e)
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
			c := e.claim()
			c.Due = now
			claims = append(claims, c)
			e.due = now.Add(lease).UnixMicro()
			s.settle(e)
		}
	}
	return claims, nil
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
		if r.Ahead && !e.dirty() {
			s.forget(e)
			continue
		}
		if r.Ahead { // Clean fields may be older than the next place's.
			e.full, e.had = false, true
			e.forgetClean()
		}
		s.settle(e)
	}
	return nil
}

// forgetClean forgets fields that are clean.
func (e *entry) forgetClean() {
	e.fields = slices.DeleteFunc(e.fields, func(f field) bool { return f.changed == 0 })
}

// arrived removes the dirty marks up to a revision.
func (e *entry) arrived(revision ticket.Revision) {
	oldest := ticket.Revision(0)
	for i := range e.fields {
		changed := e.fields[i].changed
		switch {
		case changed <= revision:
			e.fields[i].changed = 0
		case oldest == 0 || changed < oldest:
			oldest = changed
		}
	}
	if e.deleted <= revision {
		e.deleted = 0
	}
	if e.created <= revision {
		e.created = 0
	}
	if oldest != 0 {
		e.since = sinceOf(oldest)
	}
	if !e.dirty() {
		e.letter = nil
	}
}

// Release implements [store.Queue].
func (s *Store) Release(_ context.Context, claims []store.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range claims {
		if e := s.tickets[claims[i].ID]; e != nil && claims[i].Due.UnixMicro() < e.due {
			e.due = claims[i].Due.UnixMicro()
			s.settle(e)
		}
	}
	return nil
}

// Park implements [store.Queue].
func (s *Store) Park(_ context.Context, letters []ticket.Letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range letters {
		if e := s.tickets[l.ID]; e != nil && e.revision == l.Revision {
			e.letter = &l
			s.settle(e)
		}
	}
	return nil
}

// DirtyIDs implements [store.Queue].
func (s *Store) DirtyIDs(context.Context) ([]ticket.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]ticket.ID, 0, len(s.byDue.items))
	for _, e := range s.byDue.items {
		ids = append(ids, e.id)
	}
	return ids, nil
}

// NextDue implements [store.Queue].
func (s *Store) NextDue(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, some := s.byDue.first(); some {
		return time.UnixMicro(first.due), nil
	}
	return time.Time{}, nil
}

// Backlog implements [store.Queue]. The cost does not depend on the size of the backlog.
func (s *Store) Backlog(context.Context) (store.Backlog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := store.Backlog{Dirty: int64(len(s.byDue.items)), Dead: int64(len(s.dead)), Buried: int64(s.graves.Count())}
	if first, some := s.bySince.first(); some {
		b.Oldest = time.UnixMicro(first.since)
	}
	return b, nil
}

// Letters implements [store.DeadLetters].
func (s *Store) Letters(_ context.Context, after ticket.ID, limit int) ([]ticket.Letter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var letters []ticket.Letter
	for _, id := range slices.Sorted(maps.Keys(s.dead)) {
		if id <= after {
			continue
		}
		if len(letters) == limit {
			break
		}
		e := s.dead[id]
		l := *e.letter
		l.Fields, l.Deleted, l.Oldest = e.values((*field).dirty), e.deleted != 0, e.oldest()
		letters = append(letters, l)
	}
	return letters, nil
}

// oldest is the revision of the oldest pending change; zero while the next place does not have the ticket's create.
func (e *entry) oldest() ticket.Revision {
	if e.created != 0 {
		return 0
	}
	oldest := e.deleted
	for i := range e.fields {
		if f := &e.fields[i]; f.dirty() && (oldest == 0 || f.changed < oldest) {
			oldest = f.changed
		}
	}
	return oldest
}

// Retry implements [store.DeadLetters].
func (s *Store) Retry(_ context.Context, now time.Time, ids []ticket.ID) (int, error) {
	return s.eachDead(ids, func(e *entry) {
		e.revive()
		e.due = now.UnixMicro()
		s.settle(e)
	}), nil
}

// Drop implements [store.DeadLetters].
func (s *Store) Drop(_ context.Context, ids []ticket.ID) (int, error) {
	events := s.DropTold(ids)
	s.feed.add(events...)
	return len(events), nil
}

// DropTold is Drop for the index of a log, and returns the events of the dropped tickets.
func (s *Store) DropTold(ids []ticket.ID) []ticket.Event {
	var events []ticket.Event
	s.eachDead(ids, func(e *entry) {
		if e.deleted != 0 { // the next place still has the ticket
			s.graves.Remove(e.id)
		}
		events = append(events, ticket.Event{
			Kind: ticket.EventDropped, Ticket: e.id, Revision: e.revision, Previous: e.revision, At: s.opts.Now(),
		})
		s.forget(e)
	})
	return events
}

// eachDead calls do for the tickets that are dead letters, and counts these tickets.
func (s *Store) eachDead(ids []ticket.ID, do func(*entry)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, id := range ids {
		if e := s.dead[id]; e != nil {
			do(e)
			n++
		}
	}
	return n
}
