package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// The statuses that apply.lua returns.
const (
	statusDone = iota
	statusConflict
	statusDeleted
	statusNotAHash
	statusTaken
	statusAbsent
	statusReused
	statusQuota
	statusStray // the change met a hash which another program wrote
	statusUnsure
	statusPredates
)

// perOutcome is how many numbers apply.lua returns for a mutation.
const perOutcome = 4

// batch is mutations of one partition for one script call: on their way for the first time, or replayed from the journal.
type batch struct {
	mutations []store.Mutation
	entries   []store.Entry // of the mutations, where they are replayed
	// creates are the marks _d:_new of the tickets that were changed, of creates that the next place does not have yet; 0 for none.
	creates []ticket.Revision
}

// Apply implements [store.Tickets].
func (s *Store) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	if len(s.combine) == 1 {
		return s.combine[0].do(ctx, mutations)
	}
	return s.applySeveral(ctx, mutations)
}

// applyPartition sends mutations of one partition, maxCombined in a script call. Where a later call fails, what the earlier
// ones did is known all the same: the error is then that of each mutation whose outcome is not.
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
func (s *Store) applyBatch(ctx context.Context, p int, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes, err := s.send(ctx, p, &batch{mutations: mutations})
	if err != nil {
		return nil, err
	}
	s.takeOverMet(ctx, p, mutations, outcomes)
	return outcomes, nil
}

// send calls the script. A further try follows only the answers that nothing was done: Redis was emptied since, or the
// fence raised.
func (s *Store) send(ctx context.Context, p int, b *batch) ([]store.Outcome, error) {
	const tries = 3
	epoch, err := s.epoch(ctx, p)
	for try := 1; err == nil; try++ {
		generation, owed := s.kept[p].sending()
		if owed {
			if err = s.ready(ctx, p); err != nil {
				break
			}
		}
		var fence string
		if fence, err = s.fenceFor(ctx, p); err != nil {
			break
		}
		var reply []int64
		reply, err = applyScript.Run(ctx, s.client, s.applyKeys(p, b.mutations), s.applyArgs(epoch, fence, b)...).Int64Slice()
		if err == nil {
			return s.acknowledged(ctx, p, generation, b, reply)
		}
		switch {
		case try == tries && isOtherEpoch(err):
			return nil, link.Wrap("apply", errRefilled)
		case try == tries && isFenced(err):
			return nil, fmt.Errorf("redis apply: %w: %w", store.ErrUnavailable, err)
		case try == tries:
			return nil, link.Wrap("apply", err)
		case isOtherEpoch(err):
			epoch, err = s.reseed(ctx, p, epoch)
		case isFenced(err):
			err = s.refence(ctx, p, fence)
		default:
			return nil, link.Wrap("apply", err)
		}
	}
	return nil, err
}

// acknowledged returns the outcomes of a batch that was sent under a generation, and keeps them for a fail-over.
func (s *Store) acknowledged(
	ctx context.Context, p, generation int, b *batch, reply []int64,
) ([]store.Outcome, error) {
	outcomes, err := s.outcomes(b, reply)
	if err != nil {
		return nil, err
	}
	if err := s.keep(ctx, p, generation, b, outcomes); err != nil {
		return nil, err
	}
	return outcomes, nil
}

func (s *Store) applyKeys(p int, batch []store.Mutation) []string {
	names := make([]string, 0, 3+3*len(batch))
	names = append(names, s.keys.dirty(p), s.keys.dead(p), s.keys.meta(p))
	for i := range batch {
		m := &batch[i]
		names = append(names, s.keys.ticket(m.ID), s.keys.graves(m.ID))
		if m.RequestID != "" {
			names = append(names, s.keys.request(p, m.RequestID))
		}
	}
	return names
}

