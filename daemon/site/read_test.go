package site

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// A whole copy that is older than an added column lacks the column: the answer has the value of the row and not NULL, whether the
// column may be NULL or not. While MySQL does not answer, the copy is shown with the default, as stale.
func TestColumnAddedAfterTheCopy(t *testing.T) {
	t.Parallel()
	for _, nullable := range []bool{false, true} {
		d := newDesk(t)
		fields := ticket.Fields{
			{Name: "status", Value: ticket.Text("open")}, {Name: "updated_at", Value: ticket.Text("2026-01-02 03:04:05")},
		}
		d.db.rows[7] = store.Record{ID: 7, Revision: 5, Fields: fields}
		read := func(want string) *protocol.Ticket {
			t.Helper()
			got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(got.Fields, func(f protocol.Field) bool { return f.Name == "kind" })
			if want != "" && (at < 0 || got.Fields[at].Value != protocol.Text(want)) {
				t.Errorf("nullable %v: read %+v, want the added column's value", nullable, got.Fields)
			}
			return &got
		}
		read("")
		read("")
		if _, queries := d.db.counts(); queries != 1 {
			t.Fatalf("%d queries for two reads: the ticket is not held whole, and the test proves nothing", queries)
		}
		altered := *d.db.definition
		altered.Columns = append(slices.Clone(altered.Columns), table.Column{
			Field: "kind", Name: "kind", Kind: table.Varchar, MaxChars: 32, Nullable: nullable,
			Default: table.Default{Source: table.Literal, Text: "mail"},
		})
		if err := altered.Prepare(); err != nil {
			t.Fatal(err)
		}
		d.db.definition = &altered
		d.db.set(fmt.Errorf("%w: gone", flush.ErrSinkDown))
		if got := read("mail"); !got.Stale {
			t.Errorf("nullable %v: without MySQL %+v, want it stale", nullable, got)
		}
		d.db.set(nil)
		d.db.rows[7] = store.Record{ID: 7, Revision: 5, Fields: fields.With("kind", ticket.Text("post"))}
		_, before := d.db.counts()
		read("post")
		read("post")
		if _, queries := d.db.counts(); queries != before+1 {
			t.Errorf("nullable %v: %d queries, want one for the added column", nullable, queries-before)
		}
	}
}

// A row was deleted in SQL, and the store holds a part of the ticket with a pending change: the ticket is not found, as lists
// have it, and not shown with defaults for all that the store does not know. The first change of an id that no ticket had is
// shown.
func TestAVanishedRowIsNotFound(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write(t, 7, "open")
	if _, err := d.Flusher.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	set := func(id int64) {
		t.Helper()
		if _, err := d.Set(t.Context(), &protocol.SetParams{
			ID: id, Fields: []protocol.Field{{Name: "updated_at", Value: protocol.Text("2026-01-02 03:04:05")}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	delete(d.db.rows, 7)
	set(7)
	set(8)
	if got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7}); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
		t.Errorf("the ticket is %+v (%v), want it not found", got, err)
	}
	if _, err := d.Get(t.Context(), &protocol.GetParams{ID: 8}); err != nil {
		t.Errorf("the new ticket: %v", err)
	}
}

// After a fail-over of Redis a pending change is behind until the flush, or as a dead letter for good. Where the store says that
// MySQL had the row, such a ticket without a row is not found either, and is not shown with defaults. Without that proof a place
// that does not answer may have the rest of the ticket.
func TestAVanishedRowIsNotFoundInDoubt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fields := ticket.Fields{{Name: "status", Value: ticket.Text("open")}}
	for had, held := range map[bool]bool{true: false, false: true} {
		records := []store.Record{{ID: 7, Revision: 5, Dirty: true, Had: had, Behind: true, Changed: 1, Fields: fields}}
		if complete(d.db.definition, records, nil); records[0].Held() != held {
			t.Errorf("had %v: the ticket is %+v", had, records[0])
		}
	}
}

