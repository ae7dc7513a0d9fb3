package mysql_test

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// A row's ticket is as old as the row's time of creation says, however lately it was changed, and no younger than its last
// change. A row that SQL has inserted is older than any change, and one without such a time may be.
func TestSinceWhenThereIsATicket(t *testing.T) {
	t.Parallel()
	db := private(t)
	now := ticket.Revision(time.Now().UnixMicro())
	write(t, db, set(1, now, "subject", "new"), set(2, now, "subject", "old"), set(3, now, "subject", "no time"),
		set(4, 77, "subject", "not changed since"))
	exec(t, db, "UPDATE wp_support_tickets SET created_at='2001-02-03 04:05:06' WHERE ticket_id=2")
	lax(t, db, "UPDATE wp_support_tickets SET created_at='0000-00-00' WHERE ticket_id=3")
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id,subject) VALUES (5,'a stranger''s')")
	created := time.Date(2001, 2, 3, 4, 5, 7, 0, time.UTC)
	wantBorn(t, db, map[ticket.ID]ticket.Revision{1: now, 2: ticket.Revision(created.UnixMicro()), 3: 1, 4: 77, 5: 1})
}

// Where a deletion removes the row, it is what the table still knows of the ticket.
func TestSinceWhenADeletedTicketIsKnown(t *testing.T) {
	t.Parallel()
	db := hard(t)
	write(t, db, store.Claim{ID: 1, Revision: 9, Deleted: true})
	wantBorn(t, db, map[ticket.ID]ticket.Revision{1: 9})
}

// A number is a Unix time.
func TestSinceWhenByAUnixTime(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"})
	exec(t, db, "CREATE TABLE tickets (id BIGINT PRIMARY KEY, created_at INT)")
	migrate(t, db, mysql.MigrateOptions{})
	now := ticket.Revision(time.Now().UnixMicro())
	write(t, db, set(1, now, "created_at", "1000"), set(2, now, "created_at", "NULL"))
	wantBorn(t, db, map[ticket.ID]ticket.Revision{1: 1_001_000_000, 2: 1})
}

// wantBorn asks for tickets 1 to 6, and allows a second for a clock and for columns that have whole seconds.
func wantBorn(t *testing.T, db *mysql.DB, want map[ticket.ID]ticket.Revision) {
	t.Helper()
	got, err := db.Born(t.Context(), []ticket.ID{1, 2, 3, 4, 5, 6})
	if err != nil || len(got) != len(want) {
		t.Fatalf("born %v (%v), want %v", got, err, want)
	}
	for id := range want {
		if want[id]-got[id] > 1_000_000 || got[id] > want[id] {
			t.Errorf("ticket %d is there since %d, want %d", id, got[id], want[id])
		}
	}
}
