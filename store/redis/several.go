package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

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
	s.giveBack(ctx, mutations, outcomes)
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
	if err == nil || errors.As(err, &conflict) {
		return false
	}
	for _, answer := range []error{store.ErrDeleted, store.ErrTaken, store.ErrAbsent, store.ErrReused, store.ErrForeign} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
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
	commands := make([]*goredis.Cmd, len(creates))
	_, _ = s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error { // each command has its own error
		for i, at := range creates {
			m := &mutations[at]
			commands[i] = reserveScript.Eval(ctx, pipe, []string{s.keys.reservation(m.RequestID)}, int64(m.ID), memory(m))
		}
		return nil
	})
	for i, at := range creates {
		stands, err := commands[i].Int64()
		if err != nil {
			errs[at] = wrap("reserve", err)
			continue
		}
		mutations[at].ID = ticket.ID(stands)
	}
	return mutations, errs
}

// giveBack unties request ids from ids that turned out to be taken, so that who tries again with another id is not given the same.
// Where that fails the create has that error.
func (s *Store) giveBack(ctx context.Context, mutations []store.Mutation, outcomes []store.Outcome) {
	var taken []int
	for _, at := range repeatableCreates(mutations) {
		if errors.Is(outcomes[at].Err, store.ErrTaken) {
			taken = append(taken, at)
		}
	}
	if len(taken) == 0 {
		return
	}
	commands := make([]*goredis.Cmd, len(taken))
	_, _ = s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error { // each command has its own error
		for i, at := range taken {
			m := &mutations[at]
			commands[i] = giveBackScript.Eval(ctx, pipe, []string{s.keys.reservation(m.RequestID)}, int64(m.ID))
		}
		return nil
	})
	for i, at := range taken {
		if err := commands[i].Err(); err != nil {
			outcomes[at] = store.Outcome{ID: mutations[at].ID, Err: wrap("reserve", err)}
		}
	}
}

// recordReserved ties the request ids of replayed creates to the ids under which they were acknowledged.
func (s *Store) recordReserved(ctx context.Context, mutations []store.Mutation) error {
	creates := repeatableCreates(mutations)
	if s.keys.partitions == 1 || len(creates) == 0 {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, at := range creates {
			m := &mutations[at]
			pipe.Set(ctx, s.keys.reservation(m.RequestID), int64(m.ID), time.Duration(memory(m))*time.Millisecond)
		}
		return nil
	})
	return wrap("reserve", err)
}

func repeatableCreates(mutations []store.Mutation) (indexes []int) {
	for i := range mutations {
		if m := &mutations[i]; m.Kind.Creates() && m.RequestID != "" {
			indexes = append(indexes, i)
		}
	}
	return indexes
}
