package mysql_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// existing is a table that is older than ticketd, with other names and a column that an INSERT must give.
func existing(t *testing.T) *mysql.DB {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{
		DSN: server.DSN(name), Table: "tickets", Key: "id", Revision: "rev", Columns: map[string]string{"status": "state"},
	})
	exec(t, db, "CREATE TABLE tickets (id INT UNSIGNED PRIMARY KEY, state VARCHAR(9) NOT NULL DEFAULT 'new',"+
		" queue VARCHAR(9) NOT NULL, deleted_at INT NOT NULL DEFAULT 0, extra JSON)")
	exec(t, db, "INSERT INTO tickets (id, queue) VALUES (1, 'a'), (2, 'b')")
	formerly(t, db, "rev")
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestExistingTable(t *testing.T) {
	t.Parallel()
	db := existing(t)
	wantStored(t, write(t, db, set(3, 1, "status", "open", "queue", "c")), 1)
	wantFields(t, db, 3, 1, "status", "open", "queue", "c", "deleted_at", "0")
	if row(t, db, 3).Deleted {
		t.Error("zero counts as a mark of deletion")
	}
}

// An INSERT without the column would fail with 1364 although the rows exist.
func TestPartialChangesOfATableWithARequiredColumn(t *testing.T) {
	t.Parallel()
	db := existing(t)
	results := write(t, db,
		set(9, 1, "status", "lost"), set(2, 10, "status", "open", "note", "x", "none", "NULL"), set(1, 11, "status", "open"))
	wantStored(t, results[1:], 10, 11)
	if results[0].Refused == nil || results[0].Refused.Code != 1364 {
		t.Errorf("result %+v, want the row that is not there refused with 1364", results[0])
	}
	wantFields(t, db, 2, 10, "status", "open", "queue", "b", "note", "x")
	wantStored(t, write(t, db, set(1, 10, "status", "older"), set(2, 10, "status", "equal")), 11, 10)
	wantFields(t, db, 1, 11, "status", "open")
	wantFields(t, db, 2, 10, "status", "open")
}

func TestABadRowAmongPartialChanges(t *testing.T) {
	t.Parallel()
	db := existing(t)
	results := write(t, db, set(1, 5, "status", "good"), set(2, 6, "status", "far too long"))
	wantStored(t, results[:1], 5)
	if results[1].Refused == nil || results[1].Refused.Code != 1406 {
		t.Errorf("result %+v, want it refused with 1406", results[1])
	}
	wantFields(t, db, 1, 5, "status", "good")
}

// A ticket that was deleted before its create arrived has no row. Its deletion, which does not give the required columns, needs
// no row.
func TestDeletionWithoutARow(t *testing.T) {
	t.Parallel()
	const later = 1_700_000_000_000_000
	db := existing(t)
	results := write(t, db, store.Claim{ID: 9, Revision: later, Created: 5, Deleted: true}, deletion(1, later))
	wantStored(t, results, later, later)
	wantGone(t, db, 9)
	if !row(t, db, 1).Deleted {
		t.Error("a ticket that has a row is not deleted")
	}
}
