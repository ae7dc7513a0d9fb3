package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// nodes are Redis servers that replace a dead master among themselves.
type nodes interface {
	Masters(ctx context.Context) []*testenv.Redis
	// Linked returns nil if a master may die, because a replica can replace it.
	Linked(ctx context.Context) error
	// Cut has the replicas of a master lag, until mend is called.
	Cut(ctx context.Context, master *testenv.Redis) (mend func(ctx context.Context) error, err error)
}

// failovers records the deaths of masters: how long until Redis had all changes acknowledged meanwhile.
type failovers struct {
	nodes nodes

	mu   sync.Mutex
	took []time.Duration
}

// maxLag is how long at most a master accepts changes that its replicas do not get before it dies.
const maxLag = 200 * time.Millisecond

// recoverWithin is how long servers and daemon may take together before the test fails. The sentinels need ten seconds to
// tell a returning master that it has been replaced.
const recoverWithin = 60 * time.Second

// fault kills a master with lagging replicas, and starts it again after its replacement, so that the next master may die.
func (f *failovers) fault(s *testenv.Stack) fault {
	return fault{"master killed", func(ctx context.Context, r *rand.Rand) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoverWithin)
		defer cancel()
		if err := testenv.Until(ctx, func() error { return f.nodes.Linked(ctx) }); err != nil {
			return fmt.Errorf("the replicas are not connected: %w", err)
		}
		masters := f.nodes.Masters(ctx)
		victim := masters[r.IntN(len(masters))]
		mend, err := f.nodes.Cut(ctx, victim)
		wait(ctx, r, maxLag)
		begin := time.Now()
		victim.Kill()
		if err = errors.Join(err, mend(ctx)); err != nil {
			return fmt.Errorf("cutting the replicas off: %w", err)
		}
		noticed := false
		err = testenv.Until(ctx, func() error {
			state, err := recovered(ctx, s.Socket)
			noticed = noticed || err != nil
			if !noticed { // no write so far
				return fmt.Errorf("the daemon has not noticed: %v", state)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("after the fail-over: %w", err)
		}
		f.mu.Lock()
		f.took = append(f.took, time.Since(begin))
		f.mu.Unlock()
		return victim.Restart(ctx)
	}}
}

// recovered reports whether the daemon writes to Redis again, and has replayed the pending changes.
func recovered(ctx context.Context, socket string) (protocol.State, error) {
	c, err := protocol.Dial(ctx, socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	status, err := c.Status(ctx)
	switch {
	case err != nil:
		return "", err
	case status.Store.State != protocol.StateUp:
		return status.Store.State, fmt.Errorf("Redis is %s: %s", status.Store.State, status.Store.Reason)
	case status.Journal.Entries > 0:
		return status.Store.State, fmt.Errorf("%d changes wait in the journal", status.Journal.Entries)
	}
	return status.Store.State, nil
}

func (f *failovers) report(t *testing.T) {
	t.Helper()
	if len(f.took) == 0 {
		t.Fatal("no master was killed")
	}
	slices.Sort(f.took)
	t.Logf("%d fail-overs; from SIGKILL until Redis had everything again: median %v, longest %v", len(f.took),
		f.took[len(f.took)/2].Round(time.Millisecond), f.took[len(f.took)-1].Round(time.Millisecond))
}

// Masters are killed under visitors who write through PHP-FPM, and sentinels replace them by replicas: no request fails, and
// MySQL has every acknowledged change, though replicas lag. Without the journal the first kill fails requests, and without
// Replaced in daemon/boot the last changes before the kill are lost (tried).
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := testenv.NewSentinels(t, testenv.SentinelOptions{Redis: durable})
	f := &failovers{nodes: s}
	place := fmt.Sprintf("[redis]\nsentinels = [%s]\nmaster_name = %q\n", quoted(s.SentinelAddrs()), testenv.SentinelMaster)
	endure(t, testenv.StackOptions{Place: place}, func(s *testenv.Stack) []fault { return []fault{f.fault(s)} })
	f.report(t)
}

// The same with one of the three masters of a Redis Cluster.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := testenv.NewCluster(t, durable)
	f := &failovers{nodes: c}
	place := fmt.Sprintf("[redis]\ncluster = [%s]\n", quoted(c.Addrs()))
	endure(t, testenv.StackOptions{Place: place}, func(s *testenv.Stack) []fault { return []fault{f.fault(s)} })
	f.report(t)
}

// quoted lists strings as TOML does.
func quoted(list []string) string {
	var quoted []string
	for _, one := range list {
		quoted = append(quoted, fmt.Sprintf("%q", one))
	}
	return strings.Join(quoted, ", ")
}
