package redis_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// Redis and the daemon stop, and Redis comes back with an older file: with a pending and a clean value that MySQL has replaced.
// The daemon that starts shows neither as the newest, and no condition on their revisions holds, until the clean copies are
// forgotten and the pending change is flushed. Where a daemon starts without doubt, the reader sees the older clean value;
// without base in apply.lua and in isBefore the older pending value counts.
func TestADaemonStartsInDoubt(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	start := func() *host {
		h := &host{Store: open(t, client, redis.Options{Host: "a"})}
		if err := h.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := start()
	clean := h.must(t, change(1, field("counter", "1")))
	if err := errors.Join(
		h.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: clean}}), client.Persist(t.Context(), h.Key(1)).Err(),
	); err != nil {
		t.Fatal(err)
	}
	pending := h.must(t, change(2, field("counter", "1")))
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	h = start() // on the same process: nothing is in doubt
	holds(t, h.get(t, 1), clean, field("counter", "1"))
	if r := h.get(t, 2); r.Behind || r.Revision != pending {
		t.Errorf("after a restart of the daemon alone the ticket is %+v", r)
	}
	h.must(t, change(5, field("note", "part")))
	if err := h.Ack(t.Context(), []store.Receipt{{ID: 5, Revision: h.get(t, 5).Revision}}); err != nil {
		t.Fatal(err)
	}
	h.must(t, change(5, field("counter", "1")))
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	h.must(t, change(3, field("counter", "1")))
	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	h = start()
	if r := h.get(t, 1); len(r.Fields) != 0 || r.Full {
		t.Errorf("the clean ticket is %+v", r)
	}
	if r := h.get(t, 5); len(r.Fields) != 1 || !r.Had {
		t.Errorf("the ticket with a pending and a clean field is %+v, want the pending field, and that MySQL had the ticket", r)
	}
	undecided := func(when string) {
		t.Helper()
		if r := h.get(t, 2); !r.Behind {
			t.Errorf("%s the pending ticket is %+v, want it behind", when, r)
		}
		m := change(2, field("counter", "2"))
		m.IfRevision = pending
		var conflict *store.ConflictError
		if o := h.make(t, m); !errors.As(o.Err, &conflict) || conflict.Have != 0 {
			t.Errorf("%s a condition on the pending ticket: %+v", when, o)
		}
	}
	undecided("before the reconciliation")
	if n, err := h.Reconcile(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d forgotten (%v)", n, err)
	}
	undecided("before the flush")
	later := h.must(t, change(4, field("counter", "1")))
	m := change(4, field("counter", "2"))
	m.IfRevision = later
	h.must(t, m)
	if r := h.get(t, 4); r.Behind {
		t.Errorf("a change of this process is %+v", r)
	}
	c := h.claims(t)[2]
	if err := h.Ack(context.Background(), []store.Receipt{{ID: 2, Revision: c.Revision + 1, Ahead: true}}); err != nil {
		t.Fatal(err)
	}
	if r := h.get(t, 2); r.Held() {
		t.Errorf("flushed, the ticket is %+v", r)
	}
}
