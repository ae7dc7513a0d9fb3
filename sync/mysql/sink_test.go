package mysql_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

func TestWriteInsertsAndUpdates(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		wantStored(t, write(t, db,
			set(3, 10, "subject", "it's \"a\" \\ test\x00\n\x1a", "status", "open"),
			set(1, 11, "status", "open", "subject", "😀"), // the same columns in another order: the same statement
			set(2, 12, "priority", "high", "customer_id", "18446744073709551615"),
		), 10, 11, 12)
		wantStored(t, write(t, db, set(1, 20, "status", "closed"), set(3, 21, "status", "NULL-ish")), 20, 21)
		wantFields(t, db, 1, 20, "status", "closed", "subject", "😀", "category", "NULL")
		wantFields(t, db, 2, 12, "priority", "high", "customer_id", "18446744073709551615", "status", "open")
		wantFields(t, db, 3, 21, "status", "NULL-ish", "subject", "it's \"a\" \\ test\x00\n\x1a")
	})
}

// Without the guard in the statement's tail the status is "older" (tried by hand).
func TestAnOlderRevisionNeverOverwrites(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		write(t, db, set(1, 100, "status", "newer", "note", "newer"))
		wantStored(t, write(t, db, set(1, 99, "status", "older", "note", "older"), set(2, 5, "status", "new")), 100, 5)
		wantFields(t, db, 1, 100, "status", "newer", "note", "newer")
	})
}

// Readers of the store have met a ticket under its newest revision: the row gets that revision with the last of the old changes,
// whether the guard lets the change pass or not, and a locked or deleted row stays as it is. Without the raise a later list shows
// an earlier revision than a get (tried).
func TestTheLastOldChangeRaisesTheRow(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		write(t, db, set(1, 100, "status", "a"), set(2, 100, "status", "a"), set(3, 100, "status", "a"), set(4, 100, "status", "a"))
		write(t, db, deletion(4, 101))
		old := func(id ticket.ID, revision ticket.Revision, last bool) store.Claim {
			c := set(id, revision, "status", "b")
			c.Partial, c.Last, c.Newest = true, last, 111
			return c
		}
		wantStored(t, write(t, db, old(1, 110, true), old(2, 90, true), old(3, 110, false)), 111, 111, 110)
		alone := store.Claim{ID: 1, Revision: 112, Newest: 112} // a claim of the revision alone
		none := store.Claim{ID: 5, Revision: 112, Newest: 112}
		wantStored(t, write(t, db, alone, none), 112, 112)
		wantGone(t, db, 5)
		wantFields(t, db, 1, 112, "status", "b")
		wantFields(t, db, 2, 111, "status", "a")
		wantFields(t, db, 3, 110, "status", "b")
		write(t, db, old(4, 105, true))
		if r := row(t, db, 4); r.Revision != 101 {
			t.Errorf("a deleted row has revision %d, want that of its deletion", r.Revision)
		}
	})
}

// A batch of new and old rows costs one statement, unless a row kept newer data: then another statement asks for the revisions.
// The mark is the last insert id, which the server also uses for a key that counts by itself.
func TestTheServerSaysWhetherAllRowsWereWritten(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		migrated(t, dsn)
		db := open(t, mysql.Config{DSN: dsn, MaxConns: 1}) // the counts below are the session's
		for _, key := range []string{"BIGINT UNSIGNED NOT NULL", "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT"} {
			exec(t, db, "TRUNCATE TABLE wp_support_tickets")
			exec(t, db, "ALTER TABLE wp_support_tickets MODIFY ticket_id "+key)
			write(t, db, set(1, 100, "status", "first"), set(2, 100, "status", "first"))
			before := selects(t, db)
			wantStored(t, write(t, db, set(1, 110, "status", "second"), set(3, 110, "status", "new")), 110, 110)
			if n := selects(t, db) - before; n != 0 {
				t.Errorf("%s: %d SELECTs where all rows were written", key, n)
			}
			before = selects(t, db)
			wantStored(t, write(t, db, set(1, 90, "status", "late"), set(2, 120, "status", "second"), set(4, 120, "status", "new")),
				110, 120, 120)
			if n := selects(t, db) - before; n != 1 {
				t.Errorf("%s: %d SELECTs where one row was not written, want 1", key, n)
			}
			before = selects(t, db)
			wantStored(t, write(t, db, set(4, 130, "status", "second"), set(5, 130, "status", "new")), 130, 130)
			if n := selects(t, db) - before; n != 0 {
				t.Errorf("%s: the mark of one statement is still there at the next", key)
			}
			wantFields(t, db, 1, 110, "status", "second")
		}
	})
}

