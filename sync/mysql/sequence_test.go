package mysql_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/mysql"
)

func lease(t *testing.T, db *mysql.DB, n int) ticket.ID {
	t.Helper()
	first, err := mysql.NewSequence(db).Lease(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func TestSequenceWithoutItsRow(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "DELETE FROM wp_support_tickets_seq")
	_, err := mysql.NewSequence(db).Lease(t.Context(), 1)
	wantPaused(t, err)
	exec(t, db, "DROP TABLE wp_support_tickets_seq")
	_, err = mysql.NewSequence(db).Lease(t.Context(), 1)
	wantPaused(t, err)
}

// A typed-in id moves the numbering neither at a lease nor at a migration, but only when an operator asks.
func TestATypedInIDDoesNotMoveTheNumbering(t *testing.T) {
	t.Parallel()
	db := private(t)
	sequence := mysql.NewSequence(db)
	lease(t, db, 10)
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id) VALUES (500), (888888), (4503599627370496), (9223372036854775807)")
	if done := migrate(t, db, mysql.MigrateOptions{}); len(done) != 0 {
		t.Errorf("the migration did %q", done)
	}
	if first := lease(t, db, 10); first != 11 {
		t.Errorf("first id %d, want 11", first)
	}
	for range 2 {
		if _, after, err := sequence.RaiseToTable(t.Context()); err != nil || after != 888889 {
			t.Errorf("raised to %d, error %v; want 888889", after, err)
		}
	}
	if first := lease(t, db, 10); first != 888889 {
		t.Errorf("first id %d, want 888889", first)
	}
	if before, after, err := sequence.RaiseToTable(t.Context()); err != nil || before != 888899 || after != 888899 {
		t.Errorf("raised from %d to %d, error %v; want neither", before, after, err)
	}
}

// A new sequence begins above the existing ids, and so does a sequence that has lost its row. Without the bound the sequence
// would begin at the end of the ids.
func TestASequenceBeginsAboveTheIDs(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id) VALUES (4503599627370495), (4503599627370496), (9223372036854775807)")
	for _, statement := range []string{"DELETE FROM wp_support_tickets_seq", "DROP TABLE wp_support_tickets_seq"} {
		exec(t, db, statement)
		migrate(t, db, mysql.MigrateOptions{})
		if first := lease(t, db, 10); first != 4503599627370496 {
			t.Errorf("after %s: first id %d, want 2^52", statement, first)
		}
	}
}

// Lease skips a block whose ids all have rows, to the next gap; it returns a block with some free ids.
func TestALeasePassesOverBlocksThatRowsHave(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id) VALUES "+counted(1, 2500))
	if first := lease(t, db, 10); first != 2501 {
		t.Errorf("first id %d, want 2501, the first that is free", first)
	}
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id) VALUES "+counted(2501, 2519))
	if first := lease(t, db, 10); first != 2511 {
		t.Errorf("first id %d, want 2511: the block ends with a free id", first)
	}
}

// counted are rows of a single number, for an INSERT.
func counted(from, to int) string {
	rows := make([]string, 0, to-from+1)
	for n := from; n <= to; n++ {
		rows = append(rows, fmt.Sprintf("(%d)", n))
	}
	return strings.Join(rows, ",")
}

func TestTakenIDs(t *testing.T) {
	t.Parallel()
	db := hard(t)
	write(t, db, set(3, 1, "status", "a"), set(5, 1, "status", "a"), set(7, 1, "status", "a"), set(9, 1, "status", "a"))
	write(t, db, deletion(5, 2), deletion(6, 2))
	exec(t, db, "CREATE TABLE tickets_ticketd (id BIGINT PRIMARY KEY)")
	exec(t, db, "INSERT INTO tickets_ticketd VALUES (7), (8), (10)")
	if first := lease(t, db, 1); first != 1 {
		t.Errorf("first id %d, want 1", first)
	}
	taken, err := db.Taken(t.Context(), 2, 9)
	slices.Sort(taken)
	if err != nil || !slices.Equal(taken, []ticket.ID{3, 5, 6, 7, 8, 9}) {
		t.Errorf("taken are %v, error %v; want rows, tombstones and what the table beside it knows, each once", taken, err)
	}
	exec(t, db, "UPDATE tickets_seq SET next = 5")
	if first := lease(t, db, 2); first != 11 {
		t.Errorf("first id %d, want 11: all tables know ids", first)
	}
}

