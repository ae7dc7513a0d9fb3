package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Letters implements [store.DeadLetters].
func (s *Store) Letters(_ context.Context, after ticket.ID, limit int) ([]store.Letter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var letters []store.Letter
	for _, id := range slices.Sorted(maps.Keys(s.tickets)) {
		e := s.tickets[id]
		if id <= after || e.letter == nil {
			continue
		}
		if len(letters) == limit {
			break
		}
		c := e.claim(id)
		letters = append(letters, store.Letter{DeadLetter: *e.letter, Fields: c.Fields, Deleted: c.Deleted})
	}
	return letters, nil
}

// Retry implements [store.DeadLetters].
func (s *Store) Retry(_ context.Context, now time.Time, ids []ticket.ID) (int, error) {
	return s.eachDead(ids, func(e *entry, _ ticket.ID) {
		e.letter, e.due = nil, now
	}), nil
}

// Drop implements [store.DeadLetters].
func (s *Store) Drop(_ context.Context, ids []ticket.ID) (int, error) {
	return s.eachDead(ids, func(_ *entry, id ticket.ID) {
		delete(s.tickets, id)
	}), nil
}

// eachDead calls do for those of the tickets that are dead letters and counts them.
func (s *Store) eachDead(ids []ticket.ID, do func(*entry, ticket.ID)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, id := range ids {
		if e := s.tickets[id]; e != nil && e.letter != nil {
			do(e, id)
			n++
		}
	}
	return n
}
