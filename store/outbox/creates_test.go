package outbox_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// A create waited on its host while others, who were told the id, changed the ticket; by the time of the replay Redis may have
// handed that on to MySQL and forgotten it. So the create brings what it was given, never the table's defaults, and is not taken
// for the whole ticket. Made as the create that it was, it overwrites what others have written (found by make chaos).
func TestReplayedCreateBringsNoDefaults(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	for id := range ticket.ID(2) {
		m := mutation(id+1, "given")
		m.Kind, m.Defaults = store.Create, 1
		m.Fields = append(m.Fields, ticket.Field{Name: "category", Value: ticket.Text("default")})
		if _, err := store.Make(t.Context(), h, m); err != nil {
			t.Fatal(err)
		}
	}
	other := h.another(t)
	elsewhere := mutation(2, "elsewhere")
	elsewhere.Fields[0].Name = "category"
	if _, err := store.Make(t.Context(), other, elsewhere); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.drained(t)
	records, err := other.Get(t.Context(), []ticket.ID{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "elsewhere"} {
		r := &records[i]
		category, _ := r.Fields.Get("category")
		if status, _ := r.Fields.Get("status"); status.Text() != "given" || category.Text() != want || r.Full {
			t.Errorf("ticket %d is %+v, want category %q, not the whole ticket", r.ID, r, want)
		}
	}
}

// The create of a ticket has been replayed, and a later change of it still waits: the ticket is not whole any more, as Redis
// has only what the create was given. Where the create is forgotten with its defaults, readers get a whole ticket without them
// (found by make chaos).
func TestCreateThatHasArrivedIsNoWholeTicket(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	create := mutation(1, "given")
	create.Kind, create.Defaults = store.Create, 1
	create.Fields = append(create.Fields, ticket.Field{Name: "category", Value: ticket.Text("default")})
	const perReplay = 128
	changes := []store.Mutation{create}
	for len(changes) <= perReplay {
		changes = append(changes, mutation(1, strconv.Itoa(len(changes))))
	}
	if _, err := h.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if r := h.get(t, 1); !r.Full {
		t.Errorf("the ticket is %+v while its create waits, want it whole", r)
	}
	var replays atomic.Int64
	second := make(chan struct{})
	h.next.failWith(func(write string) (before, after bool) {
		if write != "replay" || replays.Add(1) == 1 {
			return false, false
		}
		if replays.Load() == 2 {
			close(second)
		}
		return true, false
	})
	h.next.away.Store(false)
	<-second
	r := h.get(t, 1)
	if _, there := r.Fields.Get("category"); there || r.Full || !r.Queued {
		t.Errorf("the ticket is %+v when its create has arrived, want it not whole, as a change waits", r)
	}
}

func (h *harness) get(t *testing.T, id ticket.ID) store.Record {
	t.Helper()
	records, err := h.Get(t.Context(), []ticket.ID{id})
	if err != nil {
		t.Fatal(err)
	}
	return records[0]
}

// A create had reached Redis, and its reply was lost; it was then repeated under an id of the caller's own while Redis was away,
// and acknowledged. Redis knows the request when it is replayed, but under the other id: the acknowledged ticket must be there
// all the same. Where any repeated request is passed over, it is lost (tried).
func TestAcknowledgedTicketIsMade(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]store.Kind{"Create": store.Create, "Set": store.Set} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			first := mutation(1, "reply was lost")
			first.Kind, first.RequestID = store.Create, "r"
			if _, err := store.Make(t.Context(), h.another(t), first); err != nil {
				t.Fatal(err)
			}
			h.next.away.Store(true)
			again := mutation(2, "acknowledged")
			again.Kind, again.RequestID = kind, "r"
			outcomes, err := h.Apply(t.Context(), []store.Mutation{again})
			if err != nil || outcomes[0].ID != 2 {
				t.Fatalf("%v %+v", err, outcomes)
			}
			h.next.away.Store(false)
			h.drained(t)
			if got := status(t, h.another(t), 2); got != "acknowledged" {
				t.Errorf("Redis holds %q", got)
			}
		})
	}
}
