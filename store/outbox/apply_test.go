package outbox_test

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// A conditional change that only the next store could decide fails alone: the others of its call wait in the journal, or are
// made.
func TestConditionFailsAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	have := h.set(t, 1, "a").Revision
	h.set(t, 2, "a")
	h.next.away.Store(true)
	h.set(t, 2, "waits")
	first, second := mutation(1, "conditional"), mutation(2, "conditional")
	first.IfRevision, second.IfRevision = have, have
	outcomes, err := h.Apply(t.Context(), []store.Mutation{first, mutation(3, "b"), second, mutation(1, "c")})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false, true} {
		if got := outcomes[i].Err == nil; got != want || !got && !errors.Is(outcomes[i].Err, store.ErrUnavailable) {
			t.Errorf("mutation %d: %+v, want it made: %v", i, outcomes[i], want)
		}
	}
	h.next.away.Store(false)
	h.drained(t)
	for id, want := range map[int]string{1: "c", 2: "waits", 3: "b"} {
		if got := status(t, h.Store, ticket.ID(id)); got != want {
			t.Errorf("ticket %d is %q, want %q", id, got, want)
		}
	}
}

// A change of which the next store did not say what became of it, and for which the journal has no room, may have been made: that
// there is no room would deny it.
func TestUnansweredIsNotRefusedForRoom(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{cluster: true, maxEntries: 1})
	early := mutation(1, "waits")
	early.Early = true
	h.next.gone.Store(1) // so that it stays in the journal
	if _, err := store.Make(t.Context(), h, early); err != nil {
		t.Fatal(err)
	}
	h.next.failWith(func(operation string) (before, after bool) { return false, operation == "apply" })
	outcomes, err := h.Apply(t.Context(), []store.Mutation{mutation(1, "behind it"), mutation(2, "made, and nobody said so")})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes[0].Err; !errors.Is(got, store.ErrFull) || errors.Is(got, store.ErrUnavailable) {
		t.Errorf("what waits behind the first: %v, want that there is no room", got)
	}
	if got := outcomes[1].Err; !errors.Is(got, store.ErrUnavailable) {
		t.Errorf("what may have been made: %v, want that it is not known", got)
	}
	h.next.failWith(func(string) (bool, bool) { return false, false })
	h.next.gone.Store(0)
	h.drained(t)
}