// If another mechanism (a trigger, another column that counts by itself) sets the last insert id, the sink asks which rows were
// written: it never reports an unwritten row as stored.
func TestTheServersAnswerIsNotMistaken(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, "CREATE TABLE audit (id BIGINT AUTO_INCREMENT PRIMARY KEY, ticket BIGINT)")
		const audit = " INSERT INTO audit (ticket) VALUES (NEW.ticket_id)"
		for _, change := range [][]string{
			{
				"CREATE TRIGGER after_insert AFTER INSERT ON wp_support_tickets FOR EACH ROW" + audit,
				"CREATE TRIGGER before_update BEFORE UPDATE ON wp_support_tickets FOR EACH ROW" + audit,
			},
			{
				"DROP TRIGGER after_insert", "DROP TRIGGER before_update",
				"ALTER TABLE wp_support_tickets DROP PRIMARY KEY, ADD UNIQUE KEY (ticket_id), ADD nr BIGINT AUTO_INCREMENT PRIMARY KEY",
			},
			{"ALTER TABLE wp_support_tickets ADD UNIQUE KEY subjects (subject)"},
		} {
			for _, statement := range change {
				exec(t, db, statement)
			}
			exec(t, db, "DELETE FROM wp_support_tickets")
			if beside(t) {
				exec(t, db, "DELETE FROM wp_support_tickets_ticketd")
			}
			write(t, db, set(2, 100, "subject", "two", "status", "first"), set(3, 100, "subject", "three", "status", "first"))
			wantStored(t, write(t, db,
				set(1, 110, "subject", "one", "status", "new"), set(2, 90, "subject", "b", "status", "late"),
				set(3, 110, "subject", "c", "status", "second"), set(4, 110, "subject", "four", "status", "new")), 110, 100, 110, 110)
			wantFields(t, db, 2, 100, "status", "first")
			wantFields(t, db, 3, 110, "status", "second")
		}
		results := write(t, db, set(7, 10, "subject", "one", "status", "collides"), set(8, 10, "subject", "eight", "status", "new"))
		if results[0].Refused == nil {
			t.Errorf("a ticket that collides is taken for stored: %+v", results[0])
		}
		wantStored(t, results[1:], 10)
	})
}

// selects counts the SELECTs of the session; the test has a single session.
func selects(t *testing.T, db *mysql.DB) (n int) {
	t.Helper()
	var name string
	if err := db.Pool().QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE 'Com_select'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnEqualRevisionIsIdempotent(t *testing.T) {
	t.Parallel()
	db := private(t)
	for range 3 {
		wantStored(t, write(t, db, set(1, 100, "status", "pending", "note", "x")), 100)
	}
	wantFields(t, db, 1, 100, "status", "pending", "note", "x")
}

// Assignments run from left to right: with the revision first, the guards of the other columns would already see the new
// revision, and no column would change.
func TestTheRevisionIsAssignedLast(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db, set(1, 1, "subject", "a", "status", "a", "category", "a", "priority", "a", "note", "a"))
	write(t, db, set(1, 2, "subject", "b", "status", "b", "category", "b", "priority", "b", "note", "b"))
	wantFields(t, db, 1, 2, "subject", "b", "status", "b", "category", "b", "priority", "b", "note", "b")
}

