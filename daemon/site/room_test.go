package site

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store/pending"
)

// If the store becomes full during a set_many, the answer says for each pair whether the pair was made.
func TestSetManyOverAStoreThatFills(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.store.Store = pending.NewWith(pending.Options{MaxDirty: 2})
	status := []protocol.Field{{Name: "status", Value: protocol.Text("open")}}
	p := &protocol.SetManyParams{Tickets: []protocol.TicketFields{
		{ID: 7, Fields: status}, {ID: 8, Fields: status}, {ID: 9, Fields: status}, {ID: 7, Fields: status},
	}}
	result, err := d.SetMany(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for i, room := range []bool{true, true, false, true} {
		o := result.Outcomes[i]
		if room && o.Err != nil || !room && !errors.Is(o.Err, &protocol.Error{Code: protocol.CodeOverloaded}) {
			t.Errorf("pair %d (room: %v): %+v", i, room, o)
		}
		if room && o.Revision == 0 {
			t.Errorf("pair %d has no revision", i)
		}
	}
}
