package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// writer changes tickets.
type writer struct {
	*site

	recall       *recall
	fences       *fences
	tickets      *tickets
	reservations *reservations
	news         *news
	combine      []*combiner // per partition

	asked atomic.Int64 // the value of former for which the sink was asked for its highest revision
}

func newWriter(r *recall, t *tickets, n *news) *writer {
	w := &writer{
		site: r.site, recall: r, fences: r.fences, tickets: t, reservations: &reservations{site: r.site, recall: r}, news: n,
	}
	for p := range w.keys.partitions {
		w.combine = append(w.combine, &combiner{send: func(ctx context.Context, batch []store.Mutation) ([]store.Outcome, error) {
			if w.opts.OnBatch != nil {
				w.opts.OnBatch(len(batch))
			}
			return w.applyPartition(ctx, p, batch)
		}})
	}
	return w
}

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
	statusStray // the change met a hash of another program
	statusUnsure
	statusPredates
	statusVanished // see vanished.go
)

// perOutcome is how many numbers apply.lua returns for a mutation.
const perOutcome = 4

// batch is mutations of one partition for one script call: new mutations, or mutations that the journal replays.
type batch struct {
	mutations []store.Mutation
	entries   []store.Entry // of replayed mutations
	// creates are the marks _d:_new of the changed tickets, of creates that the next place does not have yet; 0 for no mark.
	creates []ticket.Revision
}

// Apply implements [store.Tickets].
func (w *writer) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	if len(w.combine) == 1 {
		return w.combine[0].do(ctx, mutations)
	}
	return w.applySeveral(ctx, mutations)
}

