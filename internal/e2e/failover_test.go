package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A fail-over to a replica that is behind, simulated by a Redis that comes back with an older state: rows in MySQL are never
// overwritten by the older state, stale copies are not served, and later acknowledged changes arrive.
func TestRedisGoesBackInTime(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{}) // persistence only by SAVE
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
	testenv.Eventually(t, 10*time.Second, "both are flushed", func() bool {
		return column(t, r.db, "status", 1) == "new" && column(t, r.db, "status", 2) == "new"
	})
	redis.Kill()
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id := range int64(2) {
		testenv.Eventually(t, 10*time.Second, "the newer state is read", func() bool {
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

// An object-cache plugin calls FLUSHALL: the daemon notices and reports that, never takes it for "all clean", and ids and
// revisions go on above MySQL's.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	r := newRig(t, rigOptions{redis: redis})
	c := r.dial(t)
	subject := []protocol.Field{{Name: "subject", Value: protocol.Text("hello")}}
	before, err := c.Create(t.Context(), subject, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	after, err := c.Create(t.Context(), subject, "")
	if err != nil || after.ID <= before.ID || after.Revision <= before.Revision {
		t.Errorf("created %+v (%v) after %+v", after, err, before)
	}
	if ticket, err := c.Get(t.Context(), before.ID); err != nil || field(ticket.Fields, "subject").Text() != "hello" {
		t.Errorf("the ticket that MySQL has cannot be read: %v", err)
	}
	if revision, err := c.Set(t.Context(), set(before.ID, "status", "closed")); err != nil || revision <= before.Revision {
		t.Errorf("revision %d (%v), MySQL has %d", revision, err, before.Revision)
	}
	status, err := c.Status(t.Context())
	if err != nil || !slices.ContainsFunc(status.Warnings, func(w string) bool { return strings.Contains(w, "found empty") }) {
		t.Errorf("status does not tell: %v %q", err, status.Warnings)
	}
	settled(t, r)
	if got := column(t, r.db, "status", before.ID); got != "closed" {
		t.Errorf("status %q in MySQL", got)
	}
}

// A site with tickets in MySQL meets a Redis that never held the site: that is no loss. If Redis is emptied while the daemon
// is down, the next start reports it. (If MySQL's tickets alone decide, the first start reports it, too; if the daemon
// remembers nothing, no start does.)
func TestFirstStartIsNoLoss(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	r := newRig(t, rigOptions{redis: redis})
	c := r.dial(t)
	mustCreate(t, c, "precious")
	flushed(t, c)
	restarted := func(forget bool) (alarmed bool) {
		t.Helper()
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := r.redis.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if forget {
			if err := os.Remove(filepath.Join(filepath.Dir(r.socket), "main.identity.json")); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = r.dial(t)
		mustCreate(t, c, "another")
		flushed(t, c)
		status, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(status.Warnings, func(w string) bool { return strings.Contains(w, "found empty") })
	}
	if restarted(true) {
		t.Error("the first start of a host says that something is lost")
	}
	if !restarted(false) {
		t.Error("a start does not say that Redis was emptied before it")
	}
}
