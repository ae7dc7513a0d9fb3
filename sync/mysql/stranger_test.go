package mysql_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// now is a revision as daemons make revisions: a time in µs.
const now ticket.Revision = 1_764_000_000_000_000

const second = ticket.Revision(1_000_000)

// created is the create of a new ticket, at the revision of its acknowledgement or at a later revision.
func created(id, acknowledged, revision ticket.Revision, pairs ...string) store.Claim {
	c := set(ticket.ID(id), revision, pairs...)
	c.Created = acknowledged
	return c
}

// wantStranger requires that a create was refused because its id belongs to another ticket.
func wantStranger(t *testing.T, r flush.Result) {
	t.Helper()
	if r.Refused == nil || r.Refused.Code != 1062 || !strings.Contains(r.Refused.Reason, "belongs to another ticket") {
		t.Errorf("result %+v (%+v), want the create refused with 1062", r, r.Refused)
	}
}

// wantForgotten requires that the change counts as stored and that the store forgets its copy.
func wantForgotten(t *testing.T, r flush.Result, revision ticket.Revision) {
	t.Helper()
	if r.Refused != nil || r.Revision != revision || !r.Ahead {
		t.Errorf("result %+v (%+v), want revision %d, and that the store forgets its copy", r, r.Refused, revision)
	}
}

// Revisions that are ahead of the clock count changes, not time: the row of the change before a create's is a stranger's.
func TestACreateNeverTouchesTheRowJustBelow(t *testing.T) {
	t.Parallel()
	db := private(t)
	ahead := ticket.Revision(time.Now().Add(time.Hour).UnixMicro())
	write(t, db, set(1, ahead, "subject", "precious"))
	wantStranger(t, write(t, db, created(1, ahead+1, ahead+1, "subject", "new"))[0])
	wantFields(t, db, 1, ahead, "subject", "precious")
}

// A create that meets another program's row does not change the row, and the sink stores the other tickets of the batch. Without
// the floor in the guard the create overwrites the row (tried by hand).
func TestACreateNeverTouchesAnotherTicketsRow(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, subject, customer_id, extra) "+
			"VALUES (16, 'precious', 5, '{\"note\":\"private\"}')")
		write(t, db, set(18, now-100*second, "subject", "older", "note", "private")) // ticketd's own row, by another way
		results := write(t, db,
			created(15, now, now, "subject", "new", "customer_id", "4", "deleted_at", "NULL"),
			created(16, now, now, "subject", "new", "customer_id", "4", "deleted_at", "NULL"),
			created(17, now, now+50*second, "subject", "new", "note", "x"),
			created(18, now, now+50*second, "subject", "new", "note", "x"))
		wantStored(t, results[:1], now)
		wantStranger(t, results[1])
		wantStored(t, results[2:3], now+50*second)
		wantStranger(t, results[3])
		wantFields(t, db, 15, now, "subject", "new", "customer_id", "4")
		wantFields(t, db, 16, 0, "subject", "precious", "customer_id", "5", "note", "private")
		wantFields(t, db, 17, now+50*second, "subject", "new", "note", "x")
		wantFields(t, db, 18, now-100*second, "subject", "older", "note", "private")
	})
}

// The store has allowed for clocks that differ, so the sink must not allow for them once more: a ticket two seconds older than
// the oldest possible row of the create is another ticket.
func TestAClocksAllowanceIsGivenOnce(t *testing.T) {
	t.Parallel()
	db := private(t)
	write(t, db, set(1, now-2*second, "subject", "theirs"), set(2, now-store.LateSkew-2*second, "subject", "theirs"))
	results := write(t, db, created(1, now, now, "subject", "new"), created(2, now-store.LateSkew, now, "subject", "late"))
	wantStranger(t, results[0])
	wantStranger(t, results[1])
	wantFields(t, db, 1, now-2*second, "subject", "theirs")
	wantFields(t, db, 2, now-store.LateSkew-2*second, "subject", "theirs")
}

