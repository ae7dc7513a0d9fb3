package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store/redis/link"
)

// fences refuse writes that arrive late, and writes of a daemon that has the journal of another daemon.
type fences struct {
	*site

	kept    []*kept    // of [recall]
	fencing sync.Mutex // held while the fence is raised

	mu    sync.Mutex
	marks []string // per partition: the mark that writes carry, see Fence; empty before the first write
	names names
}

// Fence refuses writes to a partition that were sent before. Fence gives this journal's writes another mark, and Redis refuses
// writes with the old mark. A caller that still waits sends the write again with the new mark; a write whose caller gave up,
// while Redis was stopped or the network held the write up, is not made.
func (f *fences) Fence(ctx context.Context, partition int) error {
	f.fencing.Lock() // a caller that finds the fence raised must find the mark, too, and not raise the fence once more
	defer f.fencing.Unlock()
	return f.raiseFence(ctx, partition)
}

// raiseFence gives writes another mark. The caller holds fencing.
func (f *fences) raiseFence(ctx context.Context, p int) error {
	if f.knownFence(p) != "" { // else it is a process' before this one
		if err := f.meetTwin(ctx, p); err != nil {
			return err
		}
	}
	mark := f.names.raiser + rand.Text() // a mark is used once, so that a late raise lets no late write pass
	if err := f.run(ctx, noteScript, p, []string{f.keys.meta(p)}, "fence:"+f.journal(), mark).Err(); err != nil {
		return link.Wrap("fence", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks[p] = mark
	return nil
}

// fenceFor returns the mark that writes carry. Replayed writes are protected by their sequence numbers, as long as no other
// daemon has the same name.
func (f *fences) fenceFor(ctx context.Context, p int) (string, error) {
	if f.opts.Journal == "" {
		return "", nil
	}
	if mark := f.knownFence(p); mark != "" {
		return mark, nil
	}
	err := f.Fence(ctx, p)
	return f.knownFence(p), err
}

func (f *fences) knownFence(p int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.marks[p]
}

// refence gets a new mark after Redis refused the mark of a write: another goroutine has raised the fence since, or another
// daemon with this daemon's name, or Redis has lost the mark.
func (f *fences) refence(ctx context.Context, p int, carried string) error {
	f.fencing.Lock()
	defer f.fencing.Unlock()
	if f.knownFence(p) != carried {
		return nil
	}
	return f.raiseFence(ctx, p)
}

// A journal's id names a daemon's fence, its sequence numbers and the daemon itself in Redis. A host that was cloned from an
// image has the journal of the first host. Redis would take the two daemons for one daemon and pass over the replay of the daemon
// with the lower sequence numbers. So a fence says which process has raised the fence, all writes of a journal carry the fence,
// and a daemon that meets another process' fence under its own name takes a new name before Redis makes another change of the
// daemon's.

// journal is the name of the journal in Redis: the journal's id, or a new name after a twin was met; empty without a journal.
func (f *fences) journal() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names.journal
}

// host is the name of this daemon in Redis; empty where the store belongs to no daemon.
func (f *fences) host() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names.host
}

// names are the daemon's names in Redis. raiser names this process alone: each fence that the process raises begins with raiser.
type names struct{ journal, host, raiser string }

// meetTwin takes another name where another process has raised a partition's fence. An earlier process on the same journal has
// left a fence here only where a raise was held up, or where Redis went back in time: a new name does no harm then. The caller
// holds fencing.
func (f *fences) meetTwin(ctx context.Context, p int) error {
	var fence *goredis.StringCmd
	name := f.journal()
	err := f.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { fence = pipe.HGet(ctx, f.keys.meta(p), "fence:"+name) })
	if err != nil && !errors.Is(err, goredis.Nil) {
		return link.Wrap("fence", err)
	}
	if mark := fence.Val(); mark == "" || strings.HasPrefix(mark, f.names.raiser) {
		return nil // Redis has lost the fence, or holds another fence of this process
	}
	fresh := f.opts.Journal + "-" + rand.Text()
	f.mu.Lock()
	f.names.journal, f.names.host = fresh, fresh
	clear(f.marks)
	f.mu.Unlock()
	for _, k := range f.kept {
		k.owe()
	}
	if f.opts.OnTwin != nil {
		f.opts.OnTwin(f.opts.Journal)
	}
	return nil
}

// owe makes the kept changes be applied again, under the daemon's present name.
func (k *kept) owe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owed = true
}
