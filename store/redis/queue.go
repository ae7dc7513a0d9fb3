package redis

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// raise makes up for a floor that the sink did not tell when Redis was found empty. raise tries before every claim, so before any
// change of this filling goes to the sink. Until the sink answers, the clocks alone keep revisions growing. After a failure the
// next claim tries again.
func (q *queue) raise(ctx context.Context) {
	if !q.floorless.Load() || !q.raising.TryLock() {
		return
	}
	defer q.raising.Unlock()
	floor, known := q.floor(ctx)
	if !known {
		return
	}
	if err := q.raiseTo(ctx, floor); err != nil {
		return
	}
	q.floorless.Store(false)
	if floor > 0 && q.opts.OnSeed != nil {
		q.opts.OnSeed(floor, false)
	}
}

// raiseTo raises first the revisions to come and then the revisions of pending changes.
func (q *queue) raiseTo(ctx context.Context, floor ticket.Revision) error {
	run := func(p int, ids []ticket.ID, last bool) error {
		names, args := []string{q.keys.meta(p), q.keys.feed(p)}, []any{int64(floor), q.line.Load(), last}
		for _, id := range ids {
			names, args = append(names, q.keys.ticket(id)), append(args, int64(id))
		}
		return link.Wrap("raise", q.run(ctx, raiseScript, p, names, args...).Err())
	}
	for p := range q.keys.partitions {
		if err := run(p, nil, false); err != nil {
			return err
		}
	}
	ids, err := q.DirtyIDs(ctx)
	if err != nil {
		return err
	}
	dead, err := q.dead.deadIDs(ctx, 0)
	if err != nil {
		return link.Wrap("raise", err)
	}
	ids = append(ids, dead...)
	for p, indexes := range q.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		for part := range slices.Chunk(indexes, maxCombined) {
			of := make([]ticket.ID, len(part))
			for i, at := range part {
				of[i] = ids[at]
			}
			if err := run(p, of, false); err != nil {
				return err
			}
		}
	}
	for p := range q.keys.partitions {
		if err := run(p, nil, true); err != nil {
			return err
		}
	}
	return nil
}

// Ack implements [store.Queue].
func (q *queue) Ack(ctx context.Context, receipts []store.Receipt) error {
	now := time.Now()
	groups := q.split(len(receipts), func(i int) ticket.ID { return receipts[i].ID })
	return q.each(groups, func(p int, indexes []int) error {
		for part := range slices.Chunk(indexes, maxTickets) {
			names := []string{q.keys.dirty(p), q.keys.dead(p), q.keys.meta(p)}
			args := []any{q.opts.CleanTTL.Milliseconds()}
			for _, at := range part {
				r := &receipts[at]
				q.opts.Clock.Observe(r.Revision)
				q.recall.kept[p].arrived(now, r.ID, r.Revision, r.Ahead)
				names = append(names, q.keys.ticket(r.ID))
				args = append(args, int64(r.ID), int64(r.Revision), r.Ahead)
			}
			if err := q.run(ctx, ackScript, p, names, args...).Err(); err != nil {
				return link.Wrap("ack", err)
			}
		}
		return nil
	})
}

// Release implements [store.Queue].
func (q *queue) Release(ctx context.Context, claims []store.Claim) error {
	err := q.dueAt(ctx, []any{"XX", "LT"}, len(claims), func(i int) (ticket.ID, time.Time) { return claims[i].ID, claims[i].Due })
	return link.Wrap("release", err)
}

// dueAt changes the due times of n tickets, with these options of ZADD.
func (q *queue) dueAt(ctx context.Context, options []any, n int, of func(i int) (ticket.ID, time.Time)) error {
	var calls []guardedCall
	for p, indexes := range q.split(n, func(i int) ticket.ID { id, _ := of(i); return id }) {
		for part := range slices.Chunk(indexes, maxClaim) {
			args := slices.Clone(options)
			for _, at := range part {
				id, due := of(at)
				args = append(args, millis(due), int64(id))
			}
			calls = append(calls, guardedCall{p, []string{q.keys.dirty(p)}, args})
		}
	}
	return firstErr(q.runPiped(ctx, dueScript, calls))
}

// letter is a dead letter as the hash holds the letter.
type letter struct {
	Revision ticket.Revision `json:"revision"`
	Code     int             `json:"code"`
	Reason   string          `json:"reason"`
	At       time.Time       `json:"at"`
}

// Park implements [store.Queue].
func (q *queue) Park(ctx context.Context, letters []ticket.Letter) error {
	for _, l := range letters {
		text, err := json.Marshal(letter{Revision: l.Revision, Code: l.Code, Reason: l.Reason, At: l.At})
		if err != nil {
			return link.Wrap("park", err)
		}
		p := q.keys.partition(l.ID)
		names := []string{q.keys.dirty(p), q.keys.dead(p), q.keys.ticket(l.ID)}
		args := []any{int64(l.ID), int64(l.Revision), millis(l.At), string(text), l.Code == ticket.RowVanished}
		if err := q.run(ctx, parkScript, p, names, args...).Err(); err != nil {
			return link.Wrap("park", err)
		}
	}
	return nil
}

