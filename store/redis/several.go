package redis

import (
	"context"
	"errors"

	"github.com/ticketd/ticketd/store"
)

// applySeveral is Apply where there are several partitions. Each of them takes its mutations or fails alone, so every error is in
// the outcomes.
func (s *Store) applySeveral(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes := make([]store.Outcome, len(mutations))
	mutations, refused := s.reserve(ctx, mutations)
	groups := make(map[int][]int, 1)
	for i := range mutations {
		if outcomes[i] = (store.Outcome{ID: mutations[i].ID, Err: refused[i]}); refused[i] == nil {
			p := s.keys.partition(mutations[i].ID)
			groups[p] = append(groups[p], i)
		}
	}
	_ = s.each(groups, func(p int, indexes []int) error { // every error is in its outcomes
		part := make([]store.Mutation, len(indexes))
		for i, at := range indexes {
			part[i] = mutations[at]
		}
		done, err := s.combine[p].do(ctx, part)
		for i, at := range indexes {
			if err != nil {
				outcomes[at].Err = err
			} else {
				outcomes[at] = done[i]
			}
		}
		return err
	})
	s.release(ctx, mutations, outcomes)
	s.keepReservations(mutations, outcomes)
	return outcomes, nil
}

// unsettled says that an error is not an answer about the mutation, but about the way to it.
func unsettled(err error) bool {
	var conflict *store.ConflictError
	if err == nil || errors.As(err, &conflict) {
		return false
	}
	for _, answer := range []error{
		store.ErrDeleted, store.ErrTaken, store.ErrUnsure, store.ErrAbsent, store.ErrReused, store.ErrForeign, store.ErrQuota,
	} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}
