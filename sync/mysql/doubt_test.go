package mysql_test

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// A trigger that fails for one row may say what an outage says: a number of its own choice, a missing table or column, a
// missing right. The row is refused with the server's number, alone and among others, and the others are stored.
func TestATriggersErrorConcernsItsRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code int
		body string
	}{
		"signal 1105": {1105, "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1105, MESSAGE_TEXT = 'no'"},
		"signal 1142": {1142, "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1142, MESSAGE_TEXT = 'no'"},
		"signal 1213": {1213, "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'no'"},
		"signal 1053": {1053, "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1053, MESSAGE_TEXT = 'no'"},
		"HY000":       {1105, "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1105, MESSAGE_TEXT = 'no'"},
		"table":       {1146, "INSERT INTO no_audit VALUES (1)"},
		"column":      {1054, "INSERT INTO audit (nosuch) VALUES (1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := private(t)
			exec(t, db, "CREATE TABLE audit (a INT)")
			for _, when := range []string{"INSERT", "UPDATE"} {
				exec(t, db, "CREATE TRIGGER tr_"+when+" BEFORE "+when+" ON wp_support_tickets FOR EACH ROW "+
					"IF NEW.category = 'bad' THEN "+c.body+"; END IF")
			}
			if _, err := db.LoadDefinition(t.Context()); err != nil {
				t.Fatal(err)
			}
			bad := set(2, 7, "category", "bad")
			results := write(t, db, set(1, 7, "category", "good"), bad, set(3, 7, "category", "good"), set(4, 7, "subject", "x"))
			wantStored(t, []flush.Result{results[0], results[2], results[3]}, 7, 7, 7)
			for i, r := range []flush.Result{results[1], write(t, db, bad)[0], write(t, db, set(1, 8, "category", "bad"))[0]} {
				if r.Refused == nil || r.Refused.Code != c.code || r.Refused.Reason == "" {
					t.Errorf("%d: the bad row: %+v, want it refused with %d", i, r, c.code)
				}
			}
		})
	}
}

// A trigger fails for one row with what the server says of itself: a full table, here of the trigger's own, or too many
// connections. That ticket waits, alone and among others, in whatever order, and is stored when there is room; no other waits
// for it.
func TestAFullTableOfATriggersHoldsItsRowAlone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"1114": "INSERT INTO crammed SELECT REPEAT('x', 250) FROM thousand",
		"1040": "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1040, MESSAGE_TEXT = 'no'",
		"1213": "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'no'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := private(t)
			exec(t, db, "CREATE TABLE crammed (a CHAR(250)) ENGINE = MEMORY MAX_ROWS = 100")
			exec(t, db, "CREATE TABLE thousand (a INT)")
			exec(t, db, "INSERT INTO thousand VALUES (1)"+strings.Repeat(",(1)", 999))
			for _, when := range []string{"INSERT", "UPDATE"} {
				exec(t, db, "CREATE TRIGGER tr_"+when+" BEFORE "+when+" ON wp_support_tickets FOR EACH ROW "+
					"IF NEW.category = 'bad' THEN "+body+"; END IF")
			}
			sink := mysql.NewSink(db)
			bad, good := set(2, 7, "category", "bad"), set(3, 7, "subject", "good")
			wants := func(later bool, changes ...store.Claim) {
				t.Helper()
				results, err := sink.Write(t.Context(), changes)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range results {
					if waits := later && changes[i].ID == 2; (r.Later != nil) != waits || r.Refused != nil || !waits && r.Revision != 7 {
						t.Errorf("ticket %d of %d: %+v", changes[i].ID, len(changes), r)
					}
				}
			}
			wants(true, bad, good)
			wants(true, bad)
			wants(true, good, bad, set(4, 7, "category", "good"))
			exec(t, db, "DROP TRIGGER tr_INSERT")
			wants(false, bad)
		})
	}
}

// The same from a server that takes nothing is an outage. (With settleUnfit out the tickets count as taken.)
func TestAFullTableForEveryRowIsAnOutage(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "CREATE TRIGGER tr BEFORE INSERT ON wp_support_tickets FOR EACH ROW "+
		"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'full'")
	sink := mysql.NewSink(db)
	changes := make([]store.Claim, 100)
	for i := range changes {
		changes[i] = set(ticket.ID(i+1), 1, "status", "a")
	}
	_, err := sink.Write(t.Context(), changes[:1])
	wantDown(t, err)
	_, err = sink.Write(t.Context(), changes)
	wantDown(t, err)
}

// The same answer for every row is an outage, also where a trigger's table is missing: no backlog becomes dead letters. Rows
// that come alone, with no other between them, are one letter at most. (With settleDoubted out all are letters.)
func TestATriggerThatFailsForEveryRowIsAnOutage(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "CREATE TABLE audit (a INT)")
	exec(t, db, "CREATE TRIGGER tr BEFORE INSERT ON wp_support_tickets FOR EACH ROW INSERT INTO audit VALUES (1)")
	sink := mysql.NewSink(db)
	changes := []store.Claim{set(1, 1, "status", "a"), set(2, 1, "status", "a"), set(3, 1, "status", "a")}
	exec(t, db, "RENAME TABLE audit TO elsewhere")
	_, err := sink.Write(t.Context(), changes)
	wantDown(t, err)
	results, err := sink.Write(t.Context(), changes[:1])
	if err != nil || results[0].Refused == nil {
		t.Errorf("a row alone: %+v, error %v, want it refused", results, err)
	}
	_, err = sink.Write(t.Context(), changes[1:2])
	wantDown(t, err)
	exec(t, db, "RENAME TABLE elsewhere TO audit")
	if results, err = sink.Write(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	wantStored(t, results, 1, 1, 1)
}

// A right is missing on the tickets table alone: the sequence's table takes writes, and the statement without a row does not.
// (With the rowless statements out a row that comes alone is a letter.)
func TestARightIsMissingOnTheTicketsTable(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	if err := server.CreateDatabase(t.Context(), "site"); err != nil {
		t.Fatal(err)
	}
	admin := migrated(t, server.DSN("site"))
	exec(t, admin, "CREATE USER writer IDENTIFIED BY 'hush-hush'")
	exec(t, admin, "GRANT SELECT ON site.* TO writer")
	exec(t, admin, "GRANT INSERT, UPDATE ON site.wp_support_tickets_seq TO writer")
	db := open(t, mysql.Config{DSN: "writer:hush-hush@unix(" + server.Socket() + ")/site"})
	_, err := mysql.NewSink(db).Write(t.Context(), []store.Claim{set(1, 1, "status", "open")})
	wantDown(t, err) // 1142
	exec(t, admin, "GRANT INSERT (ticket_id, revision), UPDATE ON site.wp_support_tickets TO writer")
	_, err = mysql.NewSink(db).Write(t.Context(), []store.Claim{set(1, 1, "status", "open")})
	wantDown(t, err) // 1143
}
