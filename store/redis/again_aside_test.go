package redis_test

import (
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// aside keeps the changes that cannot be applied again.
type aside struct {
	mu   sync.Mutex
	kept []store.Mutation
}

func (a *aside) keep(m *store.Mutation, _ time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = append(a.kept, *m)
	return nil
}

// take returns the kept changes since the last call, by ticket.
func (a *aside) take() map[ticket.ID]store.Mutation {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := map[ticket.ID]store.Mutation{}
	for i := range a.kept {
		of[a.kept[i].ID] = a.kept[i]
	}
	a.kept = nil
	return of
}

// A fail-over loses changes of ids that another host then gives to new tickets. The changes are not applied again, and are set
// aside with their values; so are the older changes of a ticket that the daemon has changed since, and no other change of the
// ticket.
func TestWhatIsOlderThanItsTicketIsSetAside(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := p.host(t, "a")
	a.must(t, change(1, field("status", "open")))
	p.behind(t)
	a.must(t, change(5, field("status", "another's"), field("note", "another's")))
	a.must(t, store.Mutation{Kind: store.Delete, ID: 6})
	flushed := a.must(t, change(7, field("status", "flushed")))
	if err := a.Ack(t.Context(), []store.Receipt{{ID: 7, Revision: flushed}}); err != nil { // MySQL keeps the change
		t.Fatal(err)
	}
	b := &host{Store: open(t, p.direct, redis.Options{Host: "b"})}
	for id := ticket.ID(5); id <= 7; id++ {
		b.must(t, store.Mutation{Kind: store.Create, ID: id, Fields: ticket.Fields{field("status", "mine")}})
	}
	p.fail(t)
	a.comesBack(t)
	got := p.aside.take()
	if m := got[5]; m.Kind != store.Set || len(m.Fields) != 2 || m.Fields[0] != field("status", "another's") {
		t.Errorf("of the changed ticket %+v is set aside", m)
	}
	if m := got[6]; m.Kind != store.Delete || len(got) != 2 {
		t.Errorf("of the deleted ticket %+v is set aside, of %d", m, len(got))
	}
	changed := a.must(t, change(5, field("status", "mine, changed")))
	if err := a.Replaced(t.Context(), a.client, "another process", []int{0}); err != nil {
		t.Fatal(err)
	}
	got = p.aside.take()
	if m := got[5]; len(m.Fields) != 1 || m.Fields[0] != field("note", "another's") {
		t.Errorf("of the ticket that was changed since %+v is set aside", m)
	}
	r := b.get(t, 5)
	holds(t, r, changed, field("status", "mine, changed"))
	if _, there := r.Fields.Get("note"); there || b.get(t, 6).Deleted {
		t.Errorf("the tickets are %+v and %+v", r, b.get(t, 6))
	}
}
