package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// maxReadSettling bounds how long a read waits for the next store to take what waits: with the time-out of the read itself it
// must leave the client some of its second.
const maxReadSettling = 250 * time.Millisecond

// Get implements [store.Tickets]. Only the next store knows which fields a revision stands for: below the revision that the
// journal gave to a waiting change it may still make changes from elsewhere, and the waiting change keeps its revision. So a read
// first waits until the next store has the changes that were accepted before the read; later ones come after the read. Where the
// next store does not take them in time, the read puts them over the next store's answer, and marks the records Behind.
func (s *Store) Get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	accepted := s.accepted(ids)
	s.settleRead(ctx, ids, accepted)
	for {
		before, burials := s.arrivals(ids, accepted), s.burials()
		records, err := s.ask(ctx, ids)
		if err != nil {
			return nil, err
		}
		if s.cover(records, before, burials) {
			return records, nil
		}
	}
}

// acceptance is one ticket's changes in the journal, and how many were ever accepted there since the first of them.
type acceptance struct {
	ticket *waiting
	count  int
}

// accepted remembers what waits of the tickets when a read begins; nil where nothing does.
func (s *Store) accepted(ids []ticket.ID) (all []acceptance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, id := range ids {
		if w := s.waiting.tickets[id]; w != nil {
			if all == nil {
				all = make([]acceptance, len(ids))
			}
			all[i] = acceptance{w, w.arrived + w.entries}
		}
	}
	return all
}

// settleRead waits until the next store has what was accepted of the tickets, as far as it can be expected to take it soon.
func (s *Store) settleRead(ctx context.Context, ids []ticket.ID, accepted []acceptance) {
	var soon []ticket.ID
	s.mu.Lock()
	for i := range accepted {
		if w := accepted[i].ticket; w != nil && s.soon(s.lane(ids[i]), w) {
			soon = append(soon, ids[i])
		}
	}
	s.mu.Unlock()
	if len(soon) > 0 {
		_ = s.settleSoon(ctx, soon, maxReadSettling) // what has not arrived is put over the answer
	}
}

// ask reads what the next store holds. What a partition holds that does not answer is unknown, and the others' is not.
func (s *Store) ask(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	records, err := s.next.Get(ctx, ids)
	if !errors.Is(err, store.ErrUnavailable) {
		return records, err
	}
	records = make([]store.Record, len(ids))
	of := make(map[*lane][]int, 1)
	for i, id := range ids {
		records[i] = store.Record{ID: id, Behind: true}
		l := s.lane(id)
		of[l] = append(of[l], i)
	}
	for l, indexes := range of {
		if len(of) == 1 || !s.opts.Up(l.partition) {
			continue
		}
		some := make([]ticket.ID, len(indexes))
		for i, at := range indexes {
			some[i] = ids[at]
		}
		found, err := s.next.Get(ctx, some)
		switch {
		case err == nil:
			for i, at := range indexes {
				records[at] = found[i]
			}
		case !errors.Is(err, store.ErrUnavailable):
			return nil, err
		}
	}
	return records, nil
}

// arrival is one ticket's changes in the journal, and how many of them had arrived in the next store.
type arrival struct {
	ticket  *waiting
	arrived int
}

// arrivals remembers which tickets still have changes in the journal that were accepted before the read, and how many of each had
// arrived; nil where all have.
func (s *Store) arrivals(ids []ticket.ID, accepted []acceptance) (before []arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range accepted {
		w := s.waiting.tickets[ids[i]]
		// What is stuck was put behind the others, which made the ticket's waiting anew.
		if w == nil || w.stuck == nil && (w != accepted[i].ticket || w.arrived >= accepted[i].count) {
			continue
		}
		if before == nil {
			before = make([]arrival, len(ids))
		}
		before[i] = arrival{w, w.arrived}
	}
	return before
}

// cover puts what waits over the records of the tickets in before. False where some of it arrived in the next store while that
// was asked: it may be in neither, or be newer there than here.
// A ticket that lives there has no tombstone here: its deletion was given up, maybe by another host. burials is of before.
func (s *Store) cover(records []store.Record, before []arrival, burials uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range before {
		if b.ticket != nil && b.ticket.arrived != b.arrived {
			return false
		}
	}
	for i := range records {
		switch r := &records[i]; {
		case r.Deleted:
			s.recent.saw(r.ID, r.Revision)
		case r.Held() && r.Err == nil && s.waiting.tickets[r.ID] == nil: // else its deletion may be on the way
			s.recent.revived(r.ID, burials)
		}
		if before != nil && before[i].ticket != nil {
			before[i].ticket.over(&records[i])
		}
	}
	return true
}

