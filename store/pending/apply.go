package pending

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/requests"
)

// Apply implements [store.Tickets].
func (s *Store) Apply(_ context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes, _ := s.ApplyLogged(mutations, func(*store.Mutation, store.Outcome) (uint64, error) { return 0, nil })
	return outcomes, nil // an error is in the outcomes
}

// ApplyLogged is Apply for the index of a log: before ApplyLogged makes a mutation, it calls log with the mutation and the
// outcome; log returns the segment of the record, see [Store.Oldest]. If a mutation finds no room, in memory or in the log, the
// error is this mutation's outcome, and the other mutations go on; any other error of log is also the outcome of all later
// mutations that would make a change. refused is the last such error. For a mutation without a change (a repetition, a refusal)
// log is not called.
func (s *Store) ApplyLogged(
	mutations []store.Mutation, log func(*store.Mutation, store.Outcome) (segment uint64, err error),
) (outcomes []store.Outcome, refused error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes = make([]store.Outcome, len(mutations))
	for i := range mutations {
		m := &mutations[i]
		outcome, changes := s.decide(m)
		outcomes[i] = outcome
		if !changes {
			continue
		}
		m.Given(outcome.Revision)
		segment, err := uint64(0), s.room(m)
		switch {
		case err != nil:
		case refused != nil && !errors.Is(refused, store.ErrFull):
			err = refused
		default:
			segment, err = log(m, outcome)
		}
		if err != nil {
			outcomes[i], refused = store.Outcome{ID: m.ID, Err: err}, err
			continue
		}
		s.tell(m, outcome.Revision)
		s.make(m, outcome.Revision, segment)
		if m.RequestID != "" {
			s.remember(m, outcome, s.opts.Now().Add(Memory(m)), segment)
		}
	}
	return outcomes, refused
}

// room returns an error if the store has no room for a mutation that makes a change.
func (s *Store) room(m *store.Mutation) error {
	e := s.tickets[m.ID]
	switch clean := e == nil || !e.dirty(); {
	case clean && s.opts.Quota > 0 && s.dirty.length >= s.opts.Quota:
		return fmt.Errorf("%d tickets are pending: %w", s.dirty.length, store.ErrQuota)
	case clean && s.opts.MaxDirty > 0 && s.dirty.length >= s.opts.MaxDirty:
		return &store.FullError{
			Bound:  "journal.max_entries",
			Reason: fmt.Sprintf("%d tickets are pending for MySQL; make MySQL accept the tickets, or raise the bound", s.dirty.length),
		}
	}
	if m.RequestID == "" {
		return nil
	}
	if s.requests.Expire(s.opts.Now()); s.requests.Len() >= s.opts.MaxRequests {
		return &store.FullError{
			Bound: "journal.max_requests", Reason: fmt.Sprintf("%d request ids are remembered, each for as long as its request asked "+
				"(a day by default); raise the bound, or send request ids only where necessary", s.requests.Len()),
		}
	}
	return nil
}

// decide returns a mutation's outcome and whether the mutation makes a change.
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
	if m.IfRevision != 0 && m.IfRevision != have {
		outcome.Err = &store.ConflictError{Have: have}
		return outcome, false
	}
	if outcome.Err = s.refusal(m, e); outcome.Err != nil {
		return outcome, false
	}
	if e != nil && e.gone { // deleted once more: only the request is new
		return outcome, m.RequestID != ""
	}
	outcome.Revision = max(have+1, m.Proposed, s.highest+1)
	return outcome, true
}

// refusal says why a mutation of a ticket cannot be made, present or deleted; nil if the mutation can be made.
func (s *Store) refusal(m *store.Mutation, e *entry) error {
	deleted := s.graves.Has(m.ID)
	if e != nil {
		deleted = e.gone
	}
	switch {
	case e != nil && e.made && m.Predates(m.Late(false), e.born, s.ahead(m)):
		return store.ErrPredates
	case m.Kind == store.Delete && (e != nil || !m.MustExist):
		return nil
	case m.Kind == store.Delete:
		return store.ErrAbsent
	case m.Kind.Creates():
		return refusedCreate(m, e, deleted, s.ahead(m))
	case deleted:
		return store.ErrDeleted
	case m.MustExist && e == nil:
		return store.ErrAbsent
	}
	return nil
}