// applyPartition sends mutations of one partition, maxCombined in a script call. Where a later call fails, the outcomes of the
// earlier calls stand: each mutation without an outcome gets the error.
func (w *writer) applyPartition(ctx context.Context, p int, batch []store.Mutation) ([]store.Outcome, error) {
	if len(batch) <= maxCombined {
		return w.applyBatch(ctx, p, batch)
	}
	outcomes := make([]store.Outcome, 0, len(batch))
	for part := range slices.Chunk(batch, maxCombined) {
		done, err := w.applyBatch(ctx, p, part)
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
func (w *writer) applyBatch(ctx context.Context, p int, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes, err := w.send(ctx, p, &batch{mutations: mutations})
	if err != nil {
		return nil, err
	}
	w.takeOverMet(ctx, p, mutations, outcomes)
	return outcomes, nil
}

// takeOverMet takes over the stray hashes that mutations have met, and makes the mutations afterwards. A mutation whose hash
// cannot be taken over gets the reason as its outcome.
func (w *writer) takeOverMet(ctx context.Context, p int, mutations []store.Mutation, outcomes []store.Outcome) {
	met := make(map[ticket.ID]error)
	var again []int
	for i := range outcomes {
		if !errors.Is(outcomes[i].Err, errStray) {
			continue
		}
		id := mutations[i].ID
		err, tried := met[id]
		if !tried {
			err = w.makeWay(ctx, id)
			met[id] = err
		}
		if outcomes[i].Err = err; err == nil {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return
	}
	b := &batch{}
	for _, at := range again {
		b.mutations = append(b.mutations, mutations[at])
	}
	done, err := w.send(ctx, p, b)
	for i, at := range again {
		if err != nil {
			outcomes[at].Err = err
		} else {
			outcomes[at] = done[i]
		}
	}
}

// send makes a batch. The script ends at a ticket whose hash another program has deleted.
func (w *writer) send(ctx context.Context, p int, b *batch) ([]store.Outcome, error) {
	done, err := w.sendOnce(ctx, p, b)
	if err != nil || len(done) == len(b.mutations) {
		return done, err
	}
	return w.sendPastVanished(ctx, p, b, done)
}

// sendOnce calls the script. The result ends before the first ticket whose hash another program has deleted. sendOnce tries again
// only after an answer that the script has made no change: Redis was emptied since, or the fence was raised.
func (w *writer) sendOnce(ctx context.Context, p int, b *batch) ([]store.Outcome, error) {
	const tries = 3
	epoch, err := w.epoch(ctx, p)
	for try := 1; err == nil; try++ {
		generation, owed := w.recall.kept[p].sending()
		if owed {
			if err = w.recall.ready(ctx, p); err != nil {
				break
			}
		}
		var fence string
		if fence, err = w.fences.fenceFor(ctx, p); err != nil {
			break
		}
		var reply []int64
		reply, err = applyScript.Run(ctx, w.client, w.applyKeys(p, b.mutations), w.applyArgs(epoch, fence, b)...).Int64Slice()
		if err == nil {
			return w.acknowledged(ctx, p, generation, b.upTo(&reply), reply)
		}
		switch {
		case try == tries && isOtherEpoch(err):
			return nil, link.Wrap("apply", errRefilled)
		case try == tries && isFenced(err):
			return nil, fmt.Errorf("redis apply: %w: %w", store.ErrUnavailable, err)
		case try == tries:
			return nil, link.Wrap("apply", err)
		case isOtherEpoch(err):
			epoch, err = w.reseed(ctx, p, epoch)
		case isFenced(err):
			err = w.fences.refence(ctx, p, fence)
		default:
			return nil, link.Wrap("apply", err)
		}
	}
	return nil, err
}

// upTo returns the mutations of a batch before a ticket that has vanished, and takes that ticket off the reply.
func (b *batch) upTo(reply *[]int64) *batch {
	last := len(*reply) - perOutcome
	if last < 0 || (*reply)[last] != statusVanished {
		return b
	}
	*reply = (*reply)[:last]
	n := last / perOutcome
	return &batch{mutations: b.mutations[:n], entries: b.entries[:min(n, len(b.entries))]}
}

// acknowledged returns the outcomes of a batch that was sent under a generation, and keeps them for a fail-over. Where the
// partition was replaced meanwhile, the former process may have made the changes: they are applied again before a client gets an
// answer.
func (w *writer) acknowledged(
	ctx context.Context, p, generation int, b *batch, reply []int64,
) ([]store.Outcome, error) {
	outcomes, err := w.outcomes(b, reply)
	if err != nil {
		return nil, err
	}
	w.news.tell()
	if w.fences.host() == "" || !w.recall.kept[p].add(time.Now(), generation, b, outcomes) {
		return outcomes, nil
	}
	if err := w.recall.ready(ctx, p); err != nil && !hasNoRoom(err) {
		return nil, err
	}
	return outcomes, nil
}

func (w *writer) applyKeys(p int, batch []store.Mutation) []string {
	names := make([]string, 0, 4+3*len(batch))
	names = append(names, w.keys.dirty(p), w.keys.dead(p), w.keys.meta(p), w.keys.feed(p))
	for i := range batch {
		m := &batch[i]
		names = append(names, w.keys.ticket(m.ID), w.keys.graves(m.ID))
		if m.RequestID != "" {
			names = append(names, w.keys.request(p, m.RequestID))
		}
	}
	return names
}

func (w *writer) applyArgs(epoch, fence string, b *batch) []any {
	args := make([]any, 0, 5+30*len(b.mutations))
	args = append(args, epoch, w.fences.journal(), fence, len(b.mutations))
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
		args = append(args, int(m.Kind), int64(m.ID), int64(w.proposed(b, i)), int64(m.Dated()), millis(m.Due), required(m))
		since := m.Since(b.entries != nil)
		switch {
		case !m.Kind.Creates():
			since = m.Late(b.entries != nil)
		case m.Accepted == store.Unreceived:
			since = 0 // no ticket can be the create's own
		}
		if args = append(args, int64(since)); since > 0 {
			args = append(args, int64(m.RowBorn))
		}
		args = append(args, memory(m))
		if m.RequestID != "" {
			args = append(args, m.Digest)
		}
		args = append(args, origin(m), len(m.Fields)-nulls)
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
	return append(args, time.Now().UnixMicro(), w.quota())
}

// proposed is the revision that a batch proposes for a mutation. A mutation that a journal acknowledged before this process of
// Redis served, as far as this store knows, arrives as the newest change, wherever Redis may have gone back to: the sink may be
// ahead of the acknowledged revision, by changes that Redis has lost and that concern other fields.
func (w *writer) proposed(b *batch, i int) ticket.Revision {
	if b.entries != nil && int64(b.entries[i].Revision) <= w.former.Load() {
		return w.opts.Clock.Propose()
	}
	return b.mutations[i].Proposed
}

// quota is how many tickets of a partition may be dirty; 0 is no bound.
func (w *writer) quota() int {
	return (w.opts.MaxDirty + w.keys.partitions - 1) / w.keys.partitions
}

// origin is who made a mutation, and through which part of the client, in the form of the scripts.
func origin(m *store.Mutation) string {
	if m.Via == "" {
		return m.By
	}
	return m.By + "\n" + m.Via
}

// required is the revision that the ticket must have: 0 for any revision, and -1 for any revision of a ticket that the store
// holds.
func required(m *store.Mutation) int64 {
	if m.IfRevision == 0 && m.MustExist {
		return -1
	}
	return int64(m.IfRevision)
}

// memory is how long Redis remembers a mutation's request id, in ms; 0 without a request id.
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

// errBehindTaken is the error of a mutation that was not replayed, behind a create whose id is taken or may be taken.
var errBehindTaken = fmt.Errorf("behind a create whose id may be taken: %w", store.ErrUnavailable)

// refusals are the errors of the statuses with one meaning.
var refusals = map[int64]error{
	statusDeleted:  store.ErrDeleted,
	statusTaken:    store.ErrTaken,
	statusUnsure:   store.ErrUnsure,
	statusPredates: store.ErrPredates,
	statusAbsent:   store.ErrAbsent,
	statusReused:   store.ErrReused,
	statusQuota:    fmt.Errorf("redis apply: %w", store.ErrQuota),
}

func (w *writer) outcomes(b *batch, reply []int64) ([]store.Outcome, error) {
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
			w.opts.Clock.Observe(revision)
		case statusConflict:
			outcomes[i].Err = &store.ConflictError{Have: revision}
		case statusNotAHash:
			outcomes[i].Err = w.foreign(batch[i].ID)
		case statusStray:
			outcomes[i].Err = fmt.Errorf("the Redis key %q: %w", w.keys.ticket(batch[i].ID), errStray)
			w.stray(batch[i].ID)
		default:
			if outcomes[i].Err = refusals[status]; outcomes[i].Err == nil {
				return nil, fmt.Errorf("redis apply: unknown status %d", status)
			}
		}
	}
	return outcomes, nil
}

// isFenced recognises the script's answer that a write carried an old mark, and that the script has made no change.
func isFenced(err error) bool { return strings.HasPrefix(err.Error(), "FENCE ") }
