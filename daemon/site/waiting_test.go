package site

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// waiting has what MySQL lacks and nothing else: a clean copy may be older than what another program has written to the row.
func TestWaitingLeavesOutCleanCopies(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ask := func(how string, answer func(p *protocol.WaitingParams) *protocol.WaitingResult) {
		t.Helper()
		p := &protocol.WaitingParams{GetManyParams: protocol.GetManyParams{IDs: []int64{7, 8, 9}}}
		got := answer(p)
		if got.Stale || len(got.Tickets) != 3 || got.Tickets[1] != nil || got.Tickets[2] != nil || got.Tickets[0] == nil {
			t.Fatalf("%s: %+v", how, got)
		}
		if f := got.Tickets[0].Fields; len(f) != 1 || f[0].Name != "updated_at" || f[0].Value.Text() != "2026-02-02 03:04:05" {
			t.Fatalf("%s: %+v, want the time alone", how, got.Tickets[0])
		}
	}
	d.db.rows[9] = store.Record{ID: 9, Revision: 5, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}}}
	for _, id := range []int64{7, 8} {
		if _, err := d.Set(t.Context(), &protocol.SetParams{ID: id, Fields: []protocol.Field{
			{Name: "status", Value: protocol.Text("open")}, {Name: "updated_at", Value: protocol.Text("2026-01-02 03:04:05")},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Flush(t.Context(), &protocol.FlushParams{All: true}, func(_, _ int64) {}); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Get(t.Context(), &protocol.GetParams{ID: 9}); err != nil || got.Revision != 5 { // fills the store
		t.Fatal(got, err)
	}
	if _, err := d.Set(t.Context(), &protocol.SetParams{
		ID: 7, Fields: []protocol.Field{{Name: "updated_at", Value: protocol.Text("2026-02-02 03:04:05")}},
	}); err != nil {
		t.Fatal(err)
	}
	ask("a request of its own", func(p *protocol.WaitingParams) *protocol.WaitingResult {
		got, err := d.Waiting(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return &got
	})
	ask("in a round", func(p *protocol.WaitingParams) *protocol.WaitingResult {
		b := Gate{d.Site}.Hot()
		if !b.Waiting(p) {
			t.Fatal("not taken into the round")
		}
		b.Run(t.Context())
		got, _ := b.Answer(0).Result.(*protocol.WaitingResult)
		return got
	})
	if _, err := d.Delete(t.Context(), &protocol.DeleteParams{ID: 8}); err != nil {
		t.Fatal(err)
	}
	got, err := d.Waiting(t.Context(), &protocol.WaitingParams{GetManyParams: protocol.GetManyParams{IDs: []int64{8}}})
	if err != nil || got.Tickets[0] == nil || !got.Tickets[0].Deleted || len(got.Tickets[0].Fields) != 0 {
		t.Fatalf("a deletion that waits: %+v (%v)", got.Tickets[0], err)
	}
}