// A create whose ack was lost comes again, with or without further changes, and clocks of hosts differ.
func TestACreateThatComesAgain(t *testing.T) {
	t.Parallel()
	db := private(t)
	for range 2 {
		wantStored(t, write(t, db, created(1, now, now, "subject", "new")), now)
	}
	wantStored(t, write(t, db, created(1, now, now+100*second, "subject", "newer", "status", "x")), now+100*second)
	wantStored(t, write(t, db, created(1, now, now, "subject", "new")), now+100*second)
	wantFields(t, db, 1, now+100*second, "subject", "newer", "status", "x")
	write(t, db, set(2, now-9*second, "subject", "by a slow clock"))
	wantStored(t, write(t, db, created(2, now-store.LateSkew, now, "status", "x")), now)
	wantStored(t, write(t, db, created(3, 5, 5, "status", "x")), 5) // a revision that is no time
	wantStored(t, write(t, db, created(3, 5, 6, "status", "y")), 6)
}

// The same where the table has no marks, and where a column must be given.
func TestACreateNeverTouchesAnotherTicketsRowInOtherTables(t *testing.T) {
	t.Parallel()
	t.Run("no deleted_at", func(t *testing.T) {
		t.Parallel()
		db := hard(t)
		exec(t, db, "INSERT INTO tickets (id, status) VALUES (16, 'theirs')")
		write(t, db, deletion(17, now-100*second), deletion(18, now+second))
		results := write(t, db, created(15, now, now, "status", "mine"), created(16, now, now, "status", "mine"),
			created(17, now, now, "status", "mine"), created(18, now, now, "status", "mine"))
		wantStored(t, results[:1], now)
		wantStranger(t, results[1])
		wantStranger(t, results[2]) // the id of a ticket that was deleted
		wantStored(t, results[3:], now)
		wantFields(t, db, 16, 0, "status", "theirs")
		wantGone(t, db, 17)
		wantGone(t, db, 18)

		gone := created(16, now, now+second)
		gone.Deleted = true
		other := created(19, now, now+second)
		other.Deleted = true
		results = write(t, db, gone, other)
		wantForgotten(t, results[0], now+second)
		wantStored(t, results[1:], now+second)
		if !results[0].Void || results[1].Void {
			t.Errorf("results %+v, want the first void", results)
		}
		wantFields(t, db, 16, 0, "status", "theirs")
		wantStored(t, write(t, db, set(16, now+2*second, "status", "changed")), now+2*second)
		wantFields(t, db, 16, now+2*second, "status", "changed")
	})
	t.Run("required column", func(t *testing.T) {
		t.Parallel()
		db := existing(t)
		results := write(t, db, created(1, now, now, "status", "mine"), created(2, now, now, "status", "mine", "queue", "q"))
		wantStranger(t, results[0])
		wantStranger(t, results[1])
		wantFields(t, db, 1, 0, "status", "new", "queue", "a")
		wantFields(t, db, 2, 0, "status", "new", "queue", "b")
	})
}

// A ticket that was made and deleted before either arrived.
func TestACreateThatWasDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (16, 'precious')")
	gone := func(id ticket.ID) store.Claim {
		c := created(ticket.Revision(id), now, now+second, "subject", "new")
		c.Deleted = true
		return c
	}
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, subject, deleted_at) VALUES (17, 'in the trash', NOW())")
	results := write(t, db, gone(15), gone(16), gone(17))
	wantStored(t, results[:1], now+second)
	wantForgotten(t, results[1], now+second)
	wantForgotten(t, results[2], now+second)
	if results[0].Void || !results[1].Void || results[2].Void {
		t.Errorf("results %+v, want the deletion void whose id a living ticket has", results)
	}
	if held := row(t, db, 16); held.Deleted || held.Revision != 0 {
		t.Errorf("the other ticket's row is %+v", held)
	}
	// A flusher that was paused with the create must not restore the ticket.
	wantForgotten(t, write(t, db, created(15, now, now, "subject", "new"))[0], now+second)
	wantForgotten(t, write(t, db, created(15, now, now+2*second, "subject", "new", "deleted_at", "NULL"))[0], now+2*second)
	if !row(t, db, 15).Deleted {
		t.Error("the ticket is back")
	}
}

