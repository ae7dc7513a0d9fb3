package site

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// applyAll makes those of the sets that do not make their tickets too large.
func (s *Site) applyAll(ctx context.Context, now time.Time, mutations []store.Mutation) ([]store.Outcome, error) {
	d, err := s.known()
	if err != nil {
		return nil, err
	}
	refused := s.outgrown(ctx, d, mutations)
	if refused == nil {
		return s.applyFitting(ctx, now, mutations)
	}
	outcomes := make([]store.Outcome, len(mutations))
	var fitting []store.Mutation
	var at []int
	for i := range mutations {
		if outcomes[i] = (store.Outcome{ID: mutations[i].ID, Err: refused[i]}); refused[i] == nil {
			fitting, at = append(fitting, mutations[i]), append(at, i)
		}
	}
	if len(fitting) == 0 {
		return outcomes, nil
	}
	made, err := s.applyFitting(ctx, now, fitting)
	if err != nil {
		return nil, err
	}
	for n, i := range at {
		outcomes[i] = made[n]
	}
	return outcomes, nil
}

// applyFitting makes sets, and tells the flusher when they are due. Where the store refuses one only because it does not hold the
// ticket, the ticket is looked up, which fills the store, and the set is tried once more. What the store holds costs no look-up.
func (s *Site) applyFitting(ctx context.Context, now time.Time, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes, err := s.applyOnce(ctx, now, mutations)
	if err != nil {
		return nil, err
	}
	var unknown []int
	for i := range outcomes {
		if restsOnAbsence(&outcomes[i]) {
			unknown = append(unknown, i)
		}
	}
	for part := range slices.Chunk(unknown, atOnce) {
		s.lookAndApply(ctx, now, mutations, outcomes, part)
	}
	return outcomes, nil
}

func (s *Site) applyOnce(ctx context.Context, now time.Time, mutations []store.Mutation) ([]store.Outcome, error) {
	for i := range mutations {
		s.use(mutations[i].ID)
		s.stamp(now, &mutations[i])
	}
	outcomes, err := s.Store.Apply(ctx, mutations)
	for i := range mutations {
		s.missing.written(mutations[i].ID)
		if err == nil && outcomes[i].Err == nil {
			s.Flusher.Wake(mutations[i].Due)
		}
	}
	return outcomes, err
}

// restsOnAbsence says that a refusal may be another where the store holds the ticket: it could not compare the revision, does not
// know whether the ticket exists, or goes by a tombstone, whose row somebody may have revived in SQL.
func restsOnAbsence(o *store.Outcome) bool {
	var conflict *store.ConflictError
	switch {
	case errors.As(o.Err, &conflict):
		return conflict.Have == 0
	case errors.Is(o.Err, store.ErrDeleted):
		return o.Revision == 0
	default:
		return errors.Is(o.Err, store.ErrAbsent)
	}
}

// lookAndApply looks the tickets up of those of the mutations, and makes those once more that may be made by what was found.
func (s *Site) lookAndApply(
	ctx context.Context, now time.Time, mutations []store.Mutation, outcomes []store.Outcome, at []int,
) {
	var again []int
	var second []store.Mutation
	var records []store.Record
	d, err := s.known()
	if err == nil {
		records, err = s.wholeInHalf(ctx, d, idsAt(mutations, at))
	}
	for n, i := range at {
		record := store.Record{Behind: true}
		if len(records) == len(at) {
			record = records[n] // beside an error of MySQL's: as the store has it
		}
		if outcomes[i].Err = judge(outcomes[i].Err, &record, err); outcomes[i].Err == nil {
			m := mutations[i]
			m.MustExist = false // it does
			again, second = append(again, i), append(second, m)
		}
	}
	if len(again) == 0 {
		return
	}
	made, err := s.applyOnce(ctx, now, second)
	for n, i := range again {
		if outcomes[i] = (store.Outcome{ID: mutations[i].ID, Err: err}); err == nil {
			outcomes[i] = made[n]
		}
	}
}

// wholeInHalf is whole in half of the time that is left: a MySQL that hangs must not make an answer that comes too late.
func (s *Site) wholeInHalf(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	ctx, cancel := half(ctx)
	defer cancel()
	return s.whole(ctx, d, ids)
}

// judge returns why a mutation stays refused by what a look has shown of its ticket; nil where it is to be tried once more.
// unseen is why MySQL was not looked at.
func judge(refusal error, r *store.Record, unseen error) error {
	exists := unseen == nil && r.Err == nil && r.Held() && !r.Deleted
	switch {
	case errors.Is(refusal, store.ErrDeleted):
		return judgeDeleted(refusal, r, exists, unseen)
	case exists:
		return nil
	case unseen != nil && looksFailed(unseen):
		return &undecidedError{unseen, false}
	case unseen != nil:
		return unseen
	case r.Err != nil:
		return r.Err
	case r.Behind && !r.Held():
		return &undecidedError{errBehind, false}
	default:
		return errNoTicket
	}
}

// judgeDeleted is judge for a refusal by a tombstone. The store's own tombstone is believed while MySQL does not answer, but
// nothing that was acknowledged is given up for it. One that only this host remembers, as the store does not answer, is believed
// where MySQL has the ticket as deleted: a row that seems to live may be one whose deletion waits in the store, or was given up
// there.
func judgeDeleted(refusal error, r *store.Record, exists bool, unseen error) error {
	switch {
	case unseen != nil && !looksFailed(unseen):
		return unseen
	case unseen != nil && !r.Behind:
		return &undecidedError{refusal, true}
	case unseen != nil:
		return &undecidedError{errMaybeDeleted, true}
	case r.Err != nil:
		return r.Err
	case r.Held() && r.Deleted:
		return refusal
	case r.Behind:
		return &undecidedError{errMaybeDeleted, true}
	case exists:
		return nil
	default:
		return refusal
	}
}

// looksFailed says of an error that the store has answered, and MySQL, or its table, is away.
func looksFailed(err error) bool {
	return errors.Is(err, flush.ErrSinkDown) || errors.Is(err, flush.ErrSinkPaused)
}

func idsAt(mutations []store.Mutation, at []int) []ticket.ID {
	ids := make([]ticket.ID, len(at))
	for n, i := range at {
		ids[n] = mutations[i].ID
	}
	return ids
}
