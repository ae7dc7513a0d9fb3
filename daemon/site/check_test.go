package site

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/flush"
)

// check judges entries, and demands that no ticket was changed.
func (d *desk) check(t *testing.T, entries ...protocol.CheckEntry) []protocol.CheckOutcome {
	t.Helper()
	before, err := d.Store.DirtyIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	result, err := d.Check(t.Context(), &protocol.CheckParams{Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	after, err := d.Store.DirtyIDs(t.Context())
	if err != nil || !slices.Equal(slices.Sorted(slices.Values(before)), slices.Sorted(slices.Values(after))) {
		t.Errorf("dirty before the check %v, after the check %v (%v)", before, after, err)
	}
	return result.Outcomes
}

// wantOutcome demands an outcome without an error.
func wantOutcome(t *testing.T, what string, got, want protocol.CheckOutcome) {
	t.Helper()
	if got.Err != nil || got.ID != want.ID || got.Revision != want.Revision || !slices.Equal(got.Differs, want.Differs) {
		t.Errorf("%s: %+v (%v), want %+v", what, got, got.Err, want)
	}
}

// A check says of each set what the set would be answered, and which fields the set would alter.
func TestCheckOfSets(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write(t, 1, "open")
	d.row(2, 5, false)
	d.row(3, 5, true)
	d.write(t, 4, "open")
	if _, err := d.Delete(t.Context(), &protocol.DeleteParams{ID: 4}); err != nil {
		t.Fatal(err)
	}
	long := status(strings.Repeat("x", 33))
	wrong := protocol.Invalid("id", "no id")
	got := d.check(t,
		protocol.CheckEntry{ID: 1, Fields: status("open")}, protocol.CheckEntry{ID: 1, Fields: status("closed")},
		protocol.CheckEntry{ID: 2, Fields: status("row")},
		protocol.CheckEntry{ID: 3, Fields: status("open")}, protocol.CheckEntry{ID: 4, Fields: status("open")},
		protocol.CheckEntry{ID: 5, Fields: status("open")}, protocol.CheckEntry{ID: 1, Fields: long}, protocol.CheckEntry{Err: wrong},
		protocol.CheckEntry{ID: 2, Fields: []protocol.Field{
			{Name: "updated_at", Value: protocol.Text("2026-01-02T03:04:05Z")}, {Name: "status", Value: protocol.Null},
		}},
	)
	revision := got[0].Revision
	wantOutcome(t, "the same", got[0], protocol.CheckOutcome{ID: 1, Revision: revision})
	wantOutcome(t, "another value", got[1], protocol.CheckOutcome{ID: 1, Revision: revision, Differs: []string{"status"}})
	wantOutcome(t, "the same as the row", got[2], protocol.CheckOutcome{ID: 2, Revision: 5})
	wantOutcome(t, "a new id", got[5], protocol.CheckOutcome{ID: 5, Differs: []string{"status"}})
	wantOutcome(t, "NULL, and another form", got[8], protocol.CheckOutcome{ID: 2, Revision: 5, Differs: []string{"status"}})
	for i, code := range map[int]protocol.Code{
		3: protocol.CodeNotFound, 4: protocol.CodeNotFound, 6: protocol.CodeInvalid, 7: protocol.CodeInvalid,
	} {
		if got[i].Err == nil || got[i].Err.Code != code {
			t.Errorf("entry %d: %+v, want %s", i, got[i], code)
		}
	}
	for i, p := range map[int]*protocol.SetParams{
		3: {ID: 3, Fields: status("open")}, 4: {ID: 4, Fields: status("open")}, 6: {ID: 1, Fields: status(strings.Repeat("x", 33))},
	} {
		if _, err := d.Set(t.Context(), p); err == nil || got[i].Err == nil || err.Error() != got[i].Err.Error() {
			t.Errorf("entry %d: check says %v, set says %v", i, got[i].Err, err)
		}
	}
	d.db.set(flush.ErrSinkDown)
	_, err := d.Check(t.Context(), &protocol.CheckParams{Entries: []protocol.CheckEntry{{ID: 9, Fields: status("open")}}})
	wantCode(t, err, protocol.CodeUnavailable)
}

// The deletion of a ticket whose row is gone, and which the store has forgotten, is found in the table's marks.
func TestCheckFindsTheMarkOfADeletion(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Database = marked{d.db, map[ticket.ID]ticket.Revision{7: 5}}
	got := d.check(t, protocol.CheckEntry{ID: 7, Fields: status("open")}, protocol.CheckEntry{ID: 8, Fields: status("open")})
	if got[0].Err == nil || got[0].Err.Code != protocol.CodeNotFound {
		t.Errorf("a deleted ticket: %+v, want not_found", got[0])
	}
	wantOutcome(t, "a new id", got[1], protocol.CheckOutcome{ID: 8, Differs: []string{"status"}})
}

// marked is a database with marks of deleted tickets.
type marked struct {
	*database
	marks map[ticket.ID]ticket.Revision
}

func (m marked) Born(context.Context, []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	return m.marks, nil
}

// A check recognizes a create whose request id is remembered, says whether the ticket still exists, and is not remembered itself.
func TestCheckOfCreates(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.IDs = &counting{}
	create := func(request, text string) (protocol.CreateResult, error) {
		return d.Create(t.Context(), &protocol.CreateParams{Change: protocol.Change{RequestID: request}, Fields: status(text)})
	}
	kept, err := create("kept", "open")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := create("gone", "open")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Delete(t.Context(), &protocol.DeleteParams{ID: gone.ID}); err != nil {
		t.Fatal(err)
	}
	got := d.check(t,
		protocol.CheckEntry{Fields: status("open"), RequestID: "kept"}, protocol.CheckEntry{Fields: status("open"), RequestID: "gone"},
		protocol.CheckEntry{Fields: status("open"), RequestID: "new"}, protocol.CheckEntry{Fields: status("open")},
		protocol.CheckEntry{Fields: status("closed"), RequestID: "kept"},
		protocol.CheckEntry{Fields: status(strings.Repeat("x", 33)), RequestID: "wrong"},
	)
	wantOutcome(t, "a repetition", got[0], protocol.CheckOutcome{ID: kept.ID, Revision: kept.Revision})
	wantOutcome(t, "a repetition whose ticket was deleted", got[1], protocol.CheckOutcome{ID: gone.ID})
	wantOutcome(t, "a new request", got[2], protocol.CheckOutcome{Differs: []string{"status"}})
	wantOutcome(t, "no request id", got[3], protocol.CheckOutcome{Differs: []string{"status"}})
	for i, field := range map[int]string{4: "request_id", 5: "status"} {
		if got[i].Err == nil || got[i].Err.Code != protocol.CodeInvalid || got[i].Err.Field != field {
			t.Errorf("entry %d: %+v, want %s invalid", i, got[i], field)
		}
	}
	made, err := create("new", "something else")
	if err != nil || made.ID == kept.ID || made.ID == gone.ID {
		t.Errorf("after the check the request id makes %+v (%v), want a new ticket", made, err)
	}
	d.store.gone = true
	fields := status("open")
	lost := d.checkAway(t, protocol.CheckEntry{Fields: fields, RequestID: "kept"}, protocol.CheckEntry{Fields: fields})
	if lost[0].Err == nil || lost[0].Err.Code != protocol.CodeUnavailable {
		t.Errorf("without the store a request id is %+v, want unavailable", lost[0])
	}
	wantOutcome(t, "no request id, without the store", lost[1], protocol.CheckOutcome{Differs: []string{"status"}})
}

// checkAway is check while the store does not answer.
func (d *desk) checkAway(t *testing.T, entries ...protocol.CheckEntry) []protocol.CheckOutcome {
	t.Helper()
	result, err := d.Check(t.Context(), &protocol.CheckParams{Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	return result.Outcomes
}

// A place that may hold the ticket does not answer: the check does not say that the ticket is new.
func TestCheckWhileTheStoreIsBehind(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Store = behind{d.Store}
	got := d.checkAway(t, protocol.CheckEntry{ID: 8, Fields: status("open")})
	if got[0].Err == nil || got[0].Err.Code != protocol.CodeUnavailable {
		t.Errorf("got %+v, want unavailable", got[0])
	}
}
