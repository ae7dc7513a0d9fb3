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
// the index again from the hashes, which takes a scan of all keys. To notice the loss without a scan, the queue remembers the
// first tickets of the index: later such a ticket is in the index, or is no longer pending.

const (
	// firstTickets is how many tickets of a partition's index the queue remembers.
	firstTickets = 8
	// lookEvery bounds how often the queue compares while the index names other tickets than the remembered ones, as it does on a
	// busy site.
	lookEvery = time.Second
)

// remembered are tickets that the index named.
type remembered struct {
	mu     sync.Mutex
	ids    []ticket.ID
	looked time.Time
}

// first returns the earliest due time of the index, and its first tickets.
func (q *queue) first(ctx context.Context) (next time.Time, ids []ticket.ID, err error) {
	commands := make([]*goredis.ZSliceCmd, q.keys.partitions)
	err = q.read(ctx, q.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range commands {
			commands[p] = pipe.ZRangeWithScores(ctx, q.keys.dirty(p), 0, firstTickets-1)
		}
	})
	if errors.Is(err, store.ErrOwner) {
		return time.Time{}, nil, err
	}
	for _, command := range commands {
		for i, z := range command.Val() {
			if i == 0 {
				next = earlier(next, time.UnixMilli(int64(z.Score)))
			}
			member, _ := z.Member.(string)
			if id, err := ticket.ParseID(member); err == nil {
				ids = append(ids, id)
			}
		}
	}
	if !next.IsZero() {
		err = nil // the other partitions' tickets wait for their master
	}
	return next, ids, err
}

// isLost says whether the index has lost pending tickets: it names none of the tickets that it named before, and one of these is
// still pending. isLost remembers the tickets that the index names now.
func (q *queue) isLost(ctx context.Context, now []ticket.ID) bool {
	q.named.mu.Lock()
	before, looked := q.named.ids, q.named.looked
	q.named.ids = now
	q.named.mu.Unlock()
	if len(before) == 0 || slices.ContainsFunc(now, func(id ticket.ID) bool { return slices.Contains(before, id) }) {
		return false
	}
	if len(now) > 0 && time.Since(looked) < lookEvery {
		return false
	}
	indexed, err := q.Indexed(ctx, before) // first: an ack takes the entry and _dirty at once
	if err != nil {
		return false
	}
	before = slices.DeleteFunc(slices.Clone(before), func(id ticket.ID) bool { return indexed[slices.Index(before, id)] })
	pending, err := q.pending(ctx, before)
	q.named.mu.Lock()
	q.named.looked = time.Now()
	q.named.mu.Unlock()
	return err == nil && len(pending) > 0
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
