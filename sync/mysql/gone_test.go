package mysql_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// follows is a change of a ticket whose other fields the store holds clean; full says that the store holds all fields.
func follows(c store.Claim, full bool, clean ...string) store.Claim {
	c.All, c.Confirmed = c.Fields, true
	rest := set(0, 0, clean...).Fields
	c.Rest = func(context.Context) (ticket.Fields, bool, error) { return rest, full, nil }
	return c
}

// A row that vanished never comes back with the changed fields alone: the sink writes the whole ticket, or refuses the change.
// The first change of an id that no ticket had makes a row, and the sink stores the other tickets of the batch.
func TestAVanishedRowDoesNotComeBackInPart(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db,
		set(1, 10, "subject", "one", "status", "new"), set(2, 10, "subject", "two"), set(3, 10, "subject", "three"))
	exec(t, db, "DELETE FROM wp_support_tickets WHERE ticket_id <> 3")
	results := write(t, db,
		follows(set(1, 20, "status", "open"), true, "subject", "one", "customer_id", "7", "note", "x"),
		follows(set(2, 20, "status", "open"), false, "subject", "two"),
		follows(set(3, 20, "status", "open"), false, "subject", "another program's since"),
		set(4, 20, "status", "open"))
	wantStored(t, results[:1], 20)
	wantStored(t, results[2:], 20, 20)
	wantFields(t, db, 1, 20, "subject", "one", "status", "open", "customer_id", "7", "note", "x")
	wantFields(t, db, 3, 20, "subject", "three", "status", "open")
	wantFields(t, db, 4, 20, "status", "open")
	if r := results[1].Refused; r == nil || r.Code != 1032 || !strings.Contains(r.Reason, "insert the row") {
		t.Errorf("result %+v (%+v), want the change refused with 1032", results[1], r)
	}
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (2, 'two again')")
	wantStored(t, write(t, db, follows(set(2, 20, "status", "open"), false, "subject", "two")), 20)
	wantFields(t, db, 2, 20, "subject", "two again", "status", "open")
}

// A copy of the whole ticket may be older than a column with a default: the row gets the default, as the lost row had. A column
// without a default is NULL where the copy lacks the field.
func TestAVanishedRowGetsTheDefaultOfALaterColumn(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db, set(1, 10, "subject", "one", "status", "new"))
	exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN level VARCHAR(10) NULL DEFAULT 'basic'")
	exec(t, db, "DELETE FROM wp_support_tickets")
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStored(t, write(t, db, follows(set(1, 20, "status", "open"), true, "subject", "one")), 20)
	wantFields(t, db, 1, 20, "subject", "one", "status", "open", "level", "basic")
	if rows, err := db.Rows(t.Context(), []ticket.ID{1}); err != nil || len(rows) != 1 {
		t.Errorf("rows %+v (%v)", rows, err)
	} else if v, _ := rows[0].Fields.Get("category"); !v.IsNull() {
		t.Errorf("category is %+v, want NULL", v)
	}
}

// Where the store does not answer with the rest of a ticket, the change of a row that vanished is not written, and not refused.
func TestAVanishedRowWaitsForTheStore(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db, set(1, 10, "subject", "one", "status", "new"), set(2, 10, "subject", "two"))
	exec(t, db, "DELETE FROM wp_support_tickets WHERE ticket_id = 1")
	unread := follows(set(1, 20, "status", "open"), true)
	unread.Rest = func(context.Context) (ticket.Fields, bool, error) { return nil, false, store.ErrUnavailable }
	results := write(t, db, unread, set(2, 20, "status", "open"))
	if r := results[0]; r.Revision != 0 || r.Refused != nil || r.Later != nil {
		t.Errorf("result %+v, want none", r)
	}
	wantStored(t, results[1:], 20)
	if rows, err := db.Rows(t.Context(), []ticket.ID{1}); err != nil || len(rows) > 0 {
		t.Errorf("rows %+v (%v), want none", rows, err)
	}
	write(t, db, follows(set(1, 20, "status", "open"), true, "subject", "one"))
	wantFields(t, db, 1, 20, "subject", "one", "status", "open")
}

// A ticket that ticketd deleted does not come back from a copy that does not know the deletion.
func TestADeletedTicketIsNotWrittenWhole(t *testing.T) {
	t.Parallel()
	db := hard(t)
	write(t, db, set(1, 10, "status", "a"), set(2, 10, "status", "a"))
	write(t, db, store.Claim{ID: 1, Revision: 15, Deleted: true}, store.Claim{ID: 2, Revision: 15, Deleted: true})
	results := write(t, db,
		follows(set(1, 20, "status", "b"), true, "status", "a"), follows(set(2, 20, "status", "b"), false, "status", "a"))
	if results[0].Refused != nil || results[1].Refused != nil {
		t.Errorf("results %+v, want neither refused", results)
	}
	if rows, err := db.Rows(t.Context(), []ticket.ID{1, 2}); err != nil || len(rows) > 0 {
		t.Errorf("rows %+v (%v), want none", rows, err)
	}
}
