package e2e

import (
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// wantField demands the value of a ticket's field in a client's answer.
func wantField(t *testing.T, c *protocol.Client, id int64, name, want string) {
	t.Helper()
	got, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("get %d: %v", id, err)
	}
	for _, f := range got.Fields {
		if f.Name == name && f.Value.Text() != want {
			t.Errorf("ticket %d: %s is %q, want %q", id, name, f.Value.Text(), want)
		}
	}
}

// A row that another program deleted, or that MySQL's earlier copy lacks, is never inserted with a single field.
func TestAVanishedRowComesBackWholeOrNot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := newRig(t, o)
		c := r.dial(t)
		whole := mustCreate(t, c, "held whole")
		r.insert(t, 500)
		mustSet(t, c, 500, "status", "open")
		flushed(t, c)
		runSQL(t, r.db, "DELETE FROM wp_support_tickets")
		mustSet(t, c, whole, "status", "pending")
		mustSet(t, c, 500, "priority", "low")
		mustSet(t, c, 600, "status", "new")
		flushed(t, c)
		if got := column(t, r.db, "subject", whole) + " " + column(t, r.db, "status", whole); got != "held whole pending" {
			t.Errorf("the row is %q, want the whole ticket", got)
		}
		if got := column(t, r.db, "status", 600); got != "new" {
			t.Errorf("the first change of a ticket has made the status %q", got)
		}
		letters, err := c.DeadList(t.Context(), 0, 10)
		if err != nil || len(letters) != 1 || letters[0].ID != 500 || letters[0].Code != 1032 {
			t.Errorf("dead letters %+v (%v), want that of ticket 500", letters, err)
		}
		if got := column(t, r.db, "priority", 500); got != "" {
			t.Errorf("ticket 500 is back with the priority %q alone", got)
		}
	})
}

// An adopted table is emptied and its ids begin again: the new ticket shows nothing of the old ticket.
func TestAReusedIDShowsNothingOfTheOldTicket(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := adopted(t, o)
		c := r.dial(t)
		mustSet(t, c, 1, "subject", "private of customer 7")
		flushed(t, c)
		runSQL(t, r.db, "TRUNCATE wp_support_tickets")
		runSQL(t, r.db, "DELETE FROM wp_support_tickets_ticketd")
		runSQL(t, r.db, "INSERT INTO wp_support_tickets (id, customer, title, source) VALUES (1, 99, 'of customer 99', 'form')")
		wantField(t, c, 1, "subject", "of customer 99")
		mustSet(t, c, 1, "status", "open")
		wantField(t, c, 1, "subject", "of customer 99")
		flushed(t, c)
		wantField(t, c, 1, "subject", "of customer 99")
	})
}
