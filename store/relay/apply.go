package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/journal/wal"
)

// Apply implements [store.Tickets]. A conditional mutation is for the next store alone to decide: it waits until nothing of
// its ticket is in the journal any more, and fails where the next store is away.
func (s *Store) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	if err := s.settleConditional(ctx, mutations); err != nil {
		return nil, err
	}
	outcomes := make([]store.Outcome, len(mutations))
	direct, local := s.sort(mutations)
	if len(direct) > 0 {
		done, err := s.next.Apply(ctx, pick(mutations, direct))
		switch {
		case err == nil:
			for i, at := range direct {
				outcomes[at] = done[i]
				if away(done[i].Err) && mutations[at].IfRevision == 0 { // the next store failed in the middle
					s.unanswered(mutations[at].ID)
					local = append(local, at)
				}
			}
			s.remember(mutations, direct, done)
		case conditional(mutations) || !away(err):
			return nil, err
		default:
			for _, at := range direct {
				s.unanswered(mutations[at].ID)
			}
			local = append(local, direct...)
		}
	}
	if len(local) == 0 {
		return outcomes, nil
	}
	slices.Sort(local) // the order of the mutations, whichever way they came here
	written, err := s.write(ctx, pick(mutations, local))
	if err != nil {
		if len(direct) > 0 { // some may have been made by the next store
			return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return nil, err
	}
	for i, at := range local {
		outcomes[at] = written[i]
	}
	return outcomes, nil
}

// away says that an error of the next store means: not now, so the journal is the place to wait. A quota is no such error: the
// journal must not become the way around it.
func away(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || (errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrQuota))
}

func conditional(mutations []store.Mutation) bool {
	for i := range mutations {
		if mutations[i].IfRevision != 0 {
			return true
		}
	}
	return false
}

// settleConditional waits until the tickets of conditional mutations have nothing in the journal.
func (s *Store) settleConditional(ctx context.Context, mutations []store.Mutation) error {
	var ids []ticket.ID
	for i := range mutations {
		if mutations[i].IfRevision != 0 {
			ids = append(ids, mutations[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return s.settle(ctx, ids)
}

// sort says which of the mutations go to the next store and which into the journal.
func (s *Store) sort(mutations []store.Mutation) (direct, local []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range mutations {
		m := &mutations[i]
		l := s.lane(m.ID)
		_, repeated := s.recent.find(m.RequestID)
		switch {
		case m.IfRevision != 0:
			direct = append(direct, i)
		case m.Early, !s.opts.Up(l.partition), l.failing, repeated, s.waiting.tickets[m.ID] != nil:
			local = append(local, i)
		default:
			direct = append(direct, i)
		}
	}
	return direct, local
}

func pick(mutations []store.Mutation, at []int) []store.Mutation {
	if len(at) == len(mutations) {
		return mutations
	}
	picked := make([]store.Mutation, len(at))
	for i, n := range at {
		picked[i] = mutations[n]
	}
	return picked
}

// remember keeps what creates were given, so that one that is repeated while the next store is away gets the same ticket, and
// which tickets were deleted, so that a change that is not to wait for the next store is refused.
func (s *Store) remember(mutations []store.Mutation, at []int, outcomes []store.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range at {
		if m := &mutations[n]; m.Kind != store.Set && outcomes[i].Err == nil {
			s.recent.add(m, outcomes[i])
		}
	}
}

// unanswered notes that a write may still be under way to the partition of a ticket.
func (s *Store) unanswered(id ticket.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(id).fence = true
}

// write puts mutations into the journal and returns when they are as durable as it promises.
func (s *Store) write(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	s.mu.Lock()
	outcomes, end, err := s.append(mutations)
	s.noteRoom(err)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for i := range mutations {
		s.lane(mutations[i].ID).wakeUp()
	}
	if err := s.journal.Commit(ctx, end); err != nil {
		return nil, fmt.Errorf("journal: %w: %w", store.ErrUnavailable, err)
	}
	return outcomes, nil
}

// noteRoom says when the journal becomes full, and when it takes changes again. The caller holds the lock.
func (s *Store) noteRoom(err error) {
	full := errors.Is(err, store.ErrFull)
	switch {
	case full && !s.full:
		s.opts.Log.Error().Err(err).Msg("the journal is full: changes are answered overloaded; make room on its disk, or raise " +
			"journal.max_bytes or journal.max_entries")
	case !full && err == nil && s.full:
		s.opts.Log.Info().Msg("the journal has room again")
	}
	s.full = full
}

// append writes the records of those mutations that change something. The caller holds the lock.
func (s *Store) append(mutations []store.Mutation) ([]store.Outcome, wal.Position, error) {
	if s.count+len(mutations) > s.opts.MaxEntries {
		return nil, wal.Position{}, fmt.Errorf("journal: %w: %d changes wait", store.ErrFull, s.count)
	}
	outcomes := make([]store.Outcome, len(mutations))
	var end wal.Position
	for i := range mutations {
		m := &mutations[i]
		if outcome, decided := s.decided(m); decided {
			outcomes[i], end = outcome, s.journal.End() // what it repeats may not be durable yet
			continue
		}
		e := entry{sequence: s.last + 1, revision: max(m.Proposed, s.highest+1), mutation: *m}
		record := e.encode()
		at, err := s.journal.Append(record)
		if err != nil {
			kind := store.ErrUnavailable // the first of several may wait by now
			if i == 0 && errors.Is(err, wal.ErrFull) {
				kind = store.ErrFull
			}
			return nil, wal.Position{}, fmt.Errorf("journal: %w: %w", kind, err)
		}
		end = at
		s.enqueue(&e, at, record)
		outcomes[i] = store.Outcome{ID: m.ID, Revision: e.revision}
	}
	return outcomes, end, nil
}

// decided returns the outcome of a mutation that changes nothing: a repetition, or one of a ticket that was deleted.
func (s *Store) decided(m *store.Mutation) (store.Outcome, bool) {
	if first, repeated := s.recent.find(m.RequestID); repeated {
		return first, true
	}
	deleted, gone := s.recent.deleted.values[m.ID]
	if w := s.waiting.tickets[m.ID]; w != nil && w.gone != 0 {
		deleted, gone = max(deleted, w.gone), true
	}
	outcome := store.Outcome{ID: m.ID, Revision: deleted}
	if m.Kind != store.Delete {
		outcome.Err = store.ErrDeleted
	}
	return outcome, gone
}
