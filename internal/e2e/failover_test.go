package e2e

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// A fail-over to a replica that is behind, as a Redis that comes back with an older state: what MySQL has is never
// overwritten by what came back, stale copies are not served, and what is acknowledged afterwards arrives.
func TestRedisGoesBackInTime(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{}) // it keeps nothing but what SAVE writes
	r := newRig(t, rigOptions{redis: redis, site: "linger = \"5ms\""})
	c := r.dial(t)
	write := func(id int64, name, value string) {
		t.Helper()
		if _, err := c.Set(t.Context(), set(id, name, value)); err != nil {
			t.Fatal(err)
		}
	}
	write(1, "status", "old")
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	r.proxy.Hold() // so that ticket 2 is dirty in the state that comes back
	write(2, "status", "old")
	if err := r.redis.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.proxy.Release()
	write(1, "status", "new")
	write(2, "status", "new")
	eventually(t, 10*time.Second, "both are flushed", func() bool {
		return column(t, r.db, "status", 1) == "new" && column(t, r.db, "status", 2) == "new"
	})
	redis.Kill()
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id := range int64(2) {
		eventually(t, 10*time.Second, "the newer state is read", func() bool {
			ticket, err := c.Get(t.Context(), id+1)
			return err == nil && field(ticket.Fields, "status").Text() == "new"
		})
	}
	write(1, "category", "after")
	write(2, "category", "after")
	settled(t, r)
	for id := int64(1); id <= 2; id++ {
		if status, category := column(t, r.db, "status", id), column(t, r.db, "category", id); status != "new" || category != "after" {
			t.Errorf("ticket %d in MySQL: status %q, category %q", id, status, category)
		}
	}
}
