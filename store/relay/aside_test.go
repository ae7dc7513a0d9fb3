package relay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Changes and deletions wait that are older than the ticket which another host has created since. They are not made and are
// named; what was acknowledged later is made.
func TestChangesFromBeforeTheCreateAreSetAside(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	gone := mutation(2, "")
	gone.Kind, gone.Fields = store.Delete, nil
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{mutation(1, "another's"), gone}); err != nil ||
		errors.Join(outcomes[0].Err, outcomes[1].Err) != nil {
		t.Fatal(outcomes, err)
	}
	other := h.another(t)
	for id := ticket.ID(1); id <= 2; id++ {
		if outcomes, err := other.Apply(t.Context(), []store.Mutation{create(id, "mine")}); err != nil || outcomes[0].Err != nil {
			t.Fatal(outcomes, err)
		}
	}
	later := mutation(2, "mine, changed")
	later.Accepted = store.Unreceived
	h.next.away.Store(false)
	h.drained(t)
	latest, count := h.Aside()
	byTicket := map[ticket.ID]bool{}
	for _, a := range latest {
		byTicket[a.Ticket] = a.Deletion
	}
	if deletion, named := byTicket[1]; count != 2 || !named || deletion || !byTicket[2] {
		t.Errorf("%d changes are set aside: %+v", count, latest)
	}
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{later}); err != nil || outcomes[0].Err != nil {
		t.Errorf("a change of the ticket that was not deleted: %+v (%v)", outcomes, err)
	}
	for id, want := range map[ticket.ID]string{1: "mine", 2: "mine, changed"} {
		r := h.get(t, id)
		if value, _ := r.Fields.Get(later.Fields[0].Name); r.Deleted || value.Text() != want {
			t.Errorf("ticket %d is %+v, want %q", id, r, want)
		}
	}
}

// A create and what a client left in the spool may both come to the journal while Redis is away: the create is as old as its
// promise, and an older change is refused.
func TestJournalComparesAChangeWithItsCreate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	whole := create(1, "mine")
	made := whole.Begun()
	made.Accepted = made.Proposed - ticket.Revision(time.Minute.Microseconds())
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{made}); err != nil || outcomes[0].Err != nil {
		t.Fatal(outcomes, err)
	}
	for at, want := range map[ticket.Revision]error{made.Accepted - 1: store.ErrPredates, made.Accepted: nil} {
		m := mutation(1, "from the spool")
		m.Accepted = at
		if outcomes, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil || !errors.Is(outcomes[0].Err, want) {
			t.Errorf("acknowledged %d µs after the create: %+v (%v), want %v", at-made.Accepted, outcomes, err, want)
		}
	}
}
