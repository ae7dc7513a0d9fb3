package chaos

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
)

// fault is an action on a part of the site, and its undoing.
type fault struct {
	target string                          // the target, for people
	part   string                          // two faults never befall the same part at once
	ready  func(ctx context.Context) error // the condition before the fault; nil without a condition
	apply  func(ctx context.Context) error
	heal   func(ctx context.Context) error
}

// nemesis befalls a site with a plan.
type nemesis struct {
	site  *site
	rec   *recorder
	parts map[string]*sync.Mutex

	mu       sync.Mutex
	troubles []string // faults that could not be healed
}

func newNemesis(s *site, rec *recorder) *nemesis {
	return &nemesis{site: s, rec: rec, parts: make(map[string]*sync.Mutex)}
}

// healWithin is how long the servers may take to be as before.
const healWithin = 60 * time.Second

// run carries out all lanes of a plan. run returns after every fault is healed.
func (n *nemesis) run(ctx context.Context, plan [][]step) {
	var lanes sync.WaitGroup
	for _, steps := range plan {
		lanes.Go(func() {
			for _, s := range steps {
				n.await(ctx, s.At)
				if ctx.Err() != nil {
					return
				}
				n.befall(ctx, s)
			}
		})
	}
	lanes.Wait()
}

// await waits for a time since the run's start. A lane that is late catches up by shorter rests.
func (n *nemesis) await(ctx context.Context, at time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(at - n.rec.now()):
	}
}

// befall makes a fault and heals it.
func (n *nemesis) befall(ctx context.Context, s step) {
	f := n.site.fault(s)
	part := n.part(f.part)
	part.Lock()
	defer part.Unlock()
	if f.ready != nil && testenv.Until(ctx, func() error { return f.ready(ctx) }) != nil {
		return // the run is over
	}
	record := history.Fault{Kind: s.Kind, Target: f.target, From: n.rec.now()}
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healWithin)
	defer cancel()
	if err := f.apply(healing); err != nil {
		// Another fault is in the way (no connection to a server that is down): heal this fault all the same.
		record.Kind += "-failed"
		if s.Kind == "daemon-restart" {
			n.troublef("%s did not stop when it was asked to: %v", f.target, err)
		}
	} else {
		n.await(ctx, record.From+s.Length)
	}
	if err := testenv.Until(healing, func() error { return f.heal(healing) }); err != nil {
		n.troublef("%s of %s at %v was not healed within %v: %v", s.Kind, f.target, record.From, healWithin, err)
	}
	record.To = n.rec.now()
	n.rec.fault(record)
}

func (n *nemesis) part(name string) *sync.Mutex {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.parts[name] == nil {
		n.parts[name] = new(sync.Mutex)
	}
	return n.parts[name]
}

func (n *nemesis) troublef(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.troubles = append(n.troubles, fmt.Sprintf(format, args...))
}

// report fails the test for a fault that could not be healed.
func (n *nemesis) report(t *testing.T) {
	t.Helper()
	for _, text := range n.troubles {
		t.Error(text)
	}
}