// Readers share a look at the places: the result of a look during an outage stays stale for readers who got the store's answer
// before.
func TestStaleStaysStale(t *testing.T) {
	t.Parallel()
	fields := ticket.Fields{{Name: "status", Value: ticket.Text("open")}}
	record := store.Record{ID: 7, Revision: 5}
	found := store.Record{ID: 7, Revision: 6, Full: true, Queued: true, Behind: true, Fields: fields}
	if merge(&record, &found); record.Revision != 6 || !record.Behind {
		t.Errorf("merged into %+v, want revision 6, behind", record)
	}
}

// A reader does not share the row of an earlier reader if the ticket was written since: the row lacks the change, and the store
// may have forgotten the change once MySQL has it. If readers of a ticket share any look under way, the change is not read
// (tried).
func TestReadAfterAWriteAsksAnew(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fields := ticket.Fields{
		{Name: "status", Value: ticket.Text("open")}, {Name: "updated_at", Value: ticket.Text("2026-01-02 03:04:05")},
	}
	d.db.rows[7] = store.Record{ID: 7, Revision: 5, Fields: fields}
	read, sent := make(chan struct{}), make(chan struct{})
	d.db.late = func() {
		close(read)
		<-sent
	}
	var earlier sync.WaitGroup
	earlier.Go(func() { _, _ = d.Get(t.Context(), &protocol.GetParams{ID: 7}) })
	<-read
	d.write(t, 7, "closed")
	if err := d.Flusher.TryFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.db.mu.Lock()
	written := d.db.rows[7].Revision
	d.db.mu.Unlock()
	if err := d.store.Ack(t.Context(), []store.Receipt{{ID: 7, Revision: written, Ahead: true}}); err != nil {
		t.Fatal(err)
	}
	done := make(chan protocol.Ticket, 1)
	go func() {
		got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	var got protocol.Ticket
	select {
	case got = <-done:
	case <-time.After(time.Second):
		t.Error("the reader waits for the row of the earlier reader")
	}
	close(sent)
	earlier.Wait()
	at := slices.IndexFunc(got.Fields, func(f protocol.Field) bool { return f.Name == "status" })
	if got.Revision != int64(written) || at < 0 || got.Fields[at].Value != protocol.Text("closed") {
		t.Errorf("read %+v, want closed at revision %d", got, written)
	}
}

// A row of MySQL is shown unchanged, whatever the store holds of an earlier row of the same id: flushed fields are not laid over
// the row, now or later. Pending fields are.
func TestWhatWasFlushedIsNotLaidOverAnOlderRow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	read := func(want string) (revision int64) {
		t.Helper()
		got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(got.Fields, func(f protocol.Field) bool { return f.Name == "status" })
		if at < 0 || got.Fields[at].Value != protocol.Text(want) {
			t.Errorf("read %+v, want the status %q", got.Fields, want)
		}
		return got.Revision
	}
	d.db.rows[7] = store.Record{ID: 7, Revision: 5, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("new")}}}
	d.write(t, 7, "waits")
	read("waits")
	if err := d.Flusher.TryFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.db.rows[7] = store.Record{ID: 7, Revision: 0, Fields: ticket.Fields{
		{Name: "status", Value: ticket.Text("another's")}, {Name: "updated_at", Value: ticket.Text("2026-01-02 03:04:05")},
	}}
	read("another's")
	_, before := d.db.counts()
	revision := read("another's")
	if _, after := d.db.counts(); after != before {
		t.Error("the row did not replace the store's fields")
	}
	_, err := d.Set(t.Context(), &protocol.SetParams{
		ID: 7, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("changed")}}, IfRevision: revision,
	})
	if err != nil {
		t.Errorf("a change under the revision that was read: %v", err)
	}
	read("changed")
}

