package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// Apply implements [store.Tickets]. Only the next store can decide a conditional mutation: the mutation waits until the journal
// has no changes of its ticket, and fails, alone, if the next store is unreachable.
func (s *Store) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes := make([]store.Outcome, len(mutations))
	s.settleConditional(ctx, mutations, outcomes)
	s.settleRepeatable(ctx, mutations)
	direct, local := s.sort(mutations, outcomes)
	local = append(local, s.send(ctx, mutations, direct, outcomes)...)
	if len(local) > 0 {
		slices.Sort(local) // back in the order of the mutations
		s.write(ctx, mutations, local, outcomes)
	}
	return outcomes, nil
}

// send makes some of the mutations in the next store. send returns the mutations that the next store has not taken, for the
// journal; the outcomes say why.
func (s *Store) send(ctx context.Context, mutations []store.Mutation, at []int, outcomes []store.Outcome) (local []int) {
	if len(at) == 0 {
		return nil
	}
	done, err := s.next.Apply(ctx, pick(mutations, at))
	for i, n := range at {
		m := &mutations[n]
		if outcomes[n] = (store.Outcome{ID: m.ID, Err: err}); err == nil {
			outcomes[n] = done[i]
		}
		if away(outcomes[n].Err) && m.IfRevision == 0 {
			s.unanswered(m.ID)
			local = append(local, n)
		}
	}
	s.remember(mutations, at, outcomes)
	return local
}

// away says that an error of the next store means: not now, so the change goes into the journal. A quota is no such error: the
// journal must not become a way around the quota.
func away(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || (errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrQuota))
}

// settleConditional waits until the journal has no changes of the tickets of conditional mutations. A failed wait becomes the
// outcome of these mutations.
func (s *Store) settleConditional(ctx context.Context, mutations []store.Mutation, outcomes []store.Outcome) {
	for i := range mutations {
		m := &mutations[i]
		if m.IfRevision == 0 {
			continue
		}
		if err := s.settle(ctx, []ticket.ID{m.ID}); err != nil {
			outcomes[i] = store.Outcome{ID: m.ID, Err: err}
		}
	}
}

const (
	// maxSettles is how often a request waits again because other requests change its ticket meanwhile.
	maxSettles = 3
	// maxAhead is how many changes a request waits for at most: a long journal, after an outage, takes too long.
	maxAhead = 8 * maxReplay
	// maxSettling bounds that wait, and so does half of the request's own time.
	maxSettling = 500 * time.Millisecond
)

// settleRepeatable concerns mutations with a request id that is unknown here: the next store may know the request, and is asked
// only if the mutation does not queue in the journal. settleRepeatable waits until the journal has no changes of these mutations'
// tickets. A mutation for which the wait takes too long goes into the journal.
func (s *Store) settleRepeatable(ctx context.Context, mutations []store.Mutation) {
	for range maxSettles {
		ids := s.repeatable(mutations)
		if len(ids) == 0 || s.settleSoon(ctx, ids, maxSettling) != nil {
			return
		}
	}
}

