package redis_test

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// A ticket of which Redis knows one field, which MySQL has: where that field does not show any more that MySQL had the ticket, as
// Redis was restarted or the field is pending again, a claim still says so. Without _had MySQL would make a row of that field
// alone.
func TestARowIsRememberedWithoutItsCleanFields(t *testing.T) {
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
	for id := ticket.ID(1); id <= 2; id++ {
		revision := h.must(t, change(id, field("status", "open")))
		if err := h.Ack(t.Context(), []store.Receipt{{ID: id, Revision: revision}}); err != nil {
			t.Fatal(err)
		}
	}
	h.must(t, change(3, field("status", "open"))) // the first change of an id that no ticket has
	renewed, parts, err := admin(h.Store).Renew(t.Context(), time.Now(), []string{"status"}, nil)
	if err != nil || renewed != 2 || parts != 2 {
		t.Fatalf("renewed %d, %d in part (%v)", renewed, parts, err)
	}
	wantFollows := func(when string) {
		t.Helper()
		for id, c := range h.claims(t) {
			if c.Follows() != (id != 3) {
				t.Errorf("%s: claim %+v", when, c)
			}
		}
	}
	wantFollows("renewed")
	if err := h.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: h.get(t, 1).Revision}}); err != nil {
		t.Fatal(err)
	}
	h.must(t, change(1, field("priority", "low")))
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = start()
	if _, err := h.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := h.get(t, 1); len(r.Fields) != 1 {
		t.Fatalf("the ticket is %+v, want no clean field", r)
	}
	wantFollows("after a restart of Redis")
}
