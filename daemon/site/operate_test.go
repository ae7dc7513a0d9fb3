package site

import (
	"testing"
	"testing/synctest"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/flush"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for id := range int64(5) {
			d.write(t, id+1, "bad")
			if id != 2 {
				d.db.refuse[ticket.ID(id+1)] = &flush.Refusal{Code: 4025, Reason: "CONSTRAINT `status` failed"}
			}
		}
		if err := d.Flusher.TryFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := d.DeadList(t.Context(), &protocol.DeadListParams{After: 1, Limit: 2})
		if err != nil || len(page.Letters) != 2 || page.Letters[0].ID != 2 || page.Letters[1].ID != 4 {
			t.Fatalf("letters %+v (%v), want those of 2 and 4", page, err)
		}
		if l := page.Letters[0]; l.Code != 4025 || len(l.Fields) == 0 || l.At.IsZero() {
			t.Errorf("letter %+v", l)
		}
		n, err := d.DeadDrop(t.Context(), &protocol.DeadParams{IDs: []int64{1, 3}})
		if err != nil || n.Count != 1 {
			t.Errorf("dropped %d (%v), want the dead letter alone", n.Count, err)
		}
		_, err = d.Get(t.Context(), &protocol.GetParams{ID: 1})
		wantCode(t, err, protocol.CodeNotFound)
		n, err = d.DeadRetry(t.Context(), &protocol.DeadParams{All: true})
		if err != nil || n.Count != 3 {
			t.Errorf("retried %d (%v), want 3", n.Count, err)
		}
		if err := d.Flusher.TryFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err = d.DeadDrop(t.Context(), &protocol.DeadParams{All: true}); err != nil || n.Count != 3 {
			t.Errorf("dropped %d (%v), want those that are dead again", n.Count, err)
		}
	})
}
