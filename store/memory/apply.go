package memory

import (
	"context"
	"fmt"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/requests"
)

// Apply implements [store.Tickets].
func (s *Store) Apply(_ context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes, err := s.ApplyLogged(mutations, func(*store.Mutation, store.Outcome) (uint64, error) { return 0, nil })
	if outcomes != nil {
		err = nil // it is in the outcomes
	}
	return outcomes, err
}

// ApplyLogged is Apply for a store that is the index of a log: before a mutation changes anything, log is called with it and its
// outcome. It returns the segment that holds the record, see [Store.Oldest]; its error ends the call: where mutations
// before it were made, the outcomes are returned beside the error, which is that of this mutation and of those behind it. For a mutation that changes nothing (a repetition, a refusal) log is not called.
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
		segment, err := uint64(0), s.room(m)
		if err == nil {
			segment, err = log(m, outcome)
		}
		if err != nil {
			return ended(mutations, outcomes, i, err)
		}
		s.make(m, outcome.Revision, segment)
		if m.RequestID != "" {
			s.remember(m, outcome, s.opts.Now().Add(Memory(m)), segment)
		}
	}
	return outcomes, nil
}

// ended returns what a call comes to that an error has ended at a mutation.
func ended(mutations []store.Mutation, outcomes []store.Outcome, at int, err error) ([]store.Outcome, error) {
	if at == 0 {
		return nil, err
	}
	for i := at; i < len(outcomes); i++ {
		outcomes[i] = store.Outcome{ID: mutations[i].ID, Err: err}
	}
	return outcomes, err
}

// room says whether there is room for a mutation that changes something.
func (s *Store) room(m *store.Mutation) error {
	if e := s.tickets[m.ID]; s.opts.MaxDirty > 0 && s.dirty.length >= s.opts.MaxDirty && (e == nil || !e.dirty()) {
		return &store.FullError{
			Bound: "journal.max_entries", Reason: fmt.Sprintf("%d tickets wait for MySQL; see that MySQL takes them, or raise it", s.dirty.length),
		}
	}
	if m.RequestID == "" {
		return nil
	}
	if s.requests.Expire(s.opts.Now()); s.requests.Len() >= s.opts.MaxRequests {
		return &store.FullError{
			Bound: "journal.max_requests", Reason: fmt.Sprintf("%d request ids are remembered, each for as long as its request asked "+
				"(a day unless it said less); raise it, or choose no request ids where none are needed", s.requests.Len()),
		}
	}
	return nil
}

// decide returns what becomes of a mutation and whether it changes anything.
func (s *Store) decide(m *store.Mutation) (outcome store.Outcome, changes bool) {
	if m.RequestID != "" {
		r, known := s.requests.Find(s.opts.Now(), requests.KeyOf(m.RequestID))
		switch {
		case known && !r.RepeatedBy(m.Digest):
			return store.Outcome{ID: m.ID, Err: store.ErrReused}, false
		case known:
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
