package outbox_test

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// One part of the next store is away: what waits for the others arrives, and their new changes do not wait at all. Afterwards the
// journal is opened again, when of two confirmations the one with the lower number is left: the next change must not get a
// number that was used, or the next store would pass over it. Without the newest number in each confirmation it does (tried).
func TestOnePartIsAway(t *testing.T) {
	t.Parallel()
	h := newPartitioned(t, 1) // each record is a segment
	h.next.gone.Store(1)
	h.next.away.Store(true)
	h.set(t, 1, "waits") // number 1
	h.set(t, 2, "waits") // number 2
	h.next.away.Store(false)
	h.Nudge()
	deadline := time.After(10 * time.Second)
	for h.Journal().Entries > 1 {
		select {
		case <-deadline:
			t.Fatalf("%d changes wait, want that of the part that is away", h.Journal().Entries)
		case <-time.After(time.Millisecond):
		}
	}
	if got := status(t, h.next, 2); got != "waits" {
		t.Errorf("ticket 2 is %q in the next store", got)
	}
	h.set(t, 2, "direct")
	if got := h.Journal().Entries; got != 1 {
		t.Errorf("%d changes wait: one went into the journal whose part answers", got)
	}
	h.next.gone.Store(0)
	h.drained(t)

	h.close(t)
	h.open(t)
	h.next.away.Store(true)
	h.set(t, 2, "after")
	h.next.away.Store(false)
	h.drained(t)
	for id, want := range map[ticket.ID]string{1: "waits", 2: "after"} {
		if got := status(t, h.next, id); got != want {
			t.Errorf("ticket %d is %q in the next store, want %q", id, got, want)
		}
	}
}
