package site

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// Changes of several clients share a call of the store, and each change gets a separate result: the two creates get free ids
// although the first proposed id is taken, the set of a ticket that only MySQL has is looked up, and a refusal concerns no other
// change.
func TestBatchAnswersEachChange(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.IDs = &counting{}
	d.write(t, 1, "precious")
	d.row(20, 5, false)

	b := d.Batch(6)
	b.AddCreate(t.Context(), &protocol.CreateParams{Fields: status("first")})
	b.AddSet(t.Context(), &protocol.SetParams{ID: 20, Fields: status("seen"), MustExist: true})
	b.AddSet(t.Context(), &protocol.SetParams{ID: 21, Fields: status("ghost"), MustExist: true})
	b.Refuse(22, errNoTicket)
	b.AddSet(t.Context(), &protocol.SetParams{ID: 1, Fields: []protocol.Field{{Name: "nonsense", Value: protocol.Text("x")}}})
	b.AddCreate(t.Context(), &protocol.CreateParams{Fields: status("second")})
	if err := b.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}

	for i, want := range []struct {
		id     ticket.ID
		status string
		err    error
	}{{3, "first", nil}, {20, "seen", nil}, {21, "", errNoTicket}, {22, "", errNoTicket}, {1, "precious", nil}, {2, "second", nil}} {
		outcome, err := b.Result(i)
		switch {
		case i == 4 && err == nil:
			t.Error("a field without a column was accepted")
		case i != 4 && !errors.Is(err, want.err):
			t.Errorf("change %d: error %v, want %v", i, err, want.err)
		case outcome.ID != want.id:
			t.Errorf("change %d is of ticket %d, want %d", i, outcome.ID, want.id)
		}
		if want.status == "" {
			continue
		}
		got, err := d.Get(t.Context(), &protocol.GetParams{ID: int64(want.id)})
		if err != nil || text(&got, "status") != want.status {
			t.Errorf("ticket %d is %+v (%v), want the status %s", want.id, got, err, want.status)
		}
	}
}

// An error of the store is the error of every change, and no result says that a change was made.
func TestBatchWithoutItsStore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.store.gone = true
	b := d.Batch(2)
	b.AddSet(t.Context(), &protocol.SetParams{ID: 1, Fields: status("open")})
	b.AddSet(t.Context(), &protocol.SetParams{ID: 2, Fields: status("open")})
	if err := b.Apply(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("error %v, want %v", err, store.ErrUnavailable)
	}
	for i := range 2 {
		if _, err := b.Result(i); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("result %d: error %v", i, err)
		}
	}
}
