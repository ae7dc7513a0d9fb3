package outbox_test

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// A site's quota is the caller's answer: the journal is no way around it. What the journal has acknowledged before waits there,
// in its order, until there is room, and is lost in no case.
func TestQuotaIsNotWaitedForInTheJournal(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{maxDirty: 2})
	h.set(t, 1, "a")
	h.set(t, 2, "a")
	outcomes, err := h.Apply(t.Context(), []store.Mutation{mutation(3, "a"), mutation(1, "b")})
	if err != nil || !errors.Is(outcomes[0].Err, store.ErrQuota) || outcomes[1].Err != nil {
		t.Fatalf("a third ticket, and one that is dirty: %v, %+v", err, outcomes)
	}
	if n := h.Journal().Entries; n != 0 {
		t.Errorf("%d changes wait in the journal", n)
	}
	early := mutation(4, "early")
	early.Early = true
	outcomes, err = h.Apply(t.Context(), []store.Mutation{early})
	if err != nil || outcomes[0].Err != nil {
		t.Fatalf("a change that the journal acknowledges: %v, %+v", err, outcomes)
	}
	var acked []store.Receipt
	claims, err := h.Claim(t.Context(), early.Due.AddDate(1, 0, 0), 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range claims {
		if claims[i].ID <= 2 {
			acked = append(acked, store.Receipt{ID: claims[i].ID, Revision: claims[i].Revision})
		}
	}
	if len(acked) != 2 {
		t.Fatalf("claimed %+v", claims)
	}
	if err := h.Ack(t.Context(), acked); err != nil {
		t.Fatal(err)
	}
	h.drained(t)
	if got := status(t, h.Store, ticket.ID(4)); got != "early" {
		t.Errorf("what the journal acknowledged is %q", got)
	}
}
