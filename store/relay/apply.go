package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	s.settleRepeatable(ctx, mutations)
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

const (
	// maxSettles is how often a request waits for what others change of its ticket meanwhile.
	maxSettles = 3
	// maxAhead is how many changes a request waits for: a long journal, of an outage, takes too long.
	maxAhead = 8 * maxReplay
	// maxSettling bounds that wait; a half of the request's own time does, too.
	maxSettling = 500 * time.Millisecond
)

// settleRepeatable waits until the tickets of mutations that may repeat a request have nothing in the journal any more, where the
// request is not known here: the next store may know it, and can only say so where the mutation does not queue in the journal. A
// mutation for which that takes too long goes into the journal.
func (s *Store) settleRepeatable(ctx context.Context, mutations []store.Mutation) {
	for range maxSettles {
		ids := s.repeatable(mutations)
		if len(ids) == 0 || s.settleSoon(ctx, ids, maxSettling) != nil {
			return
		}
	}
}

// settleSoon is settle within a limit, and within the half of the request's own time.
func (s *Store) settleSoon(ctx context.Context, ids []ticket.ID, limit time.Duration) error {
	if deadline, bounded := ctx.Deadline(); bounded {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.settle(ctx, ids)
}

// repeatable returns the tickets of mutations that would queue in the journal though the next store answers, and whose request
// ids only that may know.
func (s *Store) repeatable(mutations []store.Mutation) (ids []ticket.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range mutations {
		m := &mutations[i]
		w := s.waiting.tickets[m.ID]
		if m.RequestID == "" || m.Early || m.IfRevision != 0 || w == nil {
			continue
		}
		if _, known := s.recent.find(m); !known && s.soon(s.lane(m.ID), w) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// soon says that the next store can be expected to take what waits of a ticket within the time of a request. The caller holds the
// lock.
func (s *Store) soon(l *lane, w *waiting) bool {
	return w.stuck == nil && s.opts.Up(l.partition) && !l.failing && w.last-l.queue[0].sequence < maxAhead
}

// sort says which of the mutations go to the next store and which into the journal. A create goes to the next store whenever that
// answers: only it knows whether the id is free.
func (s *Store) sort(mutations []store.Mutation) (direct, local []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range mutations {
		m := &mutations[i]
		l := s.lane(m.ID)
		_, repeated := s.recent.find(m)
		switch {
		case m.IfRevision != 0, m.MustExist && !repeated && s.asks(l, m):
			direct = append(direct, i)
		case m.Early && !m.Kind.Creates(), !s.opts.Up(l.partition), l.failing, repeated, s.waiting.tickets[m.ID] != nil:
			local = append(local, i)
		default:
			direct = append(direct, i)
		}
	}
	return direct, local
}

// asks says that whether the ticket exists is for the next store to say, and that it can. The caller holds the lock.
func (s *Store) asks(l *lane, m *store.Mutation) bool {
	return s.waiting.tickets[m.ID] == nil && s.opts.Up(l.partition) && !l.failing
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

// remember keeps what requests came to, so that one that is repeated while the next store cannot be asked has the same outcome,
// and which tickets were deleted, so that a change that is not to wait for the next store is refused.
func (s *Store) remember(mutations []store.Mutation, at []int, outcomes []store.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range at {
		m := &mutations[n]
		switch {
		case outcomes[i].Err == nil:
			s.recent.add(m, outcomes[i])
		case errors.Is(outcomes[i].Err, store.ErrDeleted):
			s.recent.graves.Add(m.ID)
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
	full := store.FullReason(err)
	switch {
	case full != "" && s.full == "":
		s.opts.Log.Error().Err(err).Msg("the journal is full: changes are answered overloaded")
	case err == nil && s.full != "":
		s.opts.Log.Info().Msg("the journal has room again")
	}
	s.full = full
}

// append writes the records of those mutations that change something. The caller holds the lock.
func (s *Store) append(mutations []store.Mutation) ([]store.Outcome, wal.Position, error) {
	if s.count+len(mutations) > s.opts.MaxEntries {
		return nil, wal.Position{}, fmt.Errorf("journal: %w", &store.FullError{
			Bound:  "journal.max_entries",
			Reason: fmt.Sprintf("%d changes wait for Redis; see that Redis takes them, or raise it", s.count),
		})
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
			if i == 0 && errors.Is(err, wal.ErrFull) {
				return nil, wal.Position{}, fmt.Errorf("journal: %w", err)
			}
			// The first of several may wait by now, so that this must not say that there was no room for any.
			return nil, wal.Position{}, fmt.Errorf("journal: %w: %v", store.ErrUnavailable, err) //nolint:errorlint // see above
		}
		end = at
		s.enqueue(&e, at, record)
		outcomes[i] = store.Outcome{ID: m.ID, Revision: e.revision}
	}
	return outcomes, end, nil
}

// decided returns the outcome of a mutation that changes nothing: a repetition, or one that is refused for what is known here.
// What the next store knows besides shows when the mutation is replayed.
func (s *Store) decided(m *store.Mutation) (store.Outcome, bool) {
	if first, repeated := s.recent.find(m); repeated {
		return first, true
	}
	outcome := store.Outcome{ID: m.ID}
	w := s.waiting.tickets[m.ID]
	if w != nil {
		outcome.Revision = w.revision
	}
	gone := w != nil && w.gone != 0
	switch {
	case m.Kind == store.Delete:
		deleted, known := s.recent.deleted.values[m.ID]
		outcome.Revision = max(outcome.Revision, deleted)
		return outcome, (gone || known) && m.RequestID == "" // a request id is remembered by its entry
	case m.Kind.Creates():
		outcome.Err = refusedCreate(m, w, s.recent.graves.Has(m.ID))
	case gone || s.recent.graves.Has(m.ID):
		outcome.Err = store.ErrDeleted
	case m.MustExist && w == nil:
		outcome.Err = store.ErrAbsent
	}
	return outcome, outcome.Err != nil
}

// refusedCreate says why a create cannot be made beside what waits of its id: one that is late may meet what was made by somebody
// who was told the id.
func refusedCreate(m *store.Mutation, w *waiting, deleted bool) error {
	since := m.Accepted // dated by this host's clock, as what waits here
	switch own := w != nil && since != 0 && w.born >= since; {
	case own && w.gone != 0:
		return store.ErrDeleted
	case !own && (w != nil || deleted):
		return store.ErrTaken
	}
	return nil
}
