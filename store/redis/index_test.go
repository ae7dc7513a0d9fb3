package redis_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Another program deletes the index of pending tickets: the next question for a due ticket finds the loss, also where a further
// change has begun a new index. A daemon that starts has no earlier answer, and reads all keys once. An index that tickets have
// left because they were flushed is no loss: without the look at _dirty such a turn would read all keys.
func TestADeletedIndexIsBuiltAgain(t *testing.T) {
	t.Parallel()
	client := testenv.NewRedis(t, testenv.RedisOptions{}).Client(t)
	h := &host{Store: open(t, client, redis.Options{Host: "a"})}
	next := func() {
		t.Helper()
		if _, err := h.NextDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lose := func() {
		t.Helper()
		if n, err := client.Del(t.Context(), "ticket:dirty").Result(); err != nil || n != 1 {
			t.Fatalf("%d keys deleted (%v)", n, err)
		}
	}
	want := func(when string, n int64) {
		t.Helper()
		if got := client.ZCard(t.Context(), "ticket:dirty").Val(); got != n {
			t.Errorf("%s: the index has %d tickets, want %d", when, got, n)
		}
	}
	for id := ticket.ID(1); id <= 20; id++ {
		h.must(t, change(id, field("status", "open")))
	}
	next()
	lose()
	next()
	want("deleted", 20)

	h = &host{Store: open(t, client, redis.Options{Host: "a"})}
	next()
	lose()
	h.must(t, change(21, field("status", "open")))
	next()
	want("deleted before a further change", 21)

	h = &host{Store: open(t, client, redis.Options{Host: "a"})}
	lose()
	next()
	want("deleted before the start", 0)
	if n, err := h.Reindex(t.Context()); err != nil || n != 21 {
		t.Errorf("%d tickets added (%v), want 21", n, err)
	}
	want("deleted before the start", 21)

	scans := func() string {
		return link.ParseInfo(client.Info(t.Context(), "commandstats").Val())["cmdstat_scan"]
	}
	next()
	before := scans()
	for id, c := range h.claims(t) {
		if err := h.Ack(t.Context(), []store.Receipt{{ID: id, Revision: c.Newest}}); err != nil {
			t.Fatal(err)
		}
	}
	h.must(t, change(22, field("status", "open")))
	next()
	if after := scans(); after != before {
		t.Errorf("a flush makes the store scan: %s, then %s", before, after)
	}
}
