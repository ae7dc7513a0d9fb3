package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// Another program deletes the key of a pending ticket, and before the flush the ticket is changed, or a reader brings the row of
// the ticket. The new hash holds what was acknowledged before. Without the look at the index in apply.lua, and in fill.lua, the
// earlier changes are missing in the claim, and no message says so.
func TestDeletedKeysOfTicketsThatAreChanged(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	told := map[string]bool{}
	h := &host{Store: open(t, client, redis.Options{
		Prefix: prefix, Host: "a", Journal: "a", OnVanished: func(key string, back bool) { told[key] = back },
	})}
	other := &host{Store: open(t, client, redis.Options{Prefix: prefix, Host: "b"})}
	for id := ticket.ID(1); id <= 5; id++ {
		h.must(t, change(id, field("note", "acknowledged")))
	}
	dead := h.must(t, change(6, field("note", "acknowledged")))
	if err := h.Park(t.Context(), []ticket.Letter{{ID: 6, Revision: dead, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	other.must(t, change(7, field("note", "another daemon's")))
	for id := ticket.ID(1); id <= 7; id++ {
		if err := client.Del(t.Context(), h.Key(id)).Err(); err != nil {
			t.Fatal(err)
		}
	}

	row := store.Record{ID: 5, Revision: 1, Full: true, Fields: ticket.Fields{field("note", "old")}}
	if err := h.Fill(t.Context(), []store.Record{row}, []ticket.Revision{0}); err != nil {
		t.Fatal(err)
	}
	late := func(id ticket.ID, n uint64) store.Entry {
		return store.Entry{Sequence: n, Revision: ticket.Revision(n), Mutation: change(id, field("status", "changed"))}
	}
	replayed, err := h.Replay(t.Context(), []store.Entry{late(1, 1), late(2, 2), late(1, 3)})
	if err != nil {
		t.Fatal(err)
	}
	made, err := h.Apply(t.Context(), []store.Mutation{
		change(8, field("status", "changed")), change(3, field("status", "changed")), {Kind: store.Create, ID: 4},
		change(5, field("status", "changed")), change(6, field("status", "changed")), change(7, field("status", "changed")),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range append(replayed, made...) {
		if taken := i == 5; (o.Err == nil) == taken || taken && !errors.Is(o.Err, store.ErrTaken) {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	claims := h.claims(t)
	for id := ticket.ID(1); id <= 6; id++ {
		note, _ := claims[id].All.Get("note")
		status, changed := claims[id].All.Get("status")
		if note.Text() != "acknowledged" || changed != (id != 4) || changed && status.Text() != "changed" {
			t.Errorf("claim %d is %+v", id, claims[id])
		}
		if !told[h.Key(id)] {
			t.Errorf("told %v, want that ticket %d is back", told, id)
		}
	}
	if back, is := told[h.Key(7)]; back || !is || len(claims[7].All) != 1 {
		t.Errorf("claim %+v, told %v, want that the other daemon's change is lost, and the later change", claims[7], told)
	}
}
