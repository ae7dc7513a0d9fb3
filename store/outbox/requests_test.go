package outbox_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// repeatable makes "c1" of ticket 1 under a request id, and "c2" after it, both directly.
func (h *harness) repeatable(t *testing.T) (m store.Mutation, first store.Outcome) {
	t.Helper()
	h.gather = time.Hour // what waits in the journal waits until somebody waits for it
	h.restart(t)
	m = mutation(1, "c1")
	m.RequestID, m.Digest = "r", "c1 of ticket 1"
	first = h.make(t, m)
	h.set(t, 1, "c2")
	return m, first
}

// restart opens the outbox anew: it remembers no request then that went to the next store. It returns when the outbox has looked
// once whether something waits, which it does at once, without waiting for more.
func (h *harness) restart(t *testing.T) {
	t.Helper()
	h.close(t)
	h.open(t)
	for h.Journal().Tries < int64(link.Partitions(h.cluster)) {
		runtime.Gosched()
	}
}

// make makes one mutation.
func (h *harness) make(t *testing.T, m store.Mutation) store.Outcome {
	t.Helper()
	m.Proposed = ticket.Revision(time.Now().UnixMicro())
	outcomes, err := h.Apply(t.Context(), []store.Mutation{m})
	if err != nil || outcomes[0].Err != nil {
		t.Fatalf("%v %+v", err, outcomes)
	}
	return outcomes[0]
}

// early changes another field of ticket 1, so that the ticket waits in the journal.
func (h *harness) early(t *testing.T) store.Outcome {
	t.Helper()
	m := mutation(1, "high")
	m.Fields[0].Name, m.Early = "priority", true
	return h.make(t, m)
}

// A repetition is a repetition while its ticket waits in the journal: what was written since stays. (An outbox that forgets what
// went to the next store directly, and does not ask it, shows the old value under a new revision, tried.)
func TestRepetitionWhileItsTicketWaits(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]bool{"known here": false, "known to the next store alone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			m, first := h.repeatable(t)
			if forget {
				h.restart(t)
			}
			h.early(t)
			if n := h.Journal().Entries; n != 1 {
				t.Fatalf("%d changes wait, want 1", n)
			}
			if again := h.make(t, m); again != first {
				t.Errorf("repetition: %+v, first: %+v", again, first)
			}
			if got := status(t, h, 1); got != "c2" {
				t.Errorf("read %q after the repetition, want c2", got)
			}
			h.drained(t)
			if got := status(t, h, 1); got != "c2" {
				t.Errorf("Redis holds %q, want c2", got)
			}
		})
	}
}

// The same under an id that was used for something else, while Redis is away and after.
func TestReusedRequestWhileItsTicketWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m, _ := h.repeatable(t)
	h.early(t)
	m.Fields[0].Value, m.Digest = ticket.Text("c3"), "c3 of ticket 1"
	for _, away := range []bool{false, true} {
		h.next.away.Store(away)
		outcomes, err := h.Apply(t.Context(), []store.Mutation{m})
		if err != nil || !errors.Is(outcomes[0].Err, store.ErrReused) {
			t.Errorf("away %v: %+v (%v), want ErrReused", away, outcomes, err)
		}
	}
	h.next.away.Store(false)
	h.drained(t)
	if got := status(t, h, 1); got != "c2" {
		t.Errorf("Redis holds %q, want c2", got)
	}
}

// While Redis is away, a repetition of what this host has forgotten cannot be told from a new request. Redis then knows it, keeps
// the newer value, and does not keep it under the revisions under which this host showed the older.
func TestForgottenRepetitionWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m, _ := h.repeatable(t)
	h.restart(t)
	h.next.away.Store(true)
	told, behind := h.make(t, m), h.early(t)
	h.next.away.Store(false)
	h.drained(t)
	records, err := h.Get(t.Context(), []ticket.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	r := records[0]
	if value, _ := r.Fields.Get("status"); value.Text() != "c2" {
		t.Errorf("status is %q, want c2", value.Text())
	}
	if value, _ := r.Fields.Get("priority"); value.Text() != "high" {
		t.Errorf("priority is %q, want high", value.Text())
	}
	if r.Revision <= behind.Revision || behind.Revision <= told.Revision {
		t.Errorf("revision %d, want one above %d, under which the ticket was shown otherwise", r.Revision, behind.Revision)
	}
}

// What was acknowledged while Redis was away is made, also where its request id belongs to another request there.
func TestAcknowledgedReuseIsMade(t *testing.T) {
	t.Parallel()
	for name, harness := range map[string]func(*testing.T) *harness{
		"one partition": newHarness, "partitions": func(t *testing.T) *harness { return newPartitioned(t, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness(t)
			m, _ := h.repeatable(t)
			h.restart(t)
			h.next.away.Store(true)
			m.Fields[0].Value, m.Digest = ticket.Text("c3"), "c3 of ticket 1"
			h.make(t, m)
			h.next.away.Store(false)
			h.drained(t)
			if got := status(t, h.another(t), 1); got != "c3" {
				t.Errorf("Redis holds %q, want c3", got)
			}
		})
	}
}
