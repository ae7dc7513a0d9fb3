package e2e

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// A create with the id of another program's row is a dead letter; its client deletes it. The other, living ticket stays open
// to changes, also while Redis is away, or without Redis while MySQL hangs, and changes acknowledged by PHP arrive.
func TestADeletedCreateLeavesNoTombstoneOnTheRowOfSomebodyElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		o.site = lazy
		if !o.noRedis {
			o.redis = testenv.NewRedis(t, durable)
		}
		r := newRig(t, o)
		c := r.dial(t)
		id := mustCreate(t, c, "mine")
		if _, err := r.db.ExecContext(t.Context(),
			"INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (?, 'theirs')", id); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, 15*time.Second, "a dead letter", func() bool {
			_, _ = c.Flush(t.Context(), nil, nil)
			return dead(t, c) == 1
		})
		if _, err := c.Delete(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		flushed(t, c)
		if o.noRedis {
			r.proxy.Hold()
		} else {
			o.redis.Kill()
			storeIsDown(t, c)
		}
		mustSet(t, c, id, "priority", "high")
		if o.noRedis {
			r.proxy.Release()
		} else if err := o.redis.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, 20*time.Second, "it is in MySQL", func() bool {
			_, _ = c.Flush(t.Context(), nil, nil)
			return column(t, r.db, "priority", id) == "high"
		})
		if got := column(t, r.db, "subject", id); got != "theirs" {
			t.Errorf("the other ticket's subject is %q", got)
		}
	})
}
