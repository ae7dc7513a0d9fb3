package outbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// A deletion that was given up leaves no tombstone in this host's memory, be it given up here or on another host: there the next
// read of the ticket shows that it lives.
func TestADroppedDeletionLeavesNoTombstone(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.set(t, 1, "open")
			gone := mutation(1, "")
			gone.Kind, gone.Fields = store.Delete, nil
			if _, err := store.Make(t.Context(), h, gone); err != nil {
				t.Fatal(err)
			}
			claims, err := h.ClaimIDs(t.Context(), time.Now(), []ticket.ID{1}, time.Minute)
			if err != nil || len(claims) != 1 {
				t.Fatalf("claimed %+v (%v)", claims, err)
			}
			letter := ticket.Letter{ID: 1, Revision: claims[0].Revision, Code: 1644, Reason: "no deletions", At: time.Now()}
			if err := h.Park(t.Context(), []ticket.Letter{letter}); err != nil {
				t.Fatal(err)
			}
			var where store.Store = h
			if elsewhere {
				where = h.another(t)
			}
			if n, err := where.Drop(t.Context(), []ticket.ID{1, 2}); err != nil || n != 1 {
				t.Fatalf("dropped %d (%v), want one", n, err)
			}
			if elsewhere {
				if _, err := store.Make(t.Context(), where, mutation(1, "lives")); err != nil {
					t.Fatal(err)
				}
				status(t, h, 1)
			}
			h.next.away.Store(true)
			h.set(t, 1, "set while Redis is away")
		})
	}
}

// A deletion that arrived keeps its tombstone, whatever is dropped.
func TestDropKeepsTheTombstonesOfDeletedTickets(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if err := h.Bury(t.Context(), []ticket.ID{1}); err != nil {
		t.Fatal(err)
	}
	if n, err := h.Drop(t.Context(), []ticket.ID{1}); err != nil || n != 0 {
		t.Fatalf("dropped %d (%v), want none", n, err)
	}
	h.next.away.Store(true)
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{mutation(1, "late")}); err != nil ||
		!errors.Is(outcomes[0].Err, store.ErrDeleted) {
		t.Errorf("a change of a deleted ticket: %+v (%v)", outcomes, err)
	}
}
