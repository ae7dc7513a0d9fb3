package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// A Redis that was restarted or failed over may hold clean copies from before the sink's rows. [Store.Reconcile] forgets the
// copies, which takes a scan and the other daemons. Until then the partition is in doubt: the process that serves the partition
// (line in the meta hash, noted by again.lua before any other command) is not the process that was reconciled last (run). In
// doubt a clean field counts as unknown, and a condition on a clean ticket cannot be decided, unless fill.lua has completed the
// ticket since (_line). Pending changes may be older than the sink, too, until they are flushed: where the ticket has no later
// revision than this process had when the first daemon came (base, see again.lua), readers hear that the ticket may be behind,
// and no condition on the ticket's revision can be decided. A daemon starts in doubt, as the process may have been replaced
// meanwhile.

// doubted returns the lines of the partitions in doubt. It asks Redis once for each process that this daemon has met, and goes on
// asking until the partition was reconciled.
func (r *recall) doubted(ctx context.Context, ids []ticket.ID) (map[int]string, error) {
	var lines map[int]string
	for _, p := range r.partitionsOf(ids) {
		generation, doubt := r.kept[p].doubted()
		if !doubt {
			continue
		}
		var held *goredis.SliceCmd
		err := r.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { held = pipe.HMGet(ctx, r.keys.meta(p), "line", "run", "base") })
		if err != nil && !errors.Is(err, goredis.Nil) {
			return nil, err
		}
		line, _ := held.Val()[0].(string)
		run, _ := held.Val()[1].(string)
		base, _ := held.Val()[2].(string)
		r.kept[p].began(generation, revision(base))
		if line == "" || line == run {
			r.kept[p].trusted(generation)
			continue
		}
		if lines == nil {
			lines = make(map[int]string)
		}
		lines[p] = line
	}
	return lines, nil
}

// doubted says in which generation the partition's clean copies may be in doubt; see doubt.go.
func (k *kept) doubted() (generation int, doubt bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.generation, k.doubt
}

// began notes the highest revision with which the process of a generation began.
func (k *kept) began(generation int, base ticket.Revision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.generation == generation {
		k.base = base
	}
}

// isBefore says that a ticket's pending changes may be from before the process that serves the partition.
func (k *kept) isBefore(r *store.Record) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return r.Dirty && (k.doubt || r.Revision <= k.base)
}

// trusted notes that no copy is in doubt, unless the partition was replaced meanwhile.
func (k *kept) trusted(generation int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.generation == generation {
		k.doubt = false
	}
}

// Reconcile forgets all clean copies when Redis is another process than the last time: after a fail-over or a restart Redis may
// hold an older state than the sink, and readers would see an older clean copy until the copy expires. dropped counts the copies;
// 0 where Redis is the same process. Dirty tickets stay and are due at once; the sink's revision guard and the ack sort out older
// changes.
func (r *recall) Reconcile(ctx context.Context) (dropped int, err error) {
	runs := make(map[*goredis.Client]string) // of a cluster's masters
	changed := make(map[int]string)          // the new process of a partition
	replaced := make(map[int]bool)           // where a process was known before
	for p := range r.keys.partitions {
		run, err := r.runOf(ctx, p, runs)
		if err != nil {
			return 0, err
		}
		var held *goredis.StringCmd
		err = r.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { held = pipe.HGet(ctx, r.keys.meta(p), "run") })
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
		r.NewLine()
		for p := range changed { // the changes that a daemon applies again are compared with the clean copies
			if err := r.claimable(ctx, p); err != nil {
				return 0, err
			}
		}
		if dropped, err = r.forgetClean(ctx, replaced); err != nil {
			return dropped, err
		}
	}
	for p, run := range changed {
		if err := r.run(ctx, noteScript, p, []string{r.keys.meta(p)}, "run", run).Err(); err != nil {
			return dropped, link.Wrap("reconcile", err)
		}
	}
	return dropped, nil
}

// runOf asks the master of a partition for its process. The result is empty where a cluster's client takes a replica for the
// master: a later call returns the process.
func (r *recall) runOf(ctx context.Context, p int, known map[*goredis.Client]string) (string, error) {
	cluster, several := r.client.(*goredis.ClusterClient)
	if !several {
		if text, ok := known[nil]; ok {
			return text, nil
		}
		text, err := r.client.Info(ctx, "server").Result()
		known[nil] = link.ParseInfo(text)["run_id"]
		return known[nil], link.Wrap("reconcile", err)
	}
	master, err := cluster.MasterForKey(ctx, r.keys.meta(p))
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
func (r *recall) forgetClean(ctx context.Context, partitions map[int]bool) (dropped int, err error) {
	err = r.scanKeys(ctx, r.keys.ticketID, func(all []ticket.ID) error {
		ids := slices.DeleteFunc(all, func(id ticket.ID) bool { return !partitions[r.keys.partition(id)] })
		n, err := r.countEach(ctx, reconcileScript, false, []any{millis(time.Now())}, ids)
		dropped += n
		return link.Wrap("reconcile", err)
	})
	return dropped, err
}
