package storetest

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

func (b *bench) fill(t *testing.T, row store.Record, base ticket.Revision) {
	t.Helper()
	if err := b.Store.Fill(t.Context(), []store.Record{row}, []ticket.Revision{base}); err != nil {
		t.Fatalf("Fill: %v", err)
	}
}

func testFill(t *testing.T, b *bench) {
	base := b.set(t, 1, "status", "closed")
	row := store.Record{ID: 1, Revision: base - 10, Fields: fields("status", "open", "category", "billing")}
	b.fill(t, row, base)
	got := b.get(t, 1)
	wantFields(t, got.Fields, "status", "closed", "category", "billing")
	if !got.Full || !got.Dirty || got.Revision != base {
		t.Fatalf("completed ticket is %+v, want it whole, dirty and at revision %d", got, base)
	}
	b.advance(linger)
	wantFields(t, b.claimOne(t).Fields, "status", "closed")

	b.fill(t, store.Record{ID: 2, Revision: 77, Fields: fields("status", "open")}, 0)
	if got := b.get(t, 2); !got.Full || got.Dirty || got.Revision != 77 {
		t.Fatalf("filled ticket is %+v, want it whole, clean and at revision 77", got)
	}
}

func testFillStale(t *testing.T, b *bench) {
	base := b.set(t, 1, "category", "billing")
	b.set(t, 1, "status", "closed")
	b.fill(t, store.Record{ID: 1, Revision: base, Fields: fields("status", "open", "priority", "low")}, base)
	wantFields(t, b.get(t, 1).Fields, "category", "billing", "status", "closed")
}

func testFillDeleted(t *testing.T, b *bench) {
	b.fill(t, store.Record{ID: 1, Revision: 5, Deleted: true, Fields: fields("status", "open")}, 0)
	if got := b.get(t, 1); !got.Deleted || got.Dirty {
		t.Fatalf("filled from a deleted row: %+v", got)
	}
}

// The row is ahead of a dirty ticket: what waits is older than what the sink has, and must not be taken for newer by
// its revision.
func testFillAhead(t *testing.T, b *bench) {
	base := b.set(t, 1, "status", "old")
	b.fill(t, store.Record{ID: 1, Revision: base + 10, Fields: fields("status", "new")}, base)
	if got := b.get(t, 1); got.Revision != base || got.Full {
		t.Fatalf("ticket is %+v, want it left as it was", got)
	}
	b.ackAhead(t, base+10)
	if got := b.get(t, 1); got.Held() {
		t.Fatalf("a ticket older than the sink is still served: %+v", got)
	}
}