// A change that is no deletion does not alter a deleted row, however new the change, and whatever the table's mark of a
// deletion.
func TestADeletedRowIsNotChanged(t *testing.T) {
	t.Parallel()
	const must = ", ADD must VARCHAR(9) NOT NULL"
	for name, columns := range map[string]string{
		"null":      "deleted_at DATETIME NULL",
		"zero":      "deleted_at INT NOT NULL DEFAULT 0",
		"zero date": "deleted_at DATETIME NULL DEFAULT '0000-00-00 00:00:00'",
		"bit":       "deleted_at BIT(1) NOT NULL DEFAULT 0",
		"text":      "deleted_at VARCHAR(30) NOT NULL DEFAULT ''",
		"required":  "deleted_at DATETIME NULL" + must,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := private(t)
			exec(t, db, "DROP TABLE wp_support_tickets")
			lax(t, db, "CREATE TABLE wp_support_tickets (ticket_id BIGINT PRIMARY KEY, "+
				"status VARCHAR(9), extra JSON, revision BIGINT UNSIGNED NOT NULL DEFAULT 0, "+strings.TrimSuffix(columns, must)+")")
			lax(t, db, "INSERT INTO wp_support_tickets (ticket_id, status) VALUES (1, 'a'), (2, 'b')")
			exec(t, db, "ALTER TABLE wp_support_tickets MODIFY "+strings.Replace(columns, "DEFAULT '0000-00-00 00:00:00'", "", 1))
			if _, err := db.LoadDefinition(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantStored(t, write(t, db, deletion(1, now)), now)
			if !row(t, db, 1).Deleted {
				t.Fatal("the row carries no mark")
			}
			results := write(t, db, set(1, now+2, "status", "x", "note", "y"), set(2, now+2, "status", "x"))
			wantForgotten(t, results[0], now+2)
			wantStored(t, results[1:], now+2)
			wantForgotten(t, write(t, db, set(1, now-1, "status", "x"))[0], now)
			wantFields(t, db, 1, now, "status", "a")
			wantFields(t, db, 2, now+2, "status", "x")
			wantStored(t, write(t, db, deletion(1, now+4)), now+4)
			wantStored(t, write(t, db, deletion(9, now)), now) // of no row
		})
	}
}

// A deletion reaches the row whatever the table refuses: an earlier change, or the row of an insert.
func TestADeletionIsNotRefusedForWhatWasChangedBefore(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"too long": "SET @nothing = 1",
		"check":    "ALTER TABLE wp_support_tickets ADD CHECK (subject <> '')",
		"foreign": "ALTER TABLE wp_support_tickets ADD parent BIGINT UNSIGNED NOT NULL DEFAULT 1, " +
			"ADD FOREIGN KEY (parent) REFERENCES wp_support_tickets (ticket_id)",
		"trigger": "CREATE TRIGGER no BEFORE INSERT ON wp_support_tickets FOR EACH ROW " +
			"IF NEW.subject = '' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := private(t)
			exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (1, 'a')")
			exec(t, db, statement)
			if _, err := db.LoadDefinition(t.Context()); err != nil {
				t.Fatal(err)
			}
			gone := set(1, 20, "subject", strings.Repeat("x", 300))
			gone.Deleted = true
			wantStored(t, write(t, db, gone, deletion(7, 20)), 20, 20)
			if held := row(t, db, 1); !held.Deleted {
				t.Errorf("the row is %+v, want it marked as deleted", held)
			}
			wantFields(t, db, 1, 20, "subject", "a")
		})
	}
}

// Two sinks and SQL race for the same ids: each ticket is whole, from a single writer.
func TestCreatesRaceWithSQL(t *testing.T) {
	t.Parallel()
	db := private(t)
	const tickets = 200
	done := make(chan error, 1)
	go func() {
		for id := range tickets {
			_, err := db.Pool().ExecContext(context.Background(),
				"INSERT IGNORE INTO wp_support_tickets (ticket_id, subject, category) VALUES (?, 'theirs', 'theirs')", id+1)
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	sink := mysql.NewSink(db)
	var refused int
	for first := 1; first <= tickets; first += 20 {
		var changes []store.Claim
		for id := first; id < first+20; id++ {
			changes = append(changes, created(ticket.Revision(id), now, now, "subject", "ours", "category", "ours"))
		}
		results, err := sink.Write(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Refused != nil {
				refused++
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var theirs, ours int
	err := db.Pool().QueryRowContext(t.Context(), "SELECT SUM(subject = 'theirs' AND category = 'theirs' AND revision = 0), "+
		"SUM(subject = 'ours' AND category = 'ours' AND revision > 0) FROM wp_support_tickets").Scan(&theirs, &ours)
	if err != nil || theirs != refused || theirs+ours != tickets {
		t.Errorf("%d rows of SQL and %d of creates, error %v; want %d and together %d", theirs, ours, err, refused, tickets)
	}
}
