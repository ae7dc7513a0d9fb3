package pending

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

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
		l.Fields, l.Deleted = e.values((*field).dirty), e.deleted != 0
		letters = append(letters, l)
	}
	return letters, nil
}

// Retry implements [store.DeadLetters].
func (s *Store) Retry(_ context.Context, now time.Time, ids []ticket.ID) (int, error) {
	return s.eachDead(ids, func(e *entry) {
		e.letter, e.due = nil, now.UnixMicro()
		s.settle(e)
	}), nil
}

// Drop implements [store.DeadLetters].
func (s *Store) Drop(_ context.Context, ids []ticket.ID) (int, error) {
	return s.eachDead(ids, func(e *entry) {
		if e.deleted != 0 { // the next place still has the ticket
			s.graves.Remove(e.id)
		}
		s.forget(e)
	}), nil
}

// eachDead calls do for those of the tickets that are dead letters and counts them.
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