func TestColumnsThatDidNotChangeStayAsSQLEditedThem(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db, set(1, 1, "subject", "ours", "status", "open", "note", "ours", "other", "ours"))
	exec(t, db, `UPDATE wp_support_tickets SET subject = 'theirs', extra = JSON_SET(extra, '$.other', 'theirs')`)
	write(t, db, set(1, 2, "status", "closed", "note", "again ours"))
	wantFields(t, db, 1, 2, "subject", "theirs", "status", "closed", "note", "again ours", "other", "theirs")
}

func TestBatchesAreCutByRowsAndSorted(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	migrated(t, server.DSN(name))
	db := open(t, mysql.Config{DSN: server.DSN(name), MaxRows: 10})
	var changes []store.Claim
	for id := range ticket.ID(25) {
		changes = append(changes, set(25-id, ticket.Revision(1000+id), "status", "open"))
	}
	sink := mysql.NewSink(db)
	results, err := sink.Write(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Revision != changes[i].Revision {
			t.Errorf("result %d: revision %d, want that of its change, %d", i, r.Revision, changes[i].Revision)
		}
	}
	if n := sink.Statements(); n != 3*statementsPerBatch(t) {
		t.Errorf("%d statements for 25 rows in batches of 10, want those of 3 batches", n)
	}
}