// ahead says that revisions are ahead of the host's clock at the time of the mutation.
func (s *Store) ahead(m *store.Mutation) bool {
	return s.highest > cmp.Or(m.At, m.Proposed)+store.AheadBy
}

// refusedCreate is refusal for a create: a late create may meet its own ticket, made by a client that received the id. This
// host's clock has dated the create and the ticket: so an older ticket is a different ticket, without an allowance for clocks
// that differ. ahead is as in [store.Mutation.Free].
func refusedCreate(m *store.Mutation, e *entry, deleted, ahead bool) error {
	if e == nil && !deleted {
		return m.Free(ahead)
	}
	var born ticket.Revision
	if e != nil {
		born = e.born
	}
	err := m.Joins(m.Accepted, born)
	if err == nil && deleted {
		err = store.ErrDeleted
	}
	return err
}

// make merges an accepted mutation into the ticket.
func (s *Store) make(m *store.Mutation, revision ticket.Revision, segment uint64) {
	e := s.begin(m, revision)
	s.highest = max(s.highest, revision)
	if !e.dirty() {
		e.since, e.pin = sinceOf(cmp.Or(m.At, m.Proposed)), segment
	}
	if due := m.Due.UnixMicro(); !e.queued() || due < e.due {
		e.due = due
	}
	e.revive()
	e.revision = revision
	e.full = e.full || m.Kind == store.Create
	if m.Kind == store.Delete {
		e.bury(revision)
		s.bury(e.id, segment)
	}
	for _, f := range m.Fields { // a clone, as a part would keep the whole request in memory
		e.set(field{name: s.name(f.Name), value: f.Value.Clone(), changed: revision})
	}
	s.settle(e)
}

func (e *entry) queued() bool { return e.dirty() && e.letter == nil }

// begin records at which revision a mutation makes its ticket's entry, and that the next place does not have a create.
func (s *Store) begin(m *store.Mutation, revision ticket.Revision) *entry {
	e := s.entry(m.ID)
	if e.revision == 0 {
		e.born = min(m.Dated(), revision) // not when the mutation arrived here
	} else if m.Accepted != 0 && m.Kind.Creates() {
		e.born = min(m.Dated(), e.born)
	}
	e.made = e.made || m.Kind.Creates()
	if m.Kind.Creates() && e.created == 0 {
		e.created = createdOf(m, e, revision)
	}
	return e
}

// createdOf is [store.Claim].Created of a create: another host, whose client received the id, may have changed the ticket
// already. If revisions are ahead of the clocks, minutes of changes lie within the allowance for clocks, so createdOf gives no
// allowance.
func createdOf(m *store.Mutation, e *entry, revision ticket.Revision) ticket.Revision {
	switch since := m.Since(false); {
	case since != 0:
		return min(since, e.born)
	case m.At != 0: // ahead of the clock, see [store.Mutation.Given]
		return revision
	default:
		return max(revision-store.LateSkew, 1)
	}
}

// Memory is how long a mutation's request id is remembered.
func Memory(m *store.Mutation) time.Duration {
	return min(cmp.Or(m.Remember, store.RequestMemory), store.RequestMemory)
}

// remember keeps the outcome of a mutation with a request id. The caller holds the lock.
func (s *Store) remember(m *store.Mutation, outcome store.Outcome, expires time.Time, segment uint64) {
	s.requests.Put(s.opts.Now(), requests.Request{
		Key: requests.KeyOf(m.RequestID), Ticket: outcome.ID, Revision: outcome.Revision, Digest: requests.DigestOf(m.Digest),
		Expires: expires,
	}, segment)
}
