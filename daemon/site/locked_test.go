package site

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// A locked row in MySQL does not make the site's lists unavailable: lists show the content of MySQL as stale, and name the
// ticket. If every error of the flush counts, a list is unavailable as long as the lock lasts (tried by hand).
func TestALockedRowIsNamedInLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.db.locked = map[ticket.ID]bool{7: true}
		d.write(t, 7, "open")
		d.write(t, 8, "open")
		for range 2 {
			page, err := d.List(t.Context(), &protocol.ListParams{})
			if err != nil || !page.Stale || !slices.Equal(page.Locked, []int64{7}) ||
				len(page.Tickets) != 1 || page.Tickets[0].ID != 8 {
				t.Errorf("list %+v (%v), want ticket 8, stale because of ticket 7", page, err)
			}
			n, err := d.Count(t.Context(), &protocol.CountParams{})
			if err != nil || n.Count != 1 || !n.Stale || !slices.Equal(n.Locked, []int64{7}) {
				t.Errorf("count %+v (%v), want 1, stale because of ticket 7", n, err)
			}
			by, err := d.Count(t.Context(), &protocol.CountParams{By: "status"})
			if err != nil || by.Count != 1 || !by.Stale || !slices.Equal(by.Locked, []int64{7}) {
				t.Errorf("count by %+v (%v), want 1, stale because of ticket 7", by, err)
			}
		}
		d.db.locked = nil
		time.Sleep(2 * time.Second)
		page, err := d.List(t.Context(), &protocol.ListParams{})
		if err != nil || page.Stale || page.Locked != nil || len(page.Tickets) != 2 {
			t.Errorf("list %+v (%v), want the two tickets, and a fresh answer", page, err)
		}
	})
}
