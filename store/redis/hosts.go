package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// A row's revision says that all changes up to that revision are in the row, and the next place refuses lower revisions. So after
// a fail-over a claim waits until every daemon has applied its kept changes again: a change that another daemon applies later,
// under an older revision, would be refused. Each daemon notes in the meta hash the process to which the daemon has applied its
// changes (again.lua). Where Redis was emptied, these notes are lost: the next filling begins with the note of a daemon that
// never comes (seed.lua), and every daemon has the time to come.

const (
	// hostGrace is how long claims wait for a daemon. The next place may refuse the changes of a daemon that comes later.
	hostGrace = 5 * time.Second
	// hostPoll is the pause between two looks.
	hostPoll = 20 * time.Millisecond
)

const (
	lineField  = "line"
	hostPrefix = "host:"
	hostLost   = hostPrefix + "?" // stands for the daemons of a filling that is lost
)

// settle waits until all daemons that share the keys of a partition have applied their kept changes again, or have had the time.
func (r *recall) settle(ctx context.Context, p int) error {
	if r.fences.host() == "" || r.kept[p].isSettled() {
		return nil
	}
	ticker := time.NewTicker(hostPoll)
	defer ticker.Stop()
	for {
		done, err := r.lookForHosts(ctx, p)
		if done || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("other daemons have not reached this Redis yet: %w: %w", store.ErrUnavailable, ctx.Err())
		}
	}
}

// lookForHosts says whether a partition is settled. lookForHosts forgets a daemon that has had the time; the daemon is known
// again when the daemon comes.
func (r *recall) lookForHosts(ctx context.Context, p int) (settled bool, err error) {
	k := r.kept[p]
	generation, _ := k.sending()
	var meta *goredis.MapStringStringCmd
	if err := r.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { meta = pipe.HGetAll(ctx, r.keys.meta(p)) }); err != nil {
		return false, link.Wrap("look for other daemons", err)
	}
	var silent []string
	for name, at := range meta.Val() {
		if strings.HasPrefix(name, hostPrefix) && name != hostPrefix+r.fences.host() && at != meta.Val()[lineField] {
			silent = append(silent, name)
		}
	}
	if len(silent) > 0 && !k.waitedFor(generation, time.Now(), hostGrace) {
		return false, nil
	}
	if len(silent) > 0 {
		if named := len(slices.DeleteFunc(slices.Clone(silent), func(name string) bool { return name == hostLost })); named > 0 {
			r.opts.Log.Warn().Int("daemons", named).
				Msg("flushing goes on after a fail-over of Redis, without daemons of other hosts that have not come back to Redis")
		}
		if err := r.run(ctx, absentScript, p, []string{r.keys.meta(p)}, toArgs(silent)...).Err(); err != nil {
			return false, link.Wrap("look for other daemons", err)
		}
	}
	k.settle(generation)
	return true, nil
}

func toArgs(list []string) []any {
	args := make([]any, len(list))
	for i := range list {
		args[i] = list[i]
	}
	return args
}

// claimable prepares a claim of a partition.
func (r *recall) claimable(ctx context.Context, p int) error {
	if err := r.ready(ctx, p); err != nil && !hasNoRoom(err) { // flushing makes room, and passes over owed changes
		return err
	}
	return r.settle(ctx, p)
}

// Stop implements [store.Backend]: Stop notes that this daemon ends, so that no other daemon waits. Where that fails, the other
// daemons wait once, for some seconds.
func (r *recall) Stop(ctx context.Context) error {
	if r.fences.host() != "" {
		_ = r.leave(ctx)
	}
	return nil
}

func (r *recall) leave(ctx context.Context) error {
	var calls []guardedCall
	for p := range r.keys.partitions {
		if r.knownEpoch(p) != "" {
			calls = append(calls, guardedCall{p, []string{r.keys.meta(p)}, []any{hostPrefix + r.fences.host(), true}})
		}
	}
	return link.Wrap("leave", firstErr(r.runPiped(ctx, absentScript, calls)))
}

// isSettled says whether all daemons are known to have come to the process that serves the partition.
func (k *kept) isSettled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled == k.generation+1
}

// waitedFor says whether claims have waited so long in a generation.
func (k *kept) waitedFor(generation int, now time.Time, long time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting.IsZero() || k.waitingIn != generation {
		k.waiting, k.waitingIn = now, generation
	}
	return now.Sub(k.waiting) >= long
}

func (k *kept) settle(generation int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled, k.waiting = generation+1, time.Time{}
}
