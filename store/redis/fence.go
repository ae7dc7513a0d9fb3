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

// Fence sees to it that no write to a partition that was sent before is made from now on: it gives this journal's writes
// another mark to carry, and Redis refuses those that carry the old one. Writes of the living are sent again with the new mark;
// those whose caller gave up, because Redis was stopped or the network held them up, are the ones that it stops.
func (f *fences) Fence(ctx context.Context, partition int) error {
	f.fencing.Lock() // who finds the fence raised must find its mark, too, and not raise it once more
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
	mark := f.names.raiser + rand.Text() // never one that was used before, so that a late raise lets no late write pass
	if err := f.run(ctx, noteScript, p, []string{f.keys.meta(p)}, "fence:"+f.journal(), mark).Err(); err != nil {
		return link.Wrap("fence", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks[p] = mark
	return nil
}

// fenceFor returns the mark that writes carry. Those that are replayed are protected by their sequence numbers, as long as no
// other daemon has the same name.
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

// refence is called when Redis did not know the mark that a write carried: another goroutine has raised the fence since, or
// another daemon under this one's name, or Redis has lost it.
func (f *fences) refence(ctx context.Context, p int, carried string) error {
	f.fencing.Lock()
	defer f.fencing.Unlock()
	if f.knownFence(p) != carried {
		return nil
	}
	return f.raiseFence(ctx, p)
}

// A journal's id names a daemon's fence, its sequence numbers and the daemon itself in Redis. A host that was cloned from an
// image has the journal of the first, and Redis would take the two for one: what one of them replays is passed over, as the
// other's sequence numbers are above. So a fence says which process has raised it, all writes of a journal carry the fence, and
// a daemon that meets another's under its own name takes a new name, before anything else of it is made.

// journal is the name under which Redis knows the journal: its id, or a new one after a twin was met; empty where there is
// none.
func (f *fences) journal() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names.journal
}

// host is the name under which Redis knows this daemon; empty where the store is no daemon's.
func (f *fences) host() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names.host
}

// names are what Redis knows a daemon by. raiser is this process alone: each fence that it raises begins with it.
type names struct{ journal, host, raiser string }

// meetTwin takes another name where a partition's fence is another process' than this one's. A process before this one on the
// same journal has no fence here any more, but for a raise that was held up, or a Redis that went back in time: a new name
// does no harm then. The caller holds fencing.
func (f *fences) meetTwin(ctx context.Context, p int) error {
	var fence *goredis.StringCmd
	name := f.journal()
	err := f.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { fence = pipe.HGet(ctx, f.keys.meta(p), "fence:"+name) })
	if err != nil && !errors.Is(err, goredis.Nil) {
		return link.Wrap("fence", err)
	}
	if mark := fence.Val(); mark == "" || strings.HasPrefix(mark, f.names.raiser) {
		return nil // Redis has lost the fence, or another one of this process
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

// owe has what is kept applied again, under the daemon's present name.
func (k *kept) owe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owed = true
}