// settleSoon is settle within a limit, and within half of the request's own time.
func (s *Store) settleSoon(ctx context.Context, ids []ticket.ID, limit time.Duration) error {
	if deadline, bounded := ctx.Deadline(); bounded {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.settle(ctx, ids)
}

// repeatable returns the tickets of mutations that would queue in the journal although the next store answers, and whose request
// ids only the next store may know.
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

// soon says that the next store will probably take a ticket's pending changes within the time of a request. Changes that a read
// has seen may all have arrived since: then the queue may be empty. The caller holds the lock.
func (s *Store) soon(l *lane, w *waiting) bool {
	return w.stuck == nil && s.opts.Up(l.partition) && !l.failing && len(l.queue) > 0 && w.last-l.queue[0].sequence < maxAhead
}

// sort says which of the mutations without an outcome go to the next store and which into the journal. A create goes to the next
// store whenever the next store answers: only the next store knows whether the id is free.
func (s *Store) sort(mutations []store.Mutation, outcomes []store.Outcome) (direct, local []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range mutations {
		m := &mutations[i]
		l := s.lane(m.ID)
		_, repeated := s.recent.find(m)
		switch {
		case outcomes[i].Err != nil:
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

// asks says that the next store must and can say whether the ticket exists. The caller holds the lock.
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

// remember keeps the outcomes of requests, so that a request repeated while the next store is unreachable has the same outcome,
// and the deleted tickets, so that a change for the journal is refused.
func (s *Store) remember(mutations []store.Mutation, at []int, outcomes []store.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range at {
		m := &mutations[n]
		switch {
		case outcomes[n].Err == nil:
			s.recent.add(m, outcomes[n])
		case errors.Is(outcomes[n].Err, store.ErrDeleted):
			s.recent.bury(m.ID)
		}
	}
}

// unanswered records that a write may still be on the way to the partition of a ticket.
func (s *Store) unanswered(id ticket.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(id).fence = true
}

// write puts some of the mutations into the journal and returns when the records are as durable as the journal promises.
func (s *Store) write(ctx context.Context, mutations []store.Mutation, at []int, outcomes []store.Outcome) {
	s.mu.Lock()
	end, err := s.append(mutations, at, outcomes)
	s.noteRoom(err)
	s.mu.Unlock()
	for _, n := range at {
		s.lane(mutations[n].ID).wakeUp()
	}
	if err = s.journal.Commit(ctx, end); err == nil {
		return
	}
	for _, n := range at {
		if outcomes[n].Err == nil {
			outcomes[n] = store.Outcome{ID: mutations[n].ID, Err: fmt.Errorf("journal: %w: %w", store.ErrUnavailable, err)}
		}
	}
}

// noteRoom logs when the journal becomes full, and when the journal accepts changes again. The caller holds the lock.
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

// append writes a record for each mutation that makes a change. end is the position up to which the outcomes need the journal on
// disk; refused is why the last refused mutation found no room. The caller holds the lock.
func (s *Store) append(mutations []store.Mutation, at []int, outcomes []store.Outcome) (end wal.Position, refused error) {
	for _, n := range at {
		m := &mutations[n]
		if outcome, decided := s.decided(m); decided {
			outcomes[n], end = outcome, s.journal.End() // the repeated mutation may not be durable yet
			continue
		}
		if l := s.lane(m.ID); l.failing || !s.opts.Up(l.partition) || errors.Is(outcomes[n].Err, store.ErrUnavailable) {
			l.away = changedAt(m)
		}
		e := entry{sequence: s.last + 1, revision: max(m.Proposed, s.highest+1), mutation: *m}
		e.mutation.Given(e.revision)
		written, err := s.appendEntry(&e)
		if err != nil {
			refused = err
			if unsure := outcomes[n].Err; errors.Is(unsure, store.ErrUnavailable) { // the next store may have made the change
				err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
			}
			outcomes[n] = store.Outcome{ID: m.ID, Err: err}
			continue
		}
		end = written
		outcomes[n] = store.Outcome{ID: m.ID, Revision: e.revision}
	}
	return end, refused
}

// appendEntry writes the record of a mutation, or returns an error that says why the journal has no room. The caller holds the
// lock.
func (s *Store) appendEntry(e *entry) (wal.Position, error) {
	if s.count >= s.opts.MaxEntries {
		return wal.Position{}, fmt.Errorf("journal: %w", &store.FullError{
			Bound:  "journal.max_entries",
			Reason: fmt.Sprintf("%d changes are pending for Redis; make Redis accept changes, or raise the bound", s.count),
		})
	}
	record := e.encode()
	at, err := s.journal.Append(record)
	switch {
	case errors.Is(err, wal.ErrFull):
		return at, fmt.Errorf("journal: %w", err)
	case err != nil:
		return at, fmt.Errorf("journal: %w: %w", store.ErrUnavailable, err)
	}
	s.enqueue(e, at, record)
	return at, nil
}

// decided returns the outcome of a mutation without a change: a repetition, or a mutation that the outbox can refuse by itself.
// The next store may still refuse other mutations at the replay.
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
	case w != nil && m.Predates(m.Late(false), w.made, m.At != 0):
		outcome.Err = store.ErrPredates
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

// refusedCreate says why a create cannot be made beside the pending changes of its id. A late create may meet the changes of a
// client that received the id. MySQL is asked about the id when the create is replayed.
func refusedCreate(m *store.Mutation, w *waiting, deleted bool) error {
	since := m.Accepted // dated by this host's clock, like the pending changes
	switch own := w != nil && since != 0 && w.born >= since; {
	case own && w.gone != 0:
		return store.ErrDeleted
	case own:
		return nil
	case w != nil:
		return store.ErrTaken
	case !deleted:
		return m.Free(false)
	}
	if err := m.Joins(since, 0); err != nil {
		return err
	}
	return store.ErrDeleted // by a client that received the id
}
