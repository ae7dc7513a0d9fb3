package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// waited ends the wait for the daemons of a lost filling, as if these had had the time to come.
func waited(t *testing.T, client *goredis.Client, prefix string) {
	t.Helper()
	if n, err := client.HDel(t.Context(), prefix+"ticket:meta", "host:?").Result(); n != 1 || err != nil {
		t.Fatalf("%d notes of lost daemons (%v)", n, err)
	}
}

// Redis is emptied, with the names of the daemons. The first daemon to come fills Redis and writes on. No change is flushed, not
// even by a daemon that starts now, before the other daemon has had the time to apply its acknowledged change again. Without the
// note of seed.lua the first claim has the first daemon's change alone, under a revision above the other daemon's change, which
// MySQL then refuses. A site that begins waits for no daemon.
func TestClaimsWaitForTheDaemonsOfALostFilling(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	a := &host{Store: open(t, client, redis.Options{Host: "a"})}
	b := &host{Store: open(t, client, redis.Options{Host: "b"})}
	a.must(t, change(9, field("status", "open")))
	if c := a.claims(t); len(c) != 1 {
		t.Errorf("claimed is %+v, want ticket 9", c)
	}
	kept := b.must(t, change(1, field("status", "of b")))
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	a.must(t, change(1, field("priority", "of a")))
	for _, h := range []*host{a, {Store: open(t, client, redis.Options{Host: "c"})}} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if claims, err := h.Claim(ctx, soon(), 10, leaseTime); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%+v is claimed (%v) before the other daemon has come", claims, err)
		}
	}
	b.get(t, 2) // any command
	waited(t, client, "")
	c := a.claims(t)[1]
	if v, _ := c.All.Get("status"); v != ticket.Text("of b") || c.Revision != kept {
		t.Errorf("claimed is %+v, want the other daemon's change at %d first", c, kept)
	}
}

// A command-line tool fills the emptied Redis. The tool has seen no earlier filling; the sink has changes.
func TestClaimsWaitWhereATableHasRevisions(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	floor := func(context.Context) (ticket.Revision, error) { return 7, nil }
	tool := open(t, server.Client(t), redis.Options{Prefix: prefix, Floor: floor})
	if err := tool.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	waited(t, server.Client(t), prefix)
}
