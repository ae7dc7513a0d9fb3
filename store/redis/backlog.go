package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// DirtyIDs implements [store.Queue].
func (s *Store) DirtyIDs(ctx context.Context) ([]ticket.ID, error) {
	var ids []ticket.ID
	for p := range s.keys.partitions {
		if err := s.ready(ctx, p); err != nil {
			return nil, err
		}
		if err := s.settle(ctx, p); err != nil {
			return nil, err
		}
		var cursor uint64
		for {
			found, next, err := s.zscan(ctx, p, s.keys.dirty(p), cursor)
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

// sample is how many of the tickets that are due first are asked since when they are dirty: under every strategy the oldest
// change is among the first due, but for those under a lease.
const sample = 16

// Backlog implements [store.Queue]. Where a partition does not answer, the others are counted all the same.
func (s *Store) Backlog(ctx context.Context) (store.Backlog, error) {
	n := s.keys.partitions
	dirty, dead, first := make([]*goredis.IntCmd, n), make([]*goredis.IntCmd, n), make([]*goredis.ZSliceCmd, n)
	buried := make([]*goredis.StringCmd, n)
	err := s.read(ctx, s.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range n {
			dirty[p] = pipe.ZCard(ctx, s.keys.dirty(p))
			dead[p] = pipe.ZCard(ctx, s.keys.dead(p))
			buried[p] = pipe.HGet(ctx, s.keys.meta(p), "gone")
			first[p] = pipe.ZRangeWithScores(ctx, s.keys.dirty(p), 0, sample-1)
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
			b.NextDue = earlier(b.NextDue, time.UnixMilli(int64(z[0].Score)))
			all = append(all, z...)
		}
	}
	var unasked error
	b.Oldest, unasked = s.oldest(ctx, all)
	return b, link.Wrap("backlog", errors.Join(err, unasked))
}

// oldest returns since when the longest-dirty of the given tickets is dirty.
func (s *Store) oldest(ctx context.Context, members []goredis.Z) (time.Time, error) {
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
	err := s.read(ctx, s.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			commands[i] = pipe.HGet(ctx, s.keys.ticket(id), fieldDirty)
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

// earlier returns the earlier of two times, where zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