// DirtyIDs implements [store.Queue].
func (q *queue) DirtyIDs(ctx context.Context) ([]ticket.ID, error) {
	var ids []ticket.ID
	for p := range q.keys.partitions {
		if err := q.recall.ready(ctx, p); err != nil {
			return nil, err
		}
		if err := q.recall.settle(ctx, p); err != nil {
			return nil, err
		}
		var cursor uint64
		for {
			found, next, err := q.zscan(ctx, p, q.keys.dirty(p), cursor)
			if err != nil {
				return nil, link.Wrap("scan", err)
			}
			for i := 0; i < len(found); i += 2 {
				if id, err := ticket.ParseID(found[i]); err == nil {
					ids = append(ids, id)
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	slices.Sort(ids) // A scan may return a member twice.
	return slices.Compact(ids), nil
}

// sample is how many of the tickets with the earliest due times are asked since when they are dirty. Under every strategy the
// oldest change is among the first due, except changes under a lease.
const sample = 16

// Backlog implements [store.Queue]. Where a partition does not answer, Backlog counts the other partitions.
func (q *queue) Backlog(ctx context.Context) (store.Backlog, error) {
	n := q.keys.partitions
	dirty, dead, first := make([]*goredis.IntCmd, n), make([]*goredis.IntCmd, n), make([]*goredis.ZSliceCmd, n)
	buried := make([]*goredis.StringCmd, n)
	err := q.read(ctx, q.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range n {
			dirty[p] = pipe.ZCard(ctx, q.keys.dirty(p))
			dead[p] = pipe.ZCard(ctx, q.keys.dead(p))
			buried[p] = pipe.HGet(ctx, q.keys.meta(p), "gone")
			first[p] = pipe.ZRangeWithScores(ctx, q.keys.dirty(p), 0, sample-1)
		}
	})
	if errors.Is(err, store.ErrOwner) {
		return store.Backlog{}, link.Wrap("backlog", err)
	}
	if errors.Is(err, goredis.Nil) { // no tombstones
		err = nil
		for p := range n {
			err = errors.Join(err, dirty[p].Err())
		}
	}
	var b store.Backlog
	var all []goredis.Z
	for p := range n {
		b.Dirty += dirty[p].Val()
		b.Dead += dead[p].Val()
		gone, _ := buried[p].Int64()
		b.Buried += max(gone, 0)
		if z := first[p].Val(); len(z) > 0 {
			all = append(all, z...)
		}
	}
	var unasked error
	b.Oldest, unasked = q.oldest(ctx, all)
	return b, link.Wrap("backlog", errors.Join(err, unasked))
}

// NextDue implements [store.Queue]. Like a claim, it first waits for the daemons of other hosts after a restart of Redis: so the
// next flush on request does not.
func (q *queue) NextDue(ctx context.Context) (time.Time, error) {
	q.raise(ctx)
	if q.keys.partitions == 1 {
		if err := q.recall.claimable(ctx, 0); err != nil {
			return time.Time{}, err
		}
	}
	next, named, err := q.first(ctx)
	if err != nil {
		return next, link.Wrap("next due", err)
	}
	switch built, failed := q.rebuild(ctx, named, next.IsZero()); {
	case built:
		next, _, err = q.first(ctx)
	case failed != nil && next.IsZero():
		err = failed
	case failed != nil: // the tickets that the index names are flushed meanwhile
		q.opts.Log.Warn().Err(failed).Msg("pending tickets are missing from the index in Redis; the daemon tries again to index them")
	}
	return next, link.Wrap("next due", err)
}

// oldest returns since when the longest-dirty of the given tickets is dirty.
func (q *queue) oldest(ctx context.Context, members []goredis.Z) (time.Time, error) {
	var oldest time.Time
	if len(members) == 0 {
		return oldest, nil
	}
	ids := make([]ticket.ID, 0, len(members))
	for _, z := range members {
		member, _ := z.Member.(string)
		if id, err := ticket.ParseID(member); err == nil {
			ids = append(ids, id)
		}
	}
	commands := make([]*goredis.StringCmd, len(ids))
	err := q.read(ctx, q.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			commands[i] = pipe.HGet(ctx, q.keys.ticket(id), fieldDirty)
		}
	})
	if err != nil && !errors.Is(err, goredis.Nil) && !link.IsForeign(err) {
		return oldest, err
	}
	for _, command := range commands {
		if ms, err := command.Int64(); err == nil {
			oldest = earlier(oldest, time.UnixMilli(ms))
		}
	}
	return oldest, nil
}

// earlier returns the earlier of two times; a zero time counts as no time.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