// Fill implements [store.Tickets]: only the next store keeps clean copies.
func (s *Store) Fill(ctx context.Context, rows []store.Record, bases []ticket.Revision) error {
	err := s.next.Fill(ctx, rows, bases)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		switch {
		case rows[i].Deleted: // also while the next store is away, which is when it is needed here
			s.recent.bury(rows[i].ID)
		case err == nil && bases[i] == 0: // somebody has revived the row
			s.recent.forget(rows[i].ID)
		}
	}
	return err
}

// Bury implements [store.Tickets].
func (s *Store) Bury(ctx context.Context, ids []ticket.ID) error {
	s.mu.Lock()
	for _, id := range ids {
		s.recent.bury(id)
	}
	s.mu.Unlock()
	return s.next.Bury(ctx, ids)
}

// Claim implements [store.Queue]: what waits in the journal is not the flusher's yet.
func (s *Store) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	return s.next.Claim(ctx, now, limit, lease)
}

// ClaimIDs implements [store.Queue]. Changes of these tickets that were accepted before the call are claimed too.
func (s *Store) ClaimIDs(
	ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration,
) ([]store.Claim, error) {
	err := s.settle(ctx, ids)
	if _, stuck := errors.AsType[*store.StuckError](err); err != nil && !stuck { // stuck changes do not hold up what Redis has
		return nil, err
	}
	return s.next.ClaimIDs(ctx, now, ids, lease)
}

// Ack implements [store.Queue].
func (s *Store) Ack(ctx context.Context, receipts []store.Receipt) error {
	s.mu.Lock()
	for _, r := range receipts { // so that what is accepted here from now on is above what MySQL has
		s.highest = max(s.highest, r.Revision)
	}
	s.mu.Unlock()
	return s.next.Ack(ctx, receipts)
}

// Release implements [store.Queue].
func (s *Store) Release(ctx context.Context, claims []store.Claim) error {
	return s.next.Release(ctx, claims)
}

// Park implements [store.Queue].
func (s *Store) Park(ctx context.Context, letters []ticket.Letter) error {
	return s.next.Park(ctx, letters)
}

// DirtyIDs implements [store.Queue]. What was accepted before the call is in the next store first.
func (s *Store) DirtyIDs(ctx context.Context) ([]ticket.ID, error) {
	if err := s.settle(ctx, nil); err != nil {
		return nil, err
	}
	return s.next.DirtyIDs(ctx)
}

// Backlog implements [store.Queue]. It answers while the next store is away, with what waits here. A ticket that waits in both is
// counted twice.
func (s *Store) Backlog(ctx context.Context) (store.Backlog, error) {
	backlog, err := s.next.Backlog(ctx)
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		return backlog, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	backlog.Dirty += int64(len(s.waiting.tickets))
	if oldest := s.oldestAt(); !oldest.IsZero() && (backlog.Oldest.IsZero() || oldest.Before(backlog.Oldest)) {
		backlog.Oldest = oldest
	}
	return backlog, nil
}

// Letters implements [store.DeadLetters].
func (s *Store) Letters(ctx context.Context, after ticket.ID, limit int) ([]ticket.Letter, error) {
	return s.next.Letters(ctx, after, limit)
}

// Retry implements [store.DeadLetters].
func (s *Store) Retry(ctx context.Context, now time.Time, ids []ticket.ID) (int, error) {
	return s.next.Retry(ctx, now, ids)
}

// Drop implements [store.DeadLetters]. A deletion that is given up leaves no tombstone here either.
func (s *Store) Drop(ctx context.Context, ids []ticket.ID) (int, error) {
	refused, err := s.waitingDeletions(ctx, ids)
	if err != nil {
		return 0, err
	}
	n, err := s.next.Drop(ctx, ids)
	if err != nil || len(refused) == 0 {
		return n, err
	}
	seen := s.burials()
	records, err := s.next.Get(ctx, refused)
	if err != nil {
		return n, nil // they are dropped; the next read of the tickets forgets the tombstones
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range records {
		if r := &records[i]; !r.Deleted && r.Err == nil && s.waiting.tickets[r.ID] == nil {
			s.recent.revived(r.ID, seen)
		}
	}
	return n, nil
}

// waitingDeletions returns those of the tickets whose deletion waits in the next store and is known here.
func (s *Store) waitingDeletions(ctx context.Context, ids []ticket.ID) ([]ticket.ID, error) {
	s.mu.Lock()
	known := slices.DeleteFunc(slices.Clone(ids), func(id ticket.ID) bool { return !s.recent.graves.Has(id) })
	s.mu.Unlock()
	if len(known) == 0 {
		return nil, nil
	}
	records, err := s.next.Get(ctx, known)
	if err != nil {
		return nil, err
	}
	var waiting []ticket.ID
	for i := range records {
		if records[i].Deleted && records[i].Dirty {
			waiting = append(waiting, records[i].ID)
		}
	}
	return waiting, nil
}

// burials is what [recent.revived] compares: it is asked before the next store is.
func (s *Store) burials() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent.burials
}
