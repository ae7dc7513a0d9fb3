package mysql_test

import (
	"math"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/mysql"
)

// A row whose revision another program has set to an impossible number counts as never written; no other number derives from
// that number. The sink refuses the row's changes with the remedy, and takes them after the remedy; the row is named until a
// read finds it in order.
func TestOddRevision(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		spoil := "UPDATE wp_support_tickets SET revision=? WHERE ticket_id=5"
		if beside(t) {
			spoil = strings.Replace(spoil, "tickets", "tickets_ticketd", 1)
		}
		testOddRevision(t, migrated(t, dsn), spoil)
	})
}

func testOddRevision(t *testing.T, db *mysql.DB, spoil string) {
	t.Helper()
	wantStored(t, write(t, db, set(5, 100, "status", "open"), set(6, 200, "status", "open")), 100, 200)
	for _, odd := range []int64{math.MaxInt64, int64(ticket.MaxRevision)} {
		exec(t, db, spoil, odd)
		if held := row(t, db, 5); held.Revision != 0 {
			t.Errorf("revision %d is believed", held.Revision)
		}
		if highest, err := db.MaxRevision(t.Context()); err != nil || highest != 200 {
			t.Errorf("highest revision %d, error %v; want 200", highest, err)
		}
		if n, first, err := db.FindOddRevision(t.Context()); n != 1 || first != 5 || err != nil {
			t.Errorf("doctor finds %d rows, the first %d, error %v", n, first, err)
		}
		if !strings.Contains(db.OddRevisions(), "ticket 5") {
			t.Errorf("status says %q", db.OddRevisions())
		}
		results := write(t, db, set(5, 300, "status", "closed"), set(6, 300, "status", "closed"))
		refused := results[0].Refused
		if refused == nil || !strings.Contains(refused.Reason, "= 0 WHERE `ticket_id` = 5") || results[1].Revision != 300 {
			t.Errorf("results %+v, %+v: want the first refused with the remedy", results[0], results[1])
		}
		exec(t, db, spoil, 0)
		exec(t, db, strings.Replace(spoil, "=5", "=6", 1), 200)
	}
	wantStored(t, write(t, db, set(5, 300, "status", "closed")), 300)
	wantFields(t, db, 5, 300, "status", "closed")
	if odd := db.OddRevisions(); odd != "" {
		t.Errorf("status still says %q", odd)
	}
}

// The server decides whether two names that differ in case are two tables. Before the server's answer, the names count as the
// same.
func TestSameName(t *testing.T) {
	t.Parallel()
	if testenv.IsMySQL() {
		t.Skip("MySQL takes lower_case_table_names only when its data folder is made")
	}
	for setting, isOne := range map[string]bool{"0": false, "1": true} {
		server := testenv.NewMariaDB(t, testenv.MariaDBOptions{Args: []string{"--lower-case-table-names=" + setting}})
		if err := server.CreateDatabase(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		db := migrated(t, server.DSN("shop"))
		if !open(t, mysql.Config{DSN: server.DSN("shop")}).SameName("Shop.wp_t", "shop.wp_t") {
			t.Error("two names are two before the server has said so")
		}
		if _, err := db.LoadDefinition(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := db.SameName("Shop.wp_t", db.NameOf("wp_t")); got != isOne {
			t.Errorf("lower_case_table_names=%s: one name %v, want %v", setting, got, isOne)
		}
		if !db.SameName("shop.wp_t", "shop.wp_t") || db.SameName("shop.wp_t", "shop2.wp_t") {
			t.Error("a name is not itself, or another")
		}
	}
}