// A ticket that a set has made, and that has no row yet, has the time of the set as the time of creation at each read.
func TestTicketsOfSetsHaveOneTimeOfCreation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.db.definition.Columns = append(d.db.definition.Columns, table.Column{
			Field: "created_at", Name: "created_at", Kind: table.Datetime, Default: table.Default{Source: table.Now},
		})
		d.db.definition.CreatedAt = "created_at"
		if err := d.db.definition.Prepare(); err != nil {
			t.Fatal(err)
		}
		made := time.Now().UTC().Format(time.DateTime)
		d.write(t, 7, "open")
		for range 2 {
			time.Sleep(time.Hour)
			got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range got.Fields {
				if f.Name == "created_at" && f.Value.Text() != made {
					t.Errorf("created at %s, want %s", f.Value.Text(), made)
				}
			}
			d.write(t, 7, "pending")
		}
	})
}

// A field without a column that was set to nil is in no answer, before and after the flush, from the store and from a row.
func TestNilWithoutAColumn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newSpacious(t)
		set := func(v protocol.Value) {
			_, err := d.Set(t.Context(), &protocol.SetParams{ID: 7, Fields: []protocol.Field{{Name: "note", Value: v}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		set(protocol.Text("x"))
		set(protocol.Null)
		for _, when := range []string{"dirty", "flushed"} {
			got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
			page, listed := d.List(t.Context(), &protocol.ListParams{Selection: protocol.Selection{Stale: when == "dirty"}})
			many, gotten := d.GetMany(t.Context(), &protocol.GetManyParams{IDs: []int64{7}})
			if err := errors.Join(err, listed, gotten); err != nil {
				t.Fatal(err)
			}
			for _, found := range append(append(page.Tickets, &got), many.Tickets...) {
				for _, f := range found.Fields {
					if f.Name == "note" {
						t.Errorf("%s: %+v", when, found)
					}
				}
			}
			if err := d.Flusher.TryFlush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The fields of a ticket have one order in every answer, whatever order the changes had: the table's columns, then the others by
// name. Scripts read columns by their place.
func TestFieldsHaveOneOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newSpacious(t)
		want := []string{"status", "updated_at", "alpha", "zeta"}
		check := func(what string, fields []protocol.Field, want ...string) {
			t.Helper()
			var got []string
			for _, f := range fields {
				got = append(got, f.Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		for _, name := range []string{"zeta", "alpha", "status"} {
			_, err := d.Set(t.Context(), &protocol.SetParams{ID: 7, Fields: []protocol.Field{{Name: name, Value: protocol.Text("x")}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		d.db.refuse[7] = &flush.Refusal{Code: 4025, Reason: "CONSTRAINT `status` failed"}
		for _, when := range []string{"dirty", "dead", "flushed"} {
			got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
			many, gotten := d.GetMany(t.Context(), &protocol.GetManyParams{IDs: []int64{7}})
			if err := errors.Join(err, gotten); err != nil {
				t.Fatal(err)
			}
			check(when+", get", got.Fields, want...)
			check(when+", get_many", many.Tickets[0].Fields, want...)
			if err := d.Flusher.TryFlush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if when != "dirty" {
				continue
			}
			letters, err := d.DeadList(t.Context(), &protocol.DeadListParams{})
			if err != nil || len(letters.Letters) != 1 {
				t.Fatalf("letters %+v (%v)", letters, err)
			}
			check("dead letter", letters.Letters[0].Fields, want...)
			delete(d.db.refuse, 7)
			if _, err := d.DeadRetry(t.Context(), &protocol.DeadParams{All: true}); err != nil {
				t.Fatal(err)
			}
		}
		page, err := d.List(t.Context(), &protocol.ListParams{})
		if err != nil || len(page.Tickets) != 1 {
			t.Fatalf("page %+v (%v)", page, err)
		}
		check("list", page.Tickets[0].Fields, want...)
		record := store.Record{ID: 7, Revision: 5} // as Redis returns it
		for _, name := range []string{"zeta", "updated_at", "alpha"} {
			record.Fields = append(record.Fields, ticket.Field{Name: name, Value: ticket.Text("x")})
		}
		check("a hash of Redis", toWire(d.db.definition, &record).Fields, want...)
	})
}
