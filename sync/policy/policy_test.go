package policy_test

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/policy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 7, 0, time.UTC)

func set(pairs ...string) *store.Mutation {
	m := &store.Mutation{Kind: store.Set, ID: 1}
	for i := 0; i < len(pairs); i += 2 {
		m.Fields = m.Fields.With(pairs[i], ticket.Text(pairs[i+1]))
	}
	return m
}

func TestDue(t *testing.T) {
	t.Parallel()
	onClose := policy.OnClose("status", []string{"closed", "resolved"}, 5*time.Minute)
	for _, c := range []struct {
		name   string
		due    policy.Due
		change *store.Mutation
		want   time.Duration
	}{
		{"event waits for its linger", policy.Event(200 * time.Millisecond), set("status", "open"), 200 * time.Millisecond},
		{"interval waits for the tick", policy.Interval(time.Minute), set("status", "open"), 53 * time.Second},
		{"on_close flushes a close at once", onClose, set("status", "closed"), 0},
		{"on_close knows every closing status", onClose, set("category", "x", "status", "resolved"), 0},
		{"on_close keeps the rest for max_age", onClose, set("status", "open"), 5 * time.Minute},
		{"on_close looks at the status field alone", onClose, set("category", "closed"), 5 * time.Minute},
		{"on_close flushes a deletion at once", onClose, &store.Mutation{Kind: store.Delete, ID: 1}, 0},
		{"at most bounds the tick", policy.AtMost(policy.Interval(time.Hour), time.Minute), set("status", "open"), time.Minute},
		{"at most leaves the earlier", policy.AtMost(policy.Event(time.Second), time.Minute), set("status", "open"), time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.due(noon, c.change).Sub(noon); got != c.want {
				t.Errorf("due after %v, want %v", got, c.want)
			}
		})
	}
}

// On a tick the change belongs to the next tick: it may have come after the flush of this tick.
func TestIntervalOnTheTick(t *testing.T) {
	t.Parallel()
	tick := time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)
	if got := policy.Interval(time.Minute)(tick, set()).Sub(tick); got != time.Minute {
		t.Errorf("due after %v, want a whole period", got)
	}
}
