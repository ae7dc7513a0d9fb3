package storetest

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

var fillCases = cases{
	"Fill/CompletesPartial":               testFill,
	"Fill/StaleRowIsPassedOver":           testFillStale,
	"Fill/DirtyIsPassedOver":              testFillDirty,
	"Fill/RowOlderThanTheAckIsPassedOver": testFillAfterAck,
	"Fill/DeletedRowIsDeleted":            testFillDeleted,
}

func (b *bench) fill(t *testing.T, row store.Record, base ticket.Revision) {
	t.Helper()
	if err := b.Store.Fill(t.Context(), []store.Record{row}, []ticket.Revision{base}); err != nil {
		t.Fatalf("Fill: %v", err)
	}
}

func testFill(t *testing.T, b *bench) {
	base := b.set(t, 1, "status", "closed")
	b.ack(t, 1, base)
	b.fill(t, store.Record{ID: 1, Revision: base, Fields: fields("status", "closed", "category", "billing")}, base)
	got := b.get(t, 1)
	wantFields(t, got.Fields, "status", "closed", "category", "billing")
	if !got.Full || got.Dirty || got.Revision != base {
		t.Fatalf("completed ticket is %+v, want it whole, clean and at revision %d", got, base)
	}

	b.fill(t, store.Record{ID: 2, Revision: 77, Fields: fields("status", "open")}, 0)
	if got := b.get(t, 2); !got.Full || got.Dirty || got.Revision != 77 {
		t.Fatalf("filled ticket is %+v, want it whole, clean and at revision 77", got)
	}
}

// The daemon read the row before the flush; the row arrives after the ack, which did not change the revision.
func testFillAfterAck(t *testing.T, b *bench) {
	base := b.set(t, 1, "status", "new")
	b.ack(t, 1, base)
	b.fill(t, store.Record{ID: 1, Revision: base - 10, Fields: fields("status", "old")}, base)
	wantFields(t, b.get(t, 1).Fields, "status", "new")
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

// Each pending field may be older or newer than the row's field, so Fill does not change a dirty ticket.
func testFillDirty(t *testing.T, b *bench) {
	base := b.set(t, 1, "status", "old")
	for _, row := range []ticket.Revision{base - 10, base, base + 10} {
		b.fill(t, store.Record{ID: 1, Revision: row, Fields: fields("status", "new", "category", "billing")}, base)
		if got := b.get(t, 1); got.Revision != base || got.Full || len(got.Fields) != 1 {
			t.Fatalf("ticket is %+v, want it left as it was", got)
		}
	}
}
