package mysql_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// The deleted tickets are found window by window, those that SQL has deleted and those that ticketd has, in either kind of table.
func TestDeletedTickets(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		t.Helper()
		db := migrated(t, dsn)
		exec(t, db, "INSERT INTO wp_support_tickets (ticket_id) "+
			"WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i+1 FROM n WHERE i<249) "+
			"SELECT 1+a.i+250*b.i FROM n AS a JOIN n AS b WHERE b.i<240")
		exec(t, db, "UPDATE wp_support_tickets SET deleted_at=NOW() WHERE ticket_id IN (1,50000,50001,60000)")
		wantDeleted(t, db, 1, 50000, 50001, 60000)
	})
}

func TestDeletedTicketsOfATableThatRemovesRows(t *testing.T) {
	t.Parallel()
	db := hard(t)
	wantDeleted(t, db)
	write(t, db, store.Claim{ID: 7, Revision: 5, Deleted: true}, store.Claim{ID: 3, Revision: 5, Deleted: true})
	wantDeleted(t, db, 3, 7)
}

func wantDeleted(t *testing.T, db *mysql.DB, want ...ticket.ID) {
	t.Helper()
	var all []ticket.ID
	after, more := ticket.ID(0), true
	for more {
		var ids []ticket.ID
		var err error
		if ids, after, more, err = db.Deleted(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		all = append(all, ids...)
	}
	if len(all) != len(want) {
		t.Fatalf("deleted are %v, want %v", all, want)
	}
	for i := range want {
		if all[i] != want[i] {
			t.Fatalf("deleted are %v, want %v", all, want)
		}
	}
}
