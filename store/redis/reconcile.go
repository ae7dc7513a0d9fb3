package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Reconcile forgets all clean copies when Redis is another process than the last time: after a fail-over or a restart
// it may hold an older state than the sink, and a clean copy that is older would be read until it expires. It says how
// many it dropped; none where Redis is the same. Dirty tickets stay and are due at once; the sink's revision guard and
// the ack sort out which of them are older.
func (s *Store) Reconcile(ctx context.Context) (dropped int, err error) {
	runs := make(map[*goredis.Client]string) // what is known of a cluster's masters
	changed := make(map[int]string)          // the new process of a partition
	replaced := make(map[int]bool)           // where that is another one than before
	for p := range s.keys.partitions {
		run, err := s.runOf(ctx, p, runs)
		if err != nil {
			return 0, err
		}
		var held *goredis.StringCmd
		err = s.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { held = pipe.HGet(ctx, s.keys.meta(p), "run") })
		if err != nil && !errors.Is(err, goredis.Nil) {
			return 0, link.Wrap("reconcile", err)
		}
		known := held.Val()
		if run == "" || known == run {
			continue
		}
		changed[p], replaced[p] = run, known != ""
	}
	if len(changed) == 0 {
		return 0, nil
	}
	if slices.Contains(slices.Collect(maps.Values(replaced)), true) {
		s.NewLine()
		for p := range changed { // what a daemon applies again is compared with the clean copies
			if err := s.claimable(ctx, p); err != nil {
				return 0, err
			}
		}
		if dropped, err = s.forgetClean(ctx, replaced); err != nil {
			return dropped, err
		}
	}
	for p, run := range changed {
		if err := s.run(ctx, noteScript, p, []string{s.keys.meta(p)}, "run", run).Err(); err != nil {
			return dropped, link.Wrap("reconcile", err)
		}
	}
	return dropped, nil
}

// runOf asks the master of a partition which process it is. It is empty where a cluster's client takes something for the master
// that is a replica by now: it is told later.
func (s *Store) runOf(ctx context.Context, p int, known map[*goredis.Client]string) (string, error) {
	cluster, several := s.client.(*goredis.ClusterClient)
	if !several {
		if text, ok := known[nil]; ok {
			return text, nil
		}
		text, err := s.client.Info(ctx, "server").Result()
		known[nil] = link.ParseInfo(text)["run_id"]
		return known[nil], link.Wrap("reconcile", err)
	}
	master, err := cluster.MasterForKey(ctx, s.keys.meta(p))
	if err != nil {
		return "", link.Wrap("reconcile", err)
	}
	if run, asked := known[master]; asked {
		return run, nil
	}
	text, err := master.Info(ctx).Result()
	if err != nil {
		return "", link.Wrap("reconcile", err)
	}
	info := link.ParseInfo(text)
	if info["role"] != "master" {
		cluster.ReloadState(ctx)
		info["run_id"] = ""
	}
	known[master] = info["run_id"]
	return known[master], nil
}

// forgetClean forgets the clean copies of some partitions, batch by batch, beside all other work.
func (s *Store) forgetClean(ctx context.Context, partitions map[int]bool) (dropped int, err error) {
	err = s.scanKeys(ctx, s.keys.ticketID, func(all []ticket.ID) error {
		ids := slices.DeleteFunc(all, func(id ticket.ID) bool { return !partitions[s.keys.partition(id)] })
		n, err := s.countEach(ctx, reconcileScript, false, []any{millis(time.Now())}, ids)
		dropped += n
		return link.Wrap("reconcile", err)
	})
	return dropped, err
}
