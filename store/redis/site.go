package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// site is the keys of one site in Redis, in one or several partitions.
type site struct {
	client goredis.UniversalClient
	keys   keys
	opts   Options

	line   atomic.Int64 // see NewLine
	former atomic.Int64 // see proposed

	feedKeep atomic.Int64 // how many events a partition's feed may have; 0 unless this daemon has switched the feed on

	floorless atomic.Bool // the filling lacks the sink's highest revision: see raise
	seeding   sync.Mutex  // held while partitions are marked as filled
	// filled runs when the store has learned the filling of a partition, before the store uses the partition; other says that the
	// store knew another filling.
	filled func(ctx context.Context, p int, epoch string, other bool) error

	mu     sync.Mutex
	epochs []string // per partition: the filling of Redis that this store knows; empty before the first write
}

// NewLine says that Redis may be another process than before, and may have gone back in time. Each change from before now is
// compared with the sink on its own when the change is flushed. A change that a journal acknowledged before now is replayed as a
// change that is made at the replay.
func (s *site) NewLine() {
	line := int64(s.opts.Clock.Propose())
	s.line.Store(line)
	s.former.Store(line)
}

// split groups n indexes by the partition of their ticket, in their order.
func (s *site) split(n int, id func(int) ticket.ID) map[int][]int {
	groups := make(map[int][]int, 1)
	for i := range n {
		p := s.keys.partition(id(i))
		groups[p] = append(groups[p], i)
	}
	return groups
}

// each calls f for all partitions at once, and returns the first error: a partition that does not answer delays no other
// partition.
func (s *site) each(groups map[int][]int, f func(p int, indexes []int) error) error {
	errs := make([]error, s.keys.partitions)
	var calls sync.WaitGroup
	for p, indexes := range groups {
		if len(groups) == 1 {
			return f(p, indexes)
		}
		calls.Go(func() { errs[p] = f(p, indexes) })
	}
	calls.Wait()
	return cmp.Or(errs...)
}

func millis(t time.Time) int64 { return t.UnixMilli() }

// partitionsOf returns the partitions of tickets, each partition once.
func (s *site) partitionsOf(ids []ticket.ID) []int {
	if s.keys.partitions == 1 {
		return []int{0}
	}
	all := make([]int, 0, len(ids))
	for _, id := range ids {
		all = append(all, s.keys.partition(id))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// allPartitions returns every partition.
func (s *site) allPartitions() []int {
	all := make([]int, s.keys.partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// foreign reports a ticket whose key holds no hash, and returns the error for the ticket.
func (s *site) foreign(id ticket.ID) error {
	key := s.keys.ticket(id)
	if s.opts.OnForeign != nil {
		s.opts.OnForeign(key)
	}
	return fmt.Errorf("the Redis key %q is %w: another program uses this name; give the site a key_prefix of its own, or delete "+
		"the key", key, store.ErrForeign)
}

// stray reports a stray hash.
func (s *site) stray(id ticket.ID) {
	if s.opts.OnStray != nil {
		s.opts.OnStray(s.keys.ticket(id))
	}
}

// Key returns the name of a ticket's hash.
func (s *site) Key(id ticket.ID) string { return s.keys.ticket(id) }

// scanKeys calls f with the tickets whose keys named recognises, and reads each key of each master once.
func (s *site) scanKeys(ctx context.Context, named func(string) (ticket.ID, bool), f func([]ticket.ID) error) error {
	cluster, several := s.client.(*goredis.ClusterClient)
	if !several {
		return s.scanMaster(ctx, s.client, named, f)
	}
	var turn sync.Mutex // the masters are scanned at once, f runs for one batch at a time
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		return s.scanMaster(ctx, master, named, func(ids []ticket.ID) error {
			turn.Lock()
			defer turn.Unlock()
			return f(ids)
		})
	})
}

func (s *site) scanMaster(
	ctx context.Context, master goredis.Cmdable, named func(string) (ticket.ID, bool), f func([]ticket.ID) error,
) error {
	var cursor uint64
	for {
		names, next, err := master.Scan(ctx, cursor, s.keys.pattern(), maxClaim).Result()
		if err != nil {
			return link.Wrap("scan", err)
		}
		var found []ticket.ID
		for _, name := range names {
			if id, ours := named(name); ours {
				found = append(found, id)
			}
		}
		if err := f(found); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// zscan reads a page of an index, and proves that the index is this site's.
func (s *site) zscan(ctx context.Context, p int, index string, cursor uint64) (members []string, next uint64, err error) {
	var page *goredis.ScanCmd
	err = s.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { page = pipe.ZScan(ctx, index, cursor, "", maxClaim) })
	if err != nil {
		return nil, 0, err
	}
	return page.Result()
}
