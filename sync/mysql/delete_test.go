package mysql_test

import (
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// hard is a table without deleted_at.
func hard(t *testing.T) *mysql.DB {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"})
	exec(t, db, "CREATE TABLE tickets (id BIGINT PRIMARY KEY, status VARCHAR(9))")
	formerly(t, db, "revision")
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	return db
}

func deletion(id ticket.ID, revision ticket.Revision) store.Claim {
	return store.Claim{ID: id, Revision: revision, Deleted: true}
}

func wantGone(t *testing.T, db *mysql.DB, id ticket.ID) {
	t.Helper()
	rows, err := db.Rows(t.Context(), []ticket.ID{id})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 0 {
		t.Errorf("ticket %d is there: %+v", id, rows[0])
	}
}

// Without the look-up of tombstones the late writes restore the ticket (tried by hand).
func TestALateWriteDoesNotResurrect(t *testing.T) {
	t.Parallel()
	db := hard(t)
	write(t, db, set(1, 10, "status", "open"), set(2, 10, "status", "open"))
	for range 2 {
		wantStored(t, write(t, db, deletion(1, 20)), 20)
	}
	wantGone(t, db, 1)
	late := write(t, db, set(1, 15, "status", "late"), set(2, 15, "status", "closed"), set(3, 15, "status", "new"))
	if beside(t) {
		wantStored(t, late, 20, 15, 15) // the deletion's own
	} else {
		wantStored(t, late, 15, 15, 15)
	}
	wantStored(t, write(t, db, set(1, 25, "status", "newer")), 25) // a write to a deleted id never means a create
	wantGone(t, db, 1)
	wantFields(t, db, 2, 15, "status", "closed")
	wantFields(t, db, 3, 15, "status", "new")
}

func TestALateDeletionDoesNotRemoveANewerRow(t *testing.T) {
	t.Parallel()
	db := hard(t)
	write(t, db, set(1, 30, "status", "newer"))
	wantStored(t, write(t, db, deletion(1, 20), deletion(7, 20)), 30, 20)
	wantStored(t, write(t, db, set(1, 31, "status", "newest")), 31)
	wantFields(t, db, 1, 31, "status", "newest")
}

// A deletion and late writes of the same new tickets at the same moment: no row remains, in any order. Without the lock of the
// look-up of tombstones some rows remain.
func TestDeletionsAgainstLateWrites(t *testing.T) {
	t.Parallel()
	db := hard(t)
	for round := range ticket.ID(10) {
		var writes, deletions []store.Claim
		for i := range ticket.ID(10) {
			id := round*10 + i + 1
			writes = append(writes, set(id, 1, "status", "late"))
			deletions = append(deletions, deletion(id, 2))
		}
		var both sync.WaitGroup
		for _, changes := range [][]store.Claim{writes, deletions} {
			both.Go(func() {
				if _, err := mysql.NewSink(db).Write(t.Context(), changes); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		for _, c := range deletions {
			wantGone(t, db, c.ID)
		}
	}
}

func TestHardDeletesNeedTheMigration(t *testing.T) {
	t.Parallel()
	db := hard(t)
	exec(t, db, "DROP TABLE tickets_tombstones")
	_, err := mysql.NewSink(db).Write(t.Context(), []store.Claim{deletion(1, 1)})
	wantPaused(t, err)
}
