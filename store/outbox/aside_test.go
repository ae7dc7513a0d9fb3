package outbox_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// aside is where changes are kept that mean another ticket than the one that has their id.
type aside struct {
	mu   sync.Mutex
	full bool
	kept map[ticket.ID]store.Mutation
	at   map[ticket.ID]time.Time
}

func (a *aside) keep(m *store.Mutation, acknowledged time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.full {
		return errors.New("the disk is full")
	}
	if a.kept == nil {
		a.kept, a.at = map[ticket.ID]store.Mutation{}, map[ticket.ID]time.Time{}
	}
	a.kept[m.ID], a.at[m.ID] = *m, acknowledged
	return nil
}

func (a *aside) setFull(full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.full = full
}

// of returns what is kept of a ticket.
func (a *aside) of(id ticket.ID) (m store.Mutation, at time.Time, there bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, there = a.kept[id]
	return m, a.at[id], there
}

// predate has a change of ticket 1 and a deletion of ticket 2 wait in the journal, while another host creates both.
func (h *harness) predate(t *testing.T) {
	t.Helper()
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
}

// Changes and deletions wait that are older than the ticket which another host has created since. They are not made, and are kept
// with all that they hold, also where the reply was lost that said so; what was acknowledged later is made.
func TestChangesFromBeforeTheCreateAreSetAside(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.predate(t)
	later := mutation(2, "mine, changed")
	later.Accepted = store.Unreceived
	lost := false
	h.next.failWith(func(write string) (before, after bool) {
		after = write == "replay" && !lost
		lost = lost || after
		return false, after
	})
	h.next.away.Store(false)
	h.drained(t)
	set, at, kept := h.aside.of(1)
	if value, _ := set.Fields.Get("status"); !kept || set.Kind != store.Set || value.Text() != "another's" || at.IsZero() || !lost {
		t.Errorf("of ticket 1 %+v of %v is set aside (%t; a reply was lost: %t)", set, at, kept, lost)
	}
	if deletion, _, kept := h.aside.of(2); !kept || deletion.Kind != store.Delete {
		t.Errorf("of ticket 2 %+v is set aside (%t)", deletion, kept)
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

// What cannot be set aside stays in the journal, also when the daemon starts anew, and holds up no other ticket.
func TestWhatCannotBeSetAsideStays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.aside.setFull(true)
	h.predate(t)
	h.set(t, 3, "waits behind them")
	h.next.away.Store(false)
	arrived := func() bool { return h.Journal().Entries == 2 && h.Stuck([]ticket.ID{1, 2}) != nil }
	testenv.Eventually(t, 10*time.Second, "the other ticket's change has arrived", arrived)
	stuck := (*store.StuckError)(nil)
	if !errors.As(h.Stuck(nil), &stuck) || stuck.Tickets != 2 || !errors.Is(stuck.Why, store.ErrPredates) {
		t.Errorf("stuck: %v", h.Stuck(nil))
	}
	if got := status(t, h.another(t), 3); got != "waits behind them" {
		t.Errorf("the other ticket reads %q", got)
	}
	h.restart(t)
	testenv.Eventually(t, 10*time.Second, "they are stuck again", arrived)
	h.aside.setFull(false)
	testenv.Eventually(t, 10*time.Second, "there is room for them", func() bool { return h.Journal().Entries == 0 })
	for id := ticket.ID(1); id <= 2; id++ {
		if m, _, kept := h.aside.of(id); !kept {
			t.Errorf("of ticket %d %+v is set aside (%t)", id, m, kept)
		}
	}
	if r := h.get(t, 2); r.Deleted {
		t.Errorf("the ticket that was not deleted is %+v", r)
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