// Daemons write the same tickets at once, each with its own revisions: at the end each ticket is at the highest revision, with
// the fields of that revision.
func TestConcurrentWritersLeaveTheHighestRevision(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	migrated(t, server.DSN(name))
	const tickets, rounds, writers = 20, 15, 4
	var all sync.WaitGroup
	for w := range writers {
		db := open(t, mysql.Config{DSN: server.DSN(name)})
		order := rand.New(rand.NewPCG(1, uint64(w)))
		all.Go(func() {
			sink := mysql.NewSink(db)
			for _, round := range order.Perm(rounds) {
				var changes []store.Claim
				for id := range ticket.ID(tickets) {
					revision := ticket.Revision(round*writers + w + 1)
					changes = append(changes, set(id+1, revision, "status", revision.String(), "subject", revision.String()))
				}
				if _, err := sink.Write(t.Context(), changes); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	db := open(t, mysql.Config{DSN: server.DSN(name)})
	const last = ticket.Revision(rounds * writers)
	for id := range ticket.ID(tickets) {
		wantFields(t, db, id+1, last, "status", last.String(), "subject", last.String())
	}
}

func TestSoftDeletes(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db, set(1, 1, "status", "open"))
	gone := set(1, 2, "deleted_at", "2026-01-02 03:04:05")
	gone.Deleted = true
	wantStored(t, write(t, db, gone), 2)
	wantStored(t, write(t, db, set(1, 1, "status", "late")), 2)
	if r := row(t, db, 1); !r.Deleted {
		t.Error("not deleted")
	}
	// Accepted when the table had no such column: the mark comes from the revision.
	bare := store.Claim{ID: 2, Revision: 1_767_323_045_000_000, Deleted: true}
	wantStored(t, write(t, db, bare), bare.Revision)
	if beside(t) { // ticketd makes no row in another owner's table only to mark the row
		wantGone(t, db, 2)
		wantStored(t, write(t, db, set(2, bare.Revision+1, "status", "late")), bare.Revision+1)
		wantGone(t, db, 2)
		return
	}
	wantFields(t, db, 2, bare.Revision, "deleted_at", "2026-01-02 03:04:05")
}

func TestExtraFields(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		odd := "it's \"q\" \\ back / slash\n\t\x01 ä😀 <&>"
		write(t, db, set(1, 1, "caller", odd, "gone", "NULL", odd[:20], "x"), set(2, 1, "gone", "NULL"))
		wantFields(t, db, 1, 1, "caller", odd, odd[:20], "x")
		var nulls int
		err := db.Pool().QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM wp_support_tickets WHERE JSON_CONTAINS_PATH(extra, 'one', '$.gone')").Scan(&nulls)
		if err != nil || nulls != 0 {
			t.Errorf("%d rows hold a null for a field that was removed, error %v", nulls, err)
		}
		write(t, db, set(1, 2, "caller", "NULL", "group", "a"), set(2, 2, "caller", "NULL", "group", "b"))
		wantFields(t, db, 1, 2, "group", "a", odd[:20], "x")
		wantFields(t, db, 2, 2, "group", "b")
		if _, there := row(t, db, 1).Fields.Get("caller"); there {
			t.Error("a removed field is still there")
		}
		exec(t, db, `UPDATE wp_support_tickets SET extra = '{"n": 1.5, "o": {"a": [1]}, "z": null,
			"status": "shadow", "_rev": "9"}' WHERE ticket_id = 1`)
		wantFields(t, db, 1, 2, "n", "1.5", "status", "open")
		for _, name := range []string{"z", "_rev"} {
			if _, there := row(t, db, 1).Fields.Get(name); there {
				t.Errorf("%s was read as a field", name)
			}
		}
		// MariaDB's JSON_MERGE_PATCH keeps some of several keys that a patch sets to null in an order that differs from the
		// document's.
		write(t, db, set(3, 1, "name", "Ann"), set(3, 2, "email", "x"), set(3, 3, "age", "7"), set(3, 4, "left", "y"))
		write(t, db, set(3, 5, "age", "NULL", "email", "NULL", "name", "NULL", "new", "z"))
		wantFields(t, db, 3, 5, "left", "y", "new", "z")
		for _, name := range []string{"age", "email", "name"} {
			if _, there := row(t, db, 3).Fields.Get(name); there {
				t.Errorf("%s is there after its removal", name)
			}
		}
		exec(t, db, `UPDATE wp_support_tickets SET extra = '[1]' WHERE ticket_id = 1`)
		write(t, db, set(1, 3, "caller", "Ann"))
		wantFields(t, db, 1, 3, "caller", "Ann")
	})
}

// The row must not be written into the other ticket's, which the server calls the duplicate.
func TestAnotherUniqueIndexDoesNotMixTickets(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "ALTER TABLE wp_support_tickets ADD UNIQUE KEY s (subject)")
	write(t, db, set(1, 5, "subject", "one", "status", "open"))
	results := write(t, db, set(2, 10, "subject", "one", "status", "wrong"), set(3, 11, "subject", "three", "status",
		"right"))
	if results[0].Refused == nil || results[0].Refused.Code != 1062 {
		t.Errorf("result %+v, want it refused as a duplicate", results[0])
	}
	wantStored(t, results[1:], 11)
	wantFields(t, db, 1, 5, "subject", "one", "status", "open")
}

func TestAFieldWithoutAPlace(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "ALTER TABLE wp_support_tickets DROP COLUMN extra")
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A column that this daemon does not know yet, although another daemon has accepted the field.
	exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN caller VARCHAR(9)")
	results := write(t, db, set(1, 1, "caller", "Ann"), set(2, 2, "nowhere", "x"), set(3, 3, "status", "open"))
	if r := results[1].Refused; r == nil || r.Code != 1054 || !strings.Contains(r.Reason, `"nowhere"`) {
		t.Errorf("result %+v, want the unknown column to be refused", results[1])
	}
	wantStored(t, slices.Delete(results, 1, 2), 1, 3)
	wantFields(t, db, 1, 1, "caller", "Ann")
}

func TestBitAndBinaryColumns(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db,
		"ALTER TABLE wp_support_tickets ADD COLUMN flags BIT(9), ADD COLUMN hash VARBINARY(4), ADD COLUMN score DOUBLE")
	wantStored(t, write(t, db, set(1, 1, "flags", "257", "hash", "\xff'\\\x00", "score", "0.00001")), 1)
	wantFields(t, db, 1, 1, "flags", "257", "hash", "\xff'\\\x00", "score", "0.00001")
}