func (s *Store) applyArgs(epoch, fence string, b *batch) []any {
	args := make([]any, 0, 5+29*len(b.mutations))
	args = append(args, epoch, s.journal(), fence, len(b.mutations))
	for i := range b.mutations {
		m := &b.mutations[i]
		var sequence, acknowledged int64
		if b.entries != nil {
			sequence, acknowledged = int64(b.entries[i].Sequence), int64(b.entries[i].Revision) //nolint:gosec // below 2^53
		}
		nulls := 0
		for _, f := range m.Fields {
			if f.Value.IsNull() {
				nulls++
			}
		}
		args = append(args, sequence, acknowledged)
		args = append(args, int(m.Kind), int64(m.ID), int64(s.proposed(b, i)), int64(m.Dated()), millis(m.Due), required(m))
		since := m.Since(b.entries != nil)
		switch {
		case !m.Kind.Creates():
			since = m.Late(b.entries != nil)
		case m.Accepted == store.Unreceived:
			since = 0 // no ticket can be its own
		}
		if args = append(args, int64(since)); since > 0 {
			args = append(args, int64(m.RowBorn))
		}
		args = append(args, memory(m))
		if m.RequestID != "" {
			args = append(args, m.Digest)
		}
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
	return append(args, time.Now().UnixMicro(), s.quota())
}

// quota is how many tickets of a partition may be dirty; 0 is no bound.
func (s *Store) quota() int {
	return (s.opts.MaxDirty + s.keys.partitions - 1) / s.keys.partitions
}

// required is the revision that the ticket must have, 0 where it may have any, and -1 where it may have any but must be held.
func required(m *store.Mutation) int64 {
	if m.IfRevision == 0 && m.MustExist {
		return -1
	}
	return int64(m.IfRevision)
}

// memory is how long a mutation's request id is remembered, in ms; 0 where it has none.
func memory(m *store.Mutation) int64 {
	switch {
	case m.RequestID == "":
		return 0
	case m.Remember <= 0 || m.Remember > store.RequestMemory:
		return store.RequestMemory.Milliseconds()
	default:
		return max(m.Remember.Milliseconds(), 1)
	}
}

// errBehindTaken is for what was not replayed because it came behind a create whose id is taken, or may be.
var errBehindTaken = fmt.Errorf("behind a create whose id may be taken: %w", store.ErrUnavailable)

// refusals are the errors of those statuses that always mean the same.
var refusals = map[int64]error{
	statusDeleted:  store.ErrDeleted,
	statusTaken:    store.ErrTaken,
	statusUnsure:   store.ErrUnsure,
	statusPredates: store.ErrPredates,
	statusAbsent:   store.ErrAbsent,
	statusReused:   store.ErrReused,
	statusQuota:    fmt.Errorf("redis apply: %w", store.ErrQuota),
}

func (s *Store) outcomes(b *batch, reply []int64) ([]store.Outcome, error) {
	batch := b.mutations
	last := int64(statusDone)
	if len(reply) >= perOutcome {
		last = reply[len(reply)-perOutcome]
	}
	ended := b.entries != nil && (last == statusTaken || last == statusUnsure)
	if len(reply) != perOutcome*len(batch) && !ended {
		return nil, fmt.Errorf("redis apply: %d numbers for %d mutations", len(reply), len(batch))
	}
	outcomes := make([]store.Outcome, len(batch))
	b.creates = make([]ticket.Revision, len(batch))
	for i := range batch {
		if perOutcome*i >= len(reply) {
			outcomes[i] = store.Outcome{ID: batch[i].ID, Err: errBehindTaken}
			continue
		}
		of := reply[perOutcome*i:]
		status, revision := of[0], ticket.Revision(of[2])
		outcomes[i] = store.Outcome{ID: ticket.ID(of[1]), Revision: revision}
		b.creates[i] = ticket.Revision(of[3])
		switch status {
		case statusDone:
			s.opts.Clock.Observe(revision)
		case statusConflict:
			outcomes[i].Err = &store.ConflictError{Have: revision}
		case statusNotAHash:
			outcomes[i].Err = s.foreign(batch[i].ID)
		case statusStray:
			outcomes[i].Err = fmt.Errorf("the Redis key %q: %w", s.keys.ticket(batch[i].ID), errStray)
			s.stray(batch[i].ID)
		default:
			if outcomes[i].Err = refusals[status]; outcomes[i].Err == nil {
				return nil, fmt.Errorf("redis apply: unknown status %d", status)
			}
		}
	}
	return outcomes, nil
}

// isOtherEpoch recognises a script's answer that Redis holds another filling than the caller knows, so that nothing was done.
func isOtherEpoch(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "EPOCH") }
