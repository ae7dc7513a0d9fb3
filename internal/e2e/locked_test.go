package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// A transaction holds the row of a changed ticket: the site's lists go on, say which change is missing, and the command names
// the ticket.
func TestALockedRowDoesNotTakeListsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: slow["interval"]})
	c := r.dial(t)
	for _, id := range []int64{1, 2} {
		if _, err := c.Set(t.Context(), set(id, "status", "open")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	tx, err := r.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "UPDATE wp_support_tickets SET subject = 'held' WHERE ticket_id = 1"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{1, 2} {
		if _, err := c.Set(t.Context(), set(id, "status", "closed")); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := r.run(t, "list"); err != nil || !strings.Contains(out, "changes of tickets [1] are missing") {
		t.Errorf("ticketd list: %v\n%s", err, out)
	}
	page, err := c.List(t.Context(), protocol.ListParams{})
	if err != nil || !page.Stale || !slices.Equal(page.Locked, []int64{1}) || len(page.Tickets) != 2 ||
		field(page.Tickets[0].Fields, "status").Text() != "closed" {
		t.Errorf("list %+v (%v), want both tickets, the free one's change among them, stale because of ticket 1", page, err)
	}
}