func TestSequenceAtItsEnd(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "UPDATE wp_support_tickets_seq SET next = 9223372036854775800")
	sequence := mysql.NewSequence(db)
	for i := range 2 {
		first, err := sequence.Lease(t.Context(), 5)
		if (err == nil) != (i == 0) {
			t.Errorf("lease %d: first id %d, error %v", i, first, err)
		}
	}
}

// counting is another plugin's table, whose AUTO_INCREMENT assigns its ids.
func counting(t *testing.T, dsn, columns string) *mysql.DB {
	t.Helper()
	db := open(t, mysql.Config{DSN: dsn, Table: "tickets", Key: "id", Revision: "rev", MaxConns: 8})
	exec(t, db, "CREATE TABLE tickets (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, "+columns+")")
	migrate(t, db, mysql.MigrateOptions{})
	return db
}

// given inserts as the plugin does and returns the id.
func given(t *testing.T, db *mysql.DB) ticket.ID {
	t.Helper()
	result, err := db.Pool().ExecContext(t.Context(), "INSERT INTO tickets (state) VALUES ('theirs')")
	if err != nil {
		t.Fatal(err)
	}
	id, err := result.LastInsertId()
	if err != nil {
		t.Fatal(err)
	}
	return ticket.ID(id)
}

// Ids that the table assigns after a lease lie outside all leased blocks, even if other programs insert during the lease.
// Without the fence, or without the margin, the ids meet (tried by hand).
func TestAUTO_INCREMENTIsFencedFromLeasedIDs(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := counting(t, dsn, "state VARCHAR(9) NOT NULL, owner INT NOT NULL, INDEX (owner)")
		var mu sync.Mutex
		seen := make(map[ticket.ID]string)
		note := func(id ticket.ID, by string) {
			mu.Lock()
			defer mu.Unlock()
			if other, twice := seen[id]; twice {
				t.Errorf("id %d was given by %s and by %s", id, other, by)
			}
			seen[id] = by
		}
		exec(t, db, "ALTER TABLE tickets ALTER owner SET DEFAULT 0") // for the plugin's own INSERT in strict mode
		exec(t, db, "ALTER TABLE tickets ADD mandatory VARCHAR(9) NOT NULL")
		exec(t, db, "CREATE TRIGGER fill BEFORE INSERT ON tickets FOR EACH ROW SET NEW.mandatory = 'x'")
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for range 15 {
					first, err := mysql.NewSequence(db).Lease(t.Context(), 20)
					if err != nil {
						t.Error(err)
						return
					}
					for i := range ticket.ID(20) {
						note(first+i, "a lease")
					}
				}
			})
			all.Go(func() {
				for range 300 {
					note(given(t, db), "the table")
				}
			})
		}
		all.Wait()
		var highest ticket.ID
		for id := range seen {
			highest = max(highest, id)
		}
		if id := given(t, db); id <= highest {
			t.Errorf("the table gives %d, want more than all leased ids, up to %d", id, highest)
		}
		var rows int
		err := db.Pool().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM tickets WHERE state <> 'theirs'").Scan(&rows)
		if err != nil || rows != 0 {
			t.Errorf("%d rows were left by leases, error %v", rows, err)
		}
	})
}

// Tables that are no model of good design: leases work nevertheless, if the row of defaults can be inserted at all.
func TestTablesThatAreFenced(t *testing.T) {
	t.Parallel()
	for name, columns := range map[string]string{
		"required":    "state VARCHAR(9) NOT NULL, a TEXT NOT NULL, b DATETIME NOT NULL, c ENUM('x','y') NOT NULL, d BLOB NOT NULL",
		"json":        "state VARCHAR(9), a JSON NOT NULL, b JSON",
		"unique":      "state VARCHAR(9) UNIQUE, hash CHAR(9) NOT NULL UNIQUE",
		"foreign":     "state VARCHAR(9), parent BIGINT UNSIGNED NOT NULL, FOREIGN KEY (parent) REFERENCES tickets (id)",
		"not_primary": "state VARCHAR(9)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers(t, func(t *testing.T, dsn string) { wantFenced(t, dsn, columns) })
		})
	}
}

