package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// watchCluster makes a client with a running watch, and a channel that tells when a part of the cluster is back.
func watchCluster(t *testing.T, c *testenv.Cluster) (goredis.UniversalClient, *link.Watch, chan struct{}) {
	t.Helper()
	client, w := link.Connect(link.ClientOptions{
		Cluster: c.Addrs(), DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}, zerolog.Nop())
	back := make(chan struct{}, 100)
	w.OnUp(func() { back <- struct{}{} })
	w.Start(t.Context())
	t.Cleanup(func() {
		if err := errors.Join(w.Stop(context.Background()), client.Close()); err != nil {
			t.Error(err)
		}
	})
	return client, w, back
}

// Every master gets its share of the partitions, and a partition of all sites has one slot.
func TestPartitionsAreSpreadOverTheSlots(t *testing.T) {
	t.Parallel()
	server, _ := testenv.SharedCluster(t)
	client := server.Client(t)
	n := link.Partitions(true)
	for p := range n {
		for _, key := range []string{link.HashTag(p) + ":ticket:1", "shop:" + link.HashTag(p) + ":ticket:dirty"} {
			slot, err := client.ClusterKeySlot(t.Context(), key).Result()
			if err != nil || int(slot)*n/16384 != p {
				t.Errorf("%s is in slot %d (%v), which is not in the %d. of %d shares", key, slot, err, p, n)
			}
		}
	}
}

// A create is repeated with another ticket id of another partition, also where another host made the first create and a journal
// replayed the create since. Without the reservation, the repetition makes a second ticket (tried).
func TestRepeatedCreateInAnotherPartition(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedCluster(t)
	s := open(t, server.Client(t), redis.Options{Prefix: prefix, Cluster: true, Journal: "j"})
	create := func(id ticket.ID, request string) store.Mutation {
		return store.Mutation{
			Kind: store.Create, ID: id, RequestID: request, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
			Fields: ticket.Fields{{Name: "subject", Value: ticket.Text("hello")}},
		}
	}
	if _, err := s.Replay(t.Context(), []store.Entry{{Sequence: 1, Revision: 5, Mutation: create(100, "replayed")}}); err != nil {
		t.Fatal(err)
	}
	for n, request := range []string{"direct", "direct", "replayed"} {
		want := ticket.ID(1)
		if request == "replayed" {
			want = 100
		}
		outcomes, err := s.Apply(t.Context(), []store.Mutation{create(ticket.ID(n+1), request)})
		if err != nil || outcomes[0].Err != nil || outcomes[0].ID != want {
			t.Errorf("create %d of %q: %+v (%v), want ticket %d", n, request, outcomes, err, want)
		}
	}
}

// One master dies. Its partitions fail at once, the other partitions go on in the same calls, and when its replica has taken over
// the store hears that the state may be older, before the first read. Without ReloadState in the prober the partitions were not
// back after a minute and a half; without the look at the process in the nodes' hook the store heard of no other process (tried).
func TestMasterOfAClusterDies(t *testing.T) {
	t.Parallel()
	c := testenv.NewCluster(t, testenv.RedisOptions{Config: []string{"cluster-require-full-coverage no"}})
	client, w, back := watchCluster(t, c)
	s := open(t, client, redis.Options{Cluster: true})
	runs := make(chan struct{}, 100)
	w.OnRun(func(context.Context, goredis.Scripter, string, []int) error {
		runs <- struct{}{}
		return nil
	})
	var batch []store.Mutation
	for id := range ticket.ID(link.Partitions(true)) {
		batch = append(batch, store.Mutation{
			Kind: store.Set, ID: id + 1, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
			Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
		})
	}
	if _, err := s.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	victim := c.Masters(t.Context())[1]
	victim.Kill()
	outcomes, err := s.Apply(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	away := 0
	for _, o := range outcomes {
		if errors.Is(o.Err, store.ErrUnavailable) {
			away++
		} else if o.Err != nil {
			t.Errorf("%+v", o)
		}
	}
	if up, _, reason := w.State(); away == 0 || away == len(batch) || up {
		t.Errorf("%d of %d changes failed; up %v, reason %q", away, len(batch), up, reason)
	}
	claims, err := s.Claim(t.Context(), soon(), 100, time.Millisecond)
	if err != nil || len(claims) != len(batch)-away {
		t.Errorf("%d claims (%v), want those of the partitions that answer, which are %d", len(claims), err, len(batch)-away)
	}
	if len(runs) > 0 {
		t.Error("somebody was told of another process before there was one")
	}
	for up := false; !up; up, _, _ = w.State() {
		<-back
	}
	outcomes, err = s.Apply(t.Context(), batch)
	if err != nil || slices.ContainsFunc(outcomes, func(o store.Outcome) bool { return o.Err != nil }) {
		t.Errorf("after the fail-over: %+v (%v)", outcomes, err)
	}
	select {
	case <-runs:
	default:
		t.Error("nobody was told that a partition is served by another process")
	}
	for _, claim := range claims {
		if err := s.Ack(t.Context(), []store.Receipt{{ID: claim.ID, Revision: claim.Newest + 1<<40}}); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := s.Reconcile(t.Context()); err != nil || dropped != 0 {
		t.Errorf("dropped %d clean copies (%v): those of the masters that stayed are fit to be read", dropped, err)
	}
}

// lossy counts how often a command reaches a node, and loses the replies.
type lossy struct {
	sent int
	name string
}

func (l *lossy) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (l *lossy) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == l.name {
			l.sent++
			err = fmt.Errorf("lost: %w", &net.OpError{Op: "read", Err: errors.New("connection reset")})
			cmd.SetErr(err)
		}
		return err
	}
}

func (l *lossy) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// The client does not send a change again after a lost reply, whatever go-redis takes MaxRedirects for: only a caller that knows
// the request id may. Without the hook in the nodes the client sends the change four times (tried).
func TestLostReplyIsNotRepeated(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedCluster(t)
	client, _, _ := watchCluster(t, server)
	s := open(t, client, redis.Options{Prefix: prefix, Cluster: true})
	mustSet(t, s, 1, "status", "open")
	hook := &lossy{name: "evalsha"}
	cluster, _ := client.(*goredis.ClusterClient)
	if err := cluster.ForEachMaster(t.Context(), func(_ context.Context, node *goredis.Client) error {
		node.AddHook(hook)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := set(t.Context(), s, 1, "status", "closed"); !errors.Is(err, store.ErrUnavailable) || hook.sent != 1 {
		t.Errorf("error %v, sent %d times; want ErrUnavailable and once", err, hook.sent)
	}
}
