package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// The statuses that apply.lua returns.
const (
	statusDone = iota
	statusConflict
	statusDeleted
	statusNotAHash
)

// Apply implements [store.Tickets].
func (s *Store) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	if len(s.combine) == 1 {
		return s.combine[0].do(ctx, mutations)
	}
	outcomes := make([]store.Outcome, len(mutations))
	for p, indexes := range s.split(len(mutations), func(i int) ticket.ID { return mutations[i].ID }) {
		part := make([]store.Mutation, len(indexes))
		for i, at := range indexes {
			part[i] = mutations[at]
		}
		done, err := s.combine[p].do(ctx, part)
		if err != nil {
			return nil, err
		}
		for i, at := range indexes {
			outcomes[at] = done[i]
		}
	}
	return outcomes, nil
}

// applyPartition sends mutations of one partition, maxCombined in a script call. Where a later call fails, what the earlier ones did is
// known all the same: the error is then that of each mutation whose outcome is not.
func (s *Store) applyPartition(ctx context.Context, p int, batch []store.Mutation) ([]store.Outcome, error) {
	if len(batch) <= maxCombined {
		return s.applyBatch(ctx, p, batch)
	}
	outcomes := make([]store.Outcome, 0, len(batch))
	for part := range slices.Chunk(batch, maxCombined) {
		done, err := s.applyBatch(ctx, p, part)
		if err != nil && len(outcomes) == 0 {
			return nil, err
		}
		if err != nil {
			for _, m := range batch[len(outcomes):] {
				outcomes = append(outcomes, store.Outcome{ID: m.ID, Err: err})
			}
			return outcomes, nil
		}
		outcomes = append(outcomes, done...)
	}
	return outcomes, nil
}

// applyBatch sends mutations of one partition as one script call.
func (s *Store) applyBatch(ctx context.Context, p int, batch []store.Mutation) ([]store.Outcome, error) {
	epoch, err := s.epoch(ctx, p)
	if err != nil {
		return nil, err
	}
	// A second try follows only the answer that nothing was done, because Redis was emptied since.
	for try := 0; ; try++ {
		reply, err := applyScript.Run(ctx, s.client, s.applyKeys(p, batch), s.applyArgs(epoch, batch)...).Int64Slice()
		if have, emptied := otherEpoch(err); emptied && try == 0 {
			if epoch, err = s.reseed(ctx, p, epoch, have); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, wrap("apply", err)
		}
		return s.outcomes(batch, reply)
	}
}

func (s *Store) applyKeys(p int, batch []store.Mutation) []string {
	names := make([]string, 0, 3+2*len(batch))
	names = append(names, s.keys.dirty(p), s.keys.dead(p), s.keys.meta(p))
	for i := range batch {
		m := &batch[i]
		names = append(names, s.keys.ticket(m.ID))
		if m.RequestID != "" {
			names = append(names, s.keys.request(p, m.RequestID))
		}
	}
	return names
}

func (s *Store) applyArgs(epoch string, batch []store.Mutation) []any {
	args := make([]any, 0, 4+24*len(batch))
	args = append(args, epoch, store.RequestMemory.Milliseconds(), len(batch))
	for i := range batch {
		m := &batch[i]
		nulls := 0
		for _, f := range m.Fields {
			if f.Value.IsNull() {
				nulls++
			}
		}
		remembered := 0
		if m.RequestID != "" {
			remembered = 1
		}
		args = append(args, int(m.Kind), int64(m.ID), int64(m.Proposed), millis(m.Due), int64(m.IfRevision), remembered)
		args = append(args, len(m.Fields)-nulls)
		for _, f := range m.Fields {
			if !f.Value.IsNull() {
				args = append(args, f.Name, f.Value.Text())
			}
		}
		args = append(args, nulls)
		for _, f := range m.Fields {
			if f.Value.IsNull() {
				args = append(args, f.Name)
			}
		}
	}
	return args
}

func (s *Store) outcomes(batch []store.Mutation, reply []int64) ([]store.Outcome, error) {
	if len(reply) != 3*len(batch) {
		return nil, fmt.Errorf("redis apply: %d numbers for %d mutations", len(reply), len(batch))
	}
	outcomes := make([]store.Outcome, len(batch))
	for i := range batch {
		status, revision := reply[3*i], ticket.Revision(reply[3*i+2])
		outcomes[i] = store.Outcome{ID: ticket.ID(reply[3*i+1]), Revision: revision}
		switch status {
		case statusDone:
			s.opts.Clock.Observe(revision)
		case statusConflict:
			outcomes[i].Err = &store.ConflictError{Have: revision}
		case statusDeleted:
			outcomes[i].Err = store.ErrDeleted
		case statusNotAHash:
			outcomes[i].Err = s.foreign(batch[i].ID)
		default:
			return nil, fmt.Errorf("redis apply: unknown status %d", status)
		}
	}
	return outcomes, nil
}

// otherEpoch recognises the script's answer that Redis holds another filling than the caller knows.
func otherEpoch(err error) (have string, is bool) {
	if err == nil {
		return "", false
	}
	return strings.CutPrefix(err.Error(), "EPOCH ")
}

var errOwner = errors.New("another site uses these Redis keys")