func wantFenced(t *testing.T, dsn, columns string) {
	db := counting(t, dsn, columns)
	first := lease(t, db, 10)
	if first < 1000 {
		t.Errorf("first id %d, want it behind the margin", first)
	}
	if counts, err := db.TryFence(t.Context()); !counts || err != nil {
		t.Errorf("AUTO_INCREMENT %v, error %v", counts, err)
	}
	conn, err := db.Pool().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET sql_mode = '', foreign_key_checks = 0"); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.ExecContext(t.Context(), "SET check_constraint_checks = 0") // MariaDB's JSON is such a constraint
	result, err := conn.ExecContext(t.Context(), "INSERT INTO tickets (state) VALUES ('theirs')")
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := result.LastInsertId(); ticket.ID(id) < first+10 {
		t.Errorf("the table gives %d, want more than the last leased id %d", id, first+9)
	}
	db.KeepNone() // the pool must not get this session back
}

// MariaDB lets a session leave CHECK constraints out; MySQL does not, and then the reason names the constraint.
func TestAConstraintThatRefusesDefaults(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := counting(t, dsn, "state VARCHAR(9) NOT NULL CHECK (state <> '')")
		_, err := mysql.NewSequence(db).Lease(t.Context(), 10)
		if err == nil {
			return
		}
		if _, unfenced := errors.AsType[*mysql.UnfencedError](err); !unfenced || !strings.Contains(err.Error(), "(3819 ") {
			t.Errorf("error %v, want none, or the constraint", err)
		}
	})
}

// If ids cannot be kept apart, Lease leases no ids, and the reason contains the remedy.
func TestTablesThatCannotBeFenced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ columns, statement, want string }{
		"engine": {"state VARCHAR(9)", "ALTER TABLE tickets ENGINE = MyISAM", "ENGINE = InnoDB"},
		"narrow": {
			"state VARCHAR(9)", "ALTER TABLE tickets MODIFY id SMALLINT AUTO_INCREMENT, AUTO_INCREMENT = 31000", "BIGINT UNSIGNED",
		},
		"trigger": {
			"state VARCHAR(9)", "CREATE TRIGGER no BEFORE INSERT ON tickets FOR EACH ROW " +
				"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine'", "(1644 mine)",
		},
		"unique": {"state VARCHAR(9) NOT NULL UNIQUE", "INSERT INTO tickets (state) VALUES ('')", "(1062 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers(t, func(t *testing.T, dsn string) {
				db := counting(t, dsn, c.columns)
				exec(t, db, c.statement)
				_, err := mysql.NewSequence(db).Lease(t.Context(), 1000)
				_, ok := errors.AsType[*mysql.UnfencedError](err)
				if !ok || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one that says %q", err, c.want)
				}
				if counts, err := db.TryFence(t.Context()); !counts || (err == nil) != (name == "narrow") {
					t.Errorf("AUTO_INCREMENT %v, error %v", counts, err)
				}
			})
		})
	}
}

// A server whose counters grow in steps, as with several masters.
func TestAUTO_INCREMENTInSteps(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := counting(t, dsn+"?auto_increment_increment=7&auto_increment_offset=3", "state VARCHAR(9)")
		var last ticket.ID
		for range 5 {
			first := lease(t, db, 10)
			if first <= last {
				t.Errorf("the lease gives %d, want more than %d", first, last)
			}
			if last = given(t, db); last < first+10 || last%7 != 3 {
				t.Errorf("the table gives %d after a block from %d on", last, first)
			}
		}
	})
}

// The fence stands after a crash: the counter is in the log before the sequence is.
func TestTheFenceSurvivesACrash(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	if err := server.CreateDatabase(t.Context(), "fence"); err != nil {
		t.Fatal(err)
	}
	db := counting(t, server.DSN("fence"), "state VARCHAR(9)")
	first := lease(t, db, 10)
	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id := given(t, open(t, mysql.Config{DSN: server.DSN("fence")})); id < first+10 {
		t.Errorf("after a crash the table gives %d, want more than %d", id, first+9)
	}
}
