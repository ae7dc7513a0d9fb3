package memory

import (
	"context"
	"fmt"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Apply implements [store.Tickets].
func (s *Store) Apply(_ context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	return s.ApplyLogged(mutations, func(*store.Mutation, store.Outcome) (uint64, error) { return 0, nil })
}

// ApplyLogged is Apply for a store that is the index of a log: before a mutation changes anything, log is called with it and its
// outcome. It returns the segment that holds the record, see [Store.Oldest]; its error ends the call, with the mutations
// before it made. For a mutation that changes nothing (a repetition, a refusal) log is not called.
func (s *Store) ApplyLogged(
	mutations []store.Mutation, log func(*store.Mutation, store.Outcome) (segment uint64, err error),
) ([]store.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes := make([]store.Outcome, len(mutations))
	for i := range mutations {
		m := &mutations[i]
		outcome, changes := s.decide(m)
		outcomes[i] = outcome
		if !changes {
			continue
		}
		if err := s.room(m.ID); err != nil {
			return nil, err
		}
		segment, err := log(m, outcome)
		if err != nil {
			return nil, err
		}
		s.make(m, outcome.Revision, segment)
		if m.RequestID != "" {
			s.requests.remember(s.opts.Now(), s.request(m, outcome), segment)
		}
	}
	return outcomes, nil
}

// room says whether a ticket may become dirty, where it is not.
func (s *Store) room(id ticket.ID) error {
	e := s.tickets[id]
	switch {
	case e != nil && e.dirty():
		return nil
	case s.opts.Quota > 0 && s.dirty.length >= s.opts.Quota:
		return fmt.Errorf("%d tickets wait: %w", s.dirty.length, store.ErrQuota)
	case s.opts.MaxDirty > 0 && s.dirty.length >= s.opts.MaxDirty:
		return fmt.Errorf("%d tickets wait: %w", s.dirty.length, store.ErrFull)
	default:
		return nil
	}
}

// decide returns what becomes of a mutation and whether it changes anything.
func (s *Store) decide(m *store.Mutation) (outcome store.Outcome, changes bool) {
	if m.RequestID != "" {
		if r := s.requests.find(s.opts.Now(), m.RequestID); r != nil {
			return store.Outcome{ID: r.Ticket, Revision: r.Revision}, false
		}
	}
	e := s.tickets[m.ID]
	var have ticket.Revision
	if e != nil {
		have = e.revision
	}
	outcome = store.Outcome{ID: m.ID, Revision: have}
	switch {
	case m.IfRevision != 0 && m.IfRevision != have:
		outcome.Err = &store.ConflictError{Have: have}
		return outcome, false
	case e != nil && e.gone && m.Kind != store.Delete:
		outcome.Err = store.ErrDeleted
		return outcome, false
	case e != nil && e.gone:
		return outcome, false
	}
	outcome.Revision = max(have+1, m.Proposed, s.highest+1)
	return outcome, true
}

// make merges a mutation that has been accepted.
func (s *Store) make(m *store.Mutation, revision ticket.Revision, segment uint64) {
	e := s.entry(m.ID)
	s.highest = max(s.highest, revision)
	if !e.dirty() {
		e.since, e.pin = sinceOf(m.Proposed), segment
	}
	if due := m.Due.UnixMicro(); !e.queued() || due < e.due {
		e.due = due
	}
	e.letter = nil
	e.revision = revision
	e.full = e.full || m.Kind == store.Create
	if m.Kind == store.Delete {
		e.gone, e.deleted = true, revision
	}
	for _, f := range m.Fields { // the request that they are parts of must not stay in memory with them
		e.set(field{name: s.name(f.Name), value: f.Value.Clone(), changed: revision})
	}
	s.settle(e)
}
