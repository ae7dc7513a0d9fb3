package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// applySeveral is Apply where there are several partitions. Each of them takes its mutations or fails alone; an error stands for
// all of them only where none took any.
func (s *Store) applySeveral(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes := make([]store.Outcome, len(mutations))
	mutations, reserved := s.reserve(ctx, mutations)
	groups := make(map[int][]int, 1)
	for i := range mutations {
		if outcomes[i] = (store.Outcome{ID: mutations[i].ID, Err: reserved[i]}); reserved[i] == nil {
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
	for i := range outcomes {
		if outcomes[i].Revision != 0 || !unsettled(outcomes[i].Err) {
			return outcomes, nil
		}
	}
	if len(outcomes) == 0 {
		return outcomes, nil
	}
	return nil, outcomes[0].Err
}

// unsettled says that an error is not an answer about the mutation, but about the way to it.
func unsettled(err error) bool {
	var conflict *store.ConflictError
	return err != nil && !errors.As(err, &conflict) && !errors.Is(err, store.ErrDeleted) && !errors.Is(err, store.ErrForeign)
}

// reserve settles under which id a repeatable create is made. Who repeats one proposes a new id, which is likely to be in another
// partition than the first, where no script of its own could find the first. So a request id is first tied to a ticket's id, in a
// partition that only the request id decides; then the ticket is made there, which is repeated without harm. A daemon that dies
// in between leaves a ticket id that the repetition uses. It returns the mutations with those ids, and an error where that
// failed.
func (s *Store) reserve(ctx context.Context, mutations []store.Mutation) ([]store.Mutation, []error) {
	errs := make([]error, len(mutations))
	creates := repeatableCreates(mutations)
	if len(creates) == 0 {
		return mutations, errs
	}
	mutations = slices.Clone(mutations)
	replies := s.runPiped(ctx, reserveScript, s.reservations(mutations, creates))
	for i, at := range creates {
		stands, err := replies[i].Int64()
		if err != nil {
			errs[at] = wrap("reserve", err)
			continue
		}
		mutations[at].ID = ticket.ID(stands)
	}
	return mutations, errs
}

// recordReserved ties the request ids of replayed creates to the ids under which they were acknowledged.
func (s *Store) recordReserved(ctx context.Context, mutations []store.Mutation) error {
	creates := repeatableCreates(mutations)
	if s.keys.partitions == 1 || len(creates) == 0 {
		return nil
	}
	return wrap("reserve", firstErr(s.runPiped(ctx, recordScript, s.reservations(mutations, creates))))
}

// reservations are the calls of a script that ties the request ids of creates to their ticket ids.
func (s *Store) reservations(mutations []store.Mutation, creates []int) []guardedCall {
	calls := make([]guardedCall, len(creates))
	for i, at := range creates {
		m := &mutations[at]
		p, key := s.keys.reservation(m.RequestID)
		calls[i] = guardedCall{p, []string{key}, []any{int64(m.ID), memory(m)}}
	}
	return calls
}

func repeatableCreates(mutations []store.Mutation) (indexes []int) {
	for i := range mutations {
		if m := &mutations[i]; m.Kind.Creates() && m.RequestID != "" {
			indexes = append(indexes, i)
		}
	}
	return indexes
}
