package redis_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// index looks after the index of pending tickets in a test's Redis. The daemon a flushes; the daemon b writes, so that a knows of
// a ticket only what the index names. client is a's.
type index struct {
	a, b   *host
	client goredis.UniversalClient
	prefix string
}

func newIndex(t *testing.T) *index {
	t.Helper()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	return &index{
		a:      &host{Store: open(t, client, redis.Options{Prefix: prefix, Host: "a"})},
		b:      &host{Store: open(t, server.Client(t), redis.Options{Prefix: prefix, Host: "b"})},
		client: client, prefix: prefix,
	}
}

func (x *index) next(t *testing.T) {
	t.Helper()
	if _, err := x.a.NextDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (x *index) write(t *testing.T, by *host, from, to ticket.ID) {
	t.Helper()
	for id := from; id <= to; id++ {
		by.must(t, change(id, field("status", "open")))
	}
}

// flushed acknowledges the flush of tickets.
func (x *index) flushed(t *testing.T, from, to ticket.ID) {
	t.Helper()
	for id := from; id <= to; id++ {
		if err := x.a.Ack(t.Context(), []store.Receipt{{ID: id, Revision: x.a.get(t, id).Revision}}); err != nil {
			t.Fatal(err)
		}
	}
}

func (x *index) lose(t *testing.T) {
	t.Helper()
	if n, err := x.client.Del(t.Context(), x.prefix+"ticket:dirty").Result(); err != nil || n != 1 {
		t.Fatalf("%d keys deleted (%v)", n, err)
	}
}

func (x *index) want(t *testing.T, when string, n int64) {
	t.Helper()
	if got := x.client.ZCard(t.Context(), x.prefix+"ticket:dirty").Val(); got != n {
		t.Errorf("%s: the index has %d tickets, want %d", when, got, n)
	}
}

// The index is lost within a second of the last comparison, and a further change begins a new index: the next comparison still
// knows the lost tickets. Where an answer that is not compared replaces the expected tickets, no later answer shows the loss.
func TestALossIsNotForgottenBeforeTheComparison(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	x.write(t, x.b, 1, 1)
	x.next(t)
	x.flushed(t, 1, 1)
	x.next(t) // compares
	x.write(t, x.b, 2, 6)
	x.next(t)
	x.lose(t)
	x.write(t, x.b, 7, 7)
	x.next(t)
	x.want(t, "within a second", 1)
	x.flushed(t, 7, 7)
	x.next(t)
	x.want(t, "compared", 5)
}

// The index loses tickets that no answer has named, as they were written after the last answer. The daemon knows these tickets
// because it has acknowledged their changes.
func TestTicketsThatNoAnswerNamedAreMissed(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	x.write(t, x.a, 1, 1)
	x.next(t)
	x.flushed(t, 1, 1)
	x.write(t, x.a, 2, 4)
	x.lose(t)
	x.write(t, x.a, 5, 5)
	x.next(t)
	x.want(t, "lost before an answer", 4)
}

// The scan for the lost tickets fails, and the tickets that showed the loss are flushed: the next question scans again, as the
// other tickets are still missing.
func TestAFailedScanIsRepeated(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	x.write(t, x.b, 1, 20)
	x.next(t)
	x.lose(t)
	broken := &onScan{err: net.ErrClosed}
	x.client.AddHook(broken)
	if _, err := x.a.NextDue(t.Context()); err == nil {
		t.Error("the failed scan is no error")
	}
	broken.err = nil
	x.flushed(t, 1, 8)
	x.next(t)
	x.want(t, "after the failure", 12)
}

// onScan makes SCAN fail with an error, and counts the calls.
type onScan struct {
	before

	err   error
	calls int
}

func (s *onScan) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if cmd.Name() != "scan" {
			return next(ctx, cmd)
		}
		if s.calls++; s.err != nil {
			cmd.SetErr(s.err)
			return s.err
		}
		return next(ctx, cmd)
	}
}

// In a cluster the index of one partition is lost while the other indexes still name their tickets.
func TestALossInOnePartition(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedCluster(t)
	client := server.Client(t)
	a := &host{Store: open(t, client, redis.Options{Prefix: prefix, Cluster: true, Host: "a"})}
	for id := ticket.ID(1); id <= 40; id++ {
		a.must(t, change(id, field("status", "open")))
	}
	next := func() {
		t.Helper()
		if _, err := a.NextDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	next()
	key := link.Base(prefix, link.Partitions(true), 3) + "dirty"
	had := client.ZCard(t.Context(), key).Val()
	if n, err := client.Del(t.Context(), key).Result(); err != nil || n != 1 {
		t.Fatalf("%d keys deleted (%v)", n, err)
	}
	next()
	if n := client.ZCard(t.Context(), key).Val(); n != had {
		t.Errorf("the index has %d tickets, want %d", n, had)
	}
}

// A flushed ticket is changed again while the daemon looks whether the ticket is missing, after each of the daemon's round trips:
// the index has lost nothing, and no scan begins. Where the look at the index and the look at the hash are two round trips, a
// change between them looks like a loss.
func TestAChangeDuringTheComparisonIsNoLoss(t *testing.T) {
	t.Parallel()
	for trip := range 5 {
		t.Run(fmt.Sprint("trip ", trip+1), func(t *testing.T) {
			t.Parallel()
			x := newIndex(t)
			x.write(t, x.b, 1, 1)
			x.next(t)
			x.flushed(t, 1, 1)
			scans := &onScan{}
			left := trip
			x.client.AddHook(scans)
			x.client.AddHook(&trips{f: func() {
				if left--; left == -1 {
					x.b.must(t, change(1, field("status", fmt.Sprint(time.Now()))))
				}
			}})
			x.next(t)
			if scans.calls > 0 {
				t.Errorf("%d scans", scans.calls)
			}
		})
	}
}

// trips calls f after each round trip.
type trips struct {
	before

	f func()
}

func (h *trips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		h.f()
		return err
	}
}

func (h *trips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, commands []goredis.Cmder) error {
		err := next(ctx, commands)
		h.f()
		return err
	}
}
