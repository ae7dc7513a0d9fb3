package memory

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Store keeps tickets in memory. It is safe for concurrent use; the zero value is not usable, see [New].
type Store struct {
	mu       sync.Mutex
	tickets  map[ticket.ID]*entry
	requests map[string]store.Outcome
	highest  ticket.Revision // the highest revision assigned or seen
}

var _ store.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	return &Store{tickets: map[ticket.ID]*entry{}, requests: map[string]store.Outcome{}}
}

// entry is one ticket. A field in fields that is NULL was set to NULL or read as NULL.
type entry struct {
	revision ticket.Revision
	full     bool
	gone     bool
	fields   map[string]ticket.Value
	changed  map[string]ticket.Revision // the revision that last changed the field, while the next place has not got it
	deleted  ticket.Revision            // the revision that deleted the ticket, likewise
	since    time.Time
	due      time.Time
	letter   *store.DeadLetter
}

func (e *entry) dirty() bool  { return len(e.changed) > 0 || e.deleted != 0 }
func (e *entry) queued() bool { return e.dirty() && e.letter == nil }

// Apply implements [store.Tickets].
func (s *Store) Apply(_ context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes := make([]store.Outcome, len(mutations))
	for i := range mutations {
		outcomes[i] = s.apply(&mutations[i])
	}
	return outcomes, nil
}

func (s *Store) apply(m *store.Mutation) store.Outcome {
	if m.RequestID != "" {
		if done, repeated := s.requests[m.RequestID]; repeated {
			return done
		}
	}
	e := s.tickets[m.ID]
	var have ticket.Revision
	if e != nil {
		have = e.revision
	}
	outcome := store.Outcome{ID: m.ID, Revision: have}
	switch {
	case m.IfRevision != 0 && m.IfRevision != have:
		outcome.Err = &store.ConflictError{Have: have}
		return outcome
	case e != nil && e.gone && m.Kind != store.Delete:
		outcome.Err = store.ErrDeleted
		return outcome
	case e != nil && e.gone:
		return outcome
	case e == nil:
		e = &entry{fields: map[string]ticket.Value{}, changed: map[string]ticket.Revision{}}
		s.tickets[m.ID] = e
	}
	outcome.Revision = max(have+1, m.Proposed, s.highest+1)
	s.highest = outcome.Revision
	e.change(m, outcome.Revision)
	if m.RequestID != "" {
		s.requests[m.RequestID] = outcome
	}
	return outcome
}

// change merges a mutation that has been accepted.
func (e *entry) change(m *store.Mutation, revision ticket.Revision) {
	if !e.dirty() {
		e.since = time.UnixMicro(int64(m.Proposed)).Truncate(time.Millisecond)
	}
	if !e.queued() || m.Due.Before(e.due) {
		e.due = m.Due
	}
	e.letter = nil
	e.revision = revision
	e.full = e.full || m.Kind == store.Create
	if m.Kind == store.Delete {
		e.gone, e.deleted = true, revision
	}
	for _, f := range m.Fields {
		e.fields[f.Name] = f.Value
		e.changed[f.Name] = revision
	}
}

// Get implements [store.Tickets].
func (s *Store) Get(_ context.Context, ids []ticket.ID) ([]store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make([]store.Record, len(ids))
	for i, id := range ids {
		records[i].ID = id
		if e := s.tickets[id]; e != nil {
			records[i] = store.Record{
				ID: id, Revision: e.revision, Full: e.full, Deleted: e.gone, Dirty: e.dirty(), Fields: sorted(e.fields),
			}
		}
	}
	return records, nil
}

func sorted(fields map[string]ticket.Value) ticket.Fields {
	out := make(ticket.Fields, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, ticket.Field{Name: name, Value: fields[name]})
	}
	return out
}

// Fill implements [store.Tickets].
func (s *Store) Fill(_ context.Context, rows []store.Record, bases []ticket.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		s.fill(&rows[i], bases[i])
	}
	return nil
}

func (s *Store) fill(row *store.Record, base ticket.Revision) {
	e := s.tickets[row.ID]
	switch {
	case e == nil && base == 0:
		e = &entry{fields: map[string]ticket.Value{}, changed: map[string]ticket.Revision{}}
		s.tickets[row.ID] = e
	case e == nil || e.revision != base:
		return
	case e.dirty(), row.Revision < base: // Only a row of the same revision is known to have what was acked.
		return
	}
	e.revision = max(base, row.Revision)
	s.highest = max(s.highest, e.revision)
	e.full, e.gone = true, e.gone || row.Deleted
	for name := range e.fields {
		if _, changed := e.changed[name]; !changed {
			delete(e.fields, name)
		}
	}
	for _, f := range row.Fields {
		if _, changed := e.changed[f.Name]; !changed {
			e.fields[f.Name] = f.Value
		}
	}
}
