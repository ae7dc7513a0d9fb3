package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// maxReadSettling bounds how long a read waits for the next store to take pending changes: this wait and the timeout of the read
// itself must end well within the client's one second.
const maxReadSettling = 250 * time.Millisecond

// Get implements [store.Tickets]. Only the next store knows the fields at a revision: a pending change keeps the revision that
// the journal gave, and below that revision the next store may still make changes from other hosts. So a read first waits until
// the next store has the changes that were accepted before the read; later changes come after the read. If the next store does
// not take these changes in time, the read puts the ticket's pending changes over the next store's answer and marks the record
// Behind, except with a pending create or deletion.
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

// acceptance is a ticket's changes in the journal, and how many changes the journal has accepted since the first of these.
type acceptance struct {
	ticket *waiting
	count  int
}

// accepted remembers the tickets' pending changes when a read begins; nil without pending changes.
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

// settleRead waits until the next store has the tickets' accepted changes, if the next store will probably take these changes
// soon.
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
		_ = s.settleSoon(ctx, soon, maxReadSettling) // changes that have not arrived are put over the answer
	}
}

// ask reads from the next store. If a partition does not answer, only the records of its tickets are unknown.
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

// arrival is a ticket's changes in the journal, and how many of these changes had arrived in the next store.
type arrival struct {
	ticket  *waiting
	arrived int
}

// arrivals remembers which tickets still have changes in the journal that were accepted before the read, and how many of each
// ticket's changes had arrived; nil if all have.
func (s *Store) arrivals(ids []ticket.ID, accepted []acceptance) (before []arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range accepted {
		w := s.waiting.tickets[ids[i]]
		// Stuck changes went to the end of the queue, which replaced the ticket's waiting.
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

// cover puts the pending changes over the records of the tickets in before. cover returns false if some of these changes arrived
// while the next store was asked: such a change may be missing in the records, or the records may be newer than the change. A
// ticket that is alive in the next store loses its tombstone here: the deletion was given up, maybe by another host. burials is
// the count from before the next store was asked.
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
		case r.Held() && r.Err == nil && s.waiting.tickets[r.ID] == nil: // else a deletion may be on the way
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
		case rows[i].Deleted: // also while the next store is unreachable, when the outbox needs the tombstone
			s.recent.bury(rows[i].ID)
		case err == nil && bases[i] == 0: // another program has revived the row
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

// Claim implements [store.Queue]. Changes in the journal are not claimed before they are in the next store.
func (s *Store) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	return s.next.Claim(ctx, now, limit, lease)
}

// NextDue implements [store.Queue].
func (s *Store) NextDue(ctx context.Context) (time.Time, error) { return s.next.NextDue(ctx) }

// ClaimIDs implements [store.Queue]. ClaimIDs also claims changes of these tickets that the journal accepted before the call.
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
	for _, r := range receipts { // later changes get revisions above MySQL's
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

// DirtyIDs implements [store.Queue]. DirtyIDs waits until the next store has the changes that were accepted before the call.
func (s *Store) DirtyIDs(ctx context.Context) ([]ticket.ID, error) {
	if err := s.settle(ctx, nil); err != nil {
		return nil, err
	}
	return s.next.DirtyIDs(ctx)
}

// Backlog implements [store.Queue]. While the next store is unreachable Backlog counts the journal alone. A ticket with pending
// changes in the journal and in the next store is counted twice.
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

// Drop implements [store.DeadLetters]. A dropped deletion leaves no tombstone in the outbox either.
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
		return n, nil // the letters are dropped; the next read of the tickets forgets the tombstones
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

// waitingDeletions returns the tickets with a deletion that is pending in the next store and known in the outbox.
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

// burials is the count that [recent.revived] compares, read before the next store is asked.
func (s *Store) burials() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent.burials
}
