package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// A pending ticket that the index does not name is never flushed. So where another program deletes the index, the queue builds
// the index again from the hashes, which takes a scan of all keys. To notice the loss without a scan, the queue compares the
// first tickets of each partition's index with tickets that the index should name: the tickets that it named before, and the
// oldest acknowledged tickets that this daemon has not flushed. Such a ticket is in an index, or is no longer pending.

const (
	// firstTickets is how many tickets of a partition's index the queue remembers, and how many unflushed tickets it compares.
	firstTickets = 8
	// lookEvery bounds how often the queue compares while the index names other tickets than the expected ones, as it does on a
	// busy site, and how often it builds the index again after a failure.
	lookEvery = time.Second
)

// expected are the tickets that the index should name.
type expected struct {
	sync.Mutex

	of     []remembered // by partition
	lost   bool         // tickets were missing, and the index has not been built again since
	failed time.Time    // when building the index again failed
}

// remembered are tickets that the index of a partition named.
type remembered struct {
	ids    []ticket.ID
	looked time.Time
}

// first returns the earliest due time of the index, and the first tickets of each partition; nil for a partition that does not
// answer.
func (q *queue) first(ctx context.Context) (next time.Time, named [][]ticket.ID, err error) {
	commands := make([]*goredis.ZSliceCmd, q.keys.partitions)
	err = q.read(ctx, q.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range commands {
			commands[p] = pipe.ZRangeWithScores(ctx, q.keys.dirty(p), 0, firstTickets-1)
		}
	})
	if errors.Is(err, store.ErrOwner) {
		return time.Time{}, nil, err
	}
	named = make([][]ticket.ID, len(commands))
	for p, command := range commands {
		if command.Err() != nil {
			continue
		}
		named[p] = make([]ticket.ID, 0, firstTickets)
		for i, z := range command.Val() {
			if i == 0 {
				next = earlier(next, time.UnixMilli(int64(z.Score)))
			}
			member, _ := z.Member.(string)
			if id, err := ticket.ParseID(member); err == nil {
				named[p] = append(named[p], id)
			}
		}
	}
	if !next.IsZero() {
		err = nil // the other partitions' tickets wait for their master
	}
	return next, named, err
}

// rebuild builds the index again where it has lost pending tickets. After a failure rebuild tries again: at once where the index
// is empty.
func (q *queue) rebuild(ctx context.Context, named [][]ticket.ID, empty bool) (built bool, err error) {
	if !q.expected.TryLock() {
		return false, nil
	}
	defer q.expected.Unlock()
	q.look(ctx, named)
	if !q.expected.lost || !empty && time.Since(q.expected.failed) < lookEvery {
		return false, nil
	}
	if _, err := q.Reindex(ctx); err != nil {
		q.expected.failed = time.Now()
		return false, err
	}
	q.expected.lost = false
	return true, nil
}

// look compares the tickets that the index names now with the expected tickets. A partition that does not answer, or whose turn
// has not come, keeps its expected tickets.
func (q *queue) look(ctx context.Context, named [][]ticket.ID) {
	if q.expected.of == nil {
		q.expected.of = make([]remembered, q.keys.partitions)
	}
	var calls []guardedCall
	for p, now := range named {
		before := &q.expected.of[p]
		missing := slices.DeleteFunc(append(q.recall.kept[p].unflushed(firstTickets), before.ids...), func(id ticket.ID) bool {
			return slices.Contains(now, id)
		})
		switch {
		case now == nil:
		case len(missing) == 0:
			before.ids = now
		case len(now) == 0 || time.Since(before.looked) >= lookEvery:
			names, args := []string{q.keys.dirty(p), q.keys.dead(p)}, make([]any, 0, len(missing))
			for _, id := range missing {
				names, args = append(names, q.keys.ticket(id)), append(args, int64(id))
			}
			calls = append(calls, guardedCall{p, names, args})
		}
	}
	for i, reply := range q.runPiped(ctx, lostScript, calls) {
		p := calls[i].partition
		if lost, err := reply.Int(); err == nil {
			q.expected.lost = q.expected.lost || lost > 0
			q.expected.of[p] = remembered{named[p], time.Now()}
		}
	}
}

// pending returns those of the tickets that are dirty.
func (q *queue) pending(ctx context.Context, ids []ticket.ID) ([]ticket.ID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	commands := make([]*goredis.BoolCmd, len(ids))
	err := q.read(ctx, q.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			commands[i] = pipe.HExists(ctx, q.keys.ticket(id), fieldDirty)
		}
	})
	if err != nil && !link.IsForeign(err) {
		return nil, err
	}
	var dirty []ticket.ID
	for i, command := range commands {
		if command.Val() {
			dirty = append(dirty, ids[i])
		}
	}
	return dirty, nil
}

// Reindex puts the pending tickets into the index that the index does not name, due at once, and returns their number. It reads
// all keys, in small steps.
func (q *queue) Reindex(ctx context.Context) (added int, err error) {
	err = q.scanKeys(ctx, q.keys.ticketID, func(ids []ticket.ID) error {
		dirty, err := q.pending(ctx, ids)
		if err != nil {
			return err
		}
		return q.runEach(ctx, repairScript, true, []any{millis(time.Now())}, dirty, func(reply *goredis.Cmd) error {
			counts, err := reply.Int64Slice()
			if err == nil {
				added += int(counts[0])
			}
			return err
		})
	})
	if added > 0 {
		q.opts.Log.Warn().Int("tickets", added).Str("key", q.keys.dirty(0)).
			Msg("pending tickets were missing from the index in Redis, and are flushed now: another program has deleted entries or the " +
				"key; give ticketd a Redis of its own")
	}
	return added, link.Wrap("rebuild the index", err)
}
