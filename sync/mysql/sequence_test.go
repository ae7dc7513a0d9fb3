package mysql_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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

// An id that somebody typed in moves the numbering neither at a lease nor at a migration, only when an operator asks.
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

// A sequence begins above the ids that are there when it is made, and so does one that has lost its row. Without the bound
// it would begin at the end of the ids.
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

// A block of which rows have all ids is passed over for the next gap; one of which some are free is not.
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

// counted are rows of one number each, for an INSERT.
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
