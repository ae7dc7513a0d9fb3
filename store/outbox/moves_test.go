package outbox_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store"
)

// While a change of a ticket is being made by its id, which was acknowledged for it, the ticket gets no other id: the change
// would go to the stranger's ticket.
func TestCreateIsNotMovedWhileAChangeOfItIsMade(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}})
	h.next.away.Store(true)
	m := create(1, "mine")
	m.RequestID, m.Accepted = "order", m.Proposed-5_000_000
	if _, err := h.Apply(t.Context(), []store.Mutation{m, mutation(2, "open")}); err != nil {
		t.Fatal(err)
	}
	h.stranger(t, 1)
	h.moves.set(true, nil)
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "the create waits behind the others", func() bool {
		return status(t, h.another(t), 2) == "open" && h.Journal().Entries == 1
	})
	if _, err := h.Apply(t.Context(), []store.Mutation{mutation(1, "changed")}); err != nil { // it is made
		t.Fatal(err)
	}
	h.moves.set(false, nil)
	testenv.Eventually(t, 10*time.Second, "all has arrived", func() bool { return h.Journal().Entries == 0 })
	ids := h.ids.last + 1000 // one is used up by each try
	if got, other := status(t, h.another(t), ids), status(t, h.another(t), 1); got != "changed" || other != "a stranger's" {
		t.Errorf("the create's ticket is %q, the other one %q", got, other)
	}
	told := h.moves.take()
	if len(told) != 1 || told[0].RequestID != "order" || told[0].Since.UnixMicro() != int64(m.Accepted) || told[0].To != ids {
		t.Errorf("told of %+v, want the create that was acknowledged at %d", told, m.Accepted)
	}
}

// Where a move cannot be kept elsewhere, the journal keeps its records, and tells of it again: at its next chance, after a
// restart.
func TestJournalKeepsAMoveThatIsNotKeptElsewhere(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}, segment: 2000})
	h.next.away.Store(true)
	m := create(1, "mine")
	m.Accepted = m.Proposed - 5_000_000
	if _, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil {
		t.Fatal(err)
	}
	h.stranger(t, 1)
	h.moves.set(false, errors.New("the disk is full"))
	fill := func() {
		for i := range 20 {
			h.next.away.Store(true)
			h.set(t, 5, strconv.Itoa(i)+strings.Repeat(" and so on", 20))
			h.next.away.Store(false)
			h.drained(t)
		}
	}
	fill()
	if n := h.Journal().Segments; n < 3 {
		t.Errorf("%d segments, want all of them", n)
	}
	h.close(t)
	h.moves.set(false, nil)
	h.open(t)
	told := h.moves.take()
	if len(told) != 1 || told[0].To != 1001 || told[0].Since.UnixMicro() != int64(m.Accepted) {
		t.Errorf("told of %+v, want the create that was acknowledged at %d", told, m.Accepted)
	}
	fill()
	if n := h.Journal().Segments; n > 2 {
		t.Errorf("%d segments, want what the last changes take", n)
	}
}
