package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// adopted is a daemon on a table that another plugin made and still uses.
func adopted(t *testing.T, o rigOptions) *rig {
	t.Helper()
	o.site = "key_column = \"id\"\ncolumns = { status = \"state\", subject = \"title\", customer_id = \"customer\" }\n"
	o.tables = []string{
		`CREATE TABLE wp_support_tickets (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer BIGINT NOT NULL, title
			VARCHAR(200) NOT NULL,
			state VARCHAR(20) NOT NULL DEFAULT 'new', source VARCHAR(20) NOT NULL, CONSTRAINT no_forbidden CHECK (state <> 'forbidden'))`,
		theirs,
		"CREATE TABLE archive LIKE wp_support_tickets",
	}
	return newRig(t, o)
}

// theirs is the plugin's INSERT of a ticket.
const theirs = "INSERT INTO wp_support_tickets (customer, title, source) VALUES (7, 'help', 'form')"

// stateOf is the table's content for a ticket; empty without a row.
func stateOf(t *testing.T, r *rig, id int64) (text string) {
	t.Helper()
	err := r.db.QueryRowContext(t.Context(), "SELECT COALESCE(MAX(state), '') FROM wp_support_tickets WHERE id = ?", id).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func runSQL(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// listed are the ids of all tickets, with the number that count says.
func listed(t *testing.T, c *protocol.Client) string {
	t.Helper()
	list, err := c.List(t.Context(), protocol.ListParams{Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	count, err := c.Count(t.Context(), protocol.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, len(list.Tickets))
	for i := range list.Tickets {
		ids[i] = list.Tickets[i].ID
	}
	return fmt.Sprint(ids, count.Count)
}

// Another plugin's table is used and never altered: create, set, list, delete and dead letters work on the table through the
// daemon and its restarts, beside the plugin's own statements.
func TestAdoptedTable(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]rigOptions{"redis": {}, "journal": {noRedis: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := adopted(t, o)
			before := shape(t, r.db)
			c := r.dial(t)
			mustSet(t, c, 1, "status", "open")
			text := protocol.Text
			made, err := c.Create(t.Context(), []protocol.Field{
				{Name: "status", Value: text("new")}, {Name: "subject", Value: text("ours")}, {Name: "customer_id", Value: text("8")},
				{Name: "source", Value: text("api")},
			}, "")
			if err != nil {
				t.Fatal(err)
			}
			flushed(t, c)
			if a, b := stateOf(t, r, 1), stateOf(t, r, made.ID); a != "open" || b != "new" {
				t.Errorf("states %q and %q, want those that were set", a, b)
			}

			// The plugin saves a whole row as it has read it, archives, and makes its own ticket.
			for _, statement := range []string{
				"CREATE TABLE whole SELECT * FROM wp_support_tickets WHERE id = 1",
				"INSERT INTO archive SELECT * FROM wp_support_tickets",
				"INSERT INTO wp_support_tickets (id, customer, title, source) VALUES (90000, 7, 'more', 'form')",
			} {
				runSQL(t, r.db, statement)
			}
			mustSet(t, c, 1, "status", "pending")
			flushed(t, c)
			runSQL(t, r.db, "REPLACE INTO wp_support_tickets SELECT * FROM whole") //nolint:unqueryvet // the whole row
			mustSet(t, c, 1, "status", "closed")
			flushed(t, c)
			if got := stateOf(t, r, 1); got != "closed" {
				t.Errorf("state %q after the plugin's save of an old row and a newer set, want closed", got)
			}
			if got, want := listed(t, c), fmt.Sprint([]int64{1, made.ID, 90000}, 3); got != want {
				t.Errorf("listed %s, want %s", got, want)
			}

			// A dead letter delays no other ticket, and a later write clears it.
			mustSet(t, c, 1, "status", "forbidden")
			mustSet(t, c, 90000, "status", "open")
			testenv.Eventually(t, 5*time.Second, "one dead letter, the other in MySQL", func() bool {
				return dead(t, c) == 1 && stateOf(t, r, 90000) == "open"
			})
			mustSet(t, c, 1, "status", "solved")
			testenv.Eventually(t, 5*time.Second, "the later write clears it", func() bool {
				return dead(t, c) == 0 && stateOf(t, r, 1) == "solved"
			})

			if _, err := c.Delete(t.Context(), made.ID, ""); err != nil {
				t.Fatal(err)
			}
			flushed(t, c)
			_ = c.Close()
			if err := r.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			c = r.dial(t)
			if got := stateOf(t, r, made.ID); got != "" {
				t.Errorf("the row of the deleted ticket is %q", got)
			}
			if _, err := c.Get(t.Context(), made.ID); code(err) != protocol.CodeNotFound {
				t.Errorf("get of a deleted ticket: %v", err)
			}
			if value, _ := mustGet(t, c, 1, "status"); value != "solved" {
				t.Errorf("status %q after the restart", value)
			}
			mustSet(t, c, 1, "status", "again")
			flushed(t, c)
			if got, want := listed(t, c)+stateOf(t, r, 1), fmt.Sprint([]int64{1, 90000}, 2)+"again"; got != want {
				t.Errorf("listed %s, want %s", got, want)
			}
			if after := shape(t, r.db); after != before {
				t.Errorf("the table was altered:\n%s\nit was\n%s", after, before)
			}
			if o.noRedis {
				return
			}
			config := filepath.Join(filepath.Dir(r.socket), "verify.toml")
			writeFile(t, config, r.text)
			if out, err := r.run(t, "verify", "--config", config); err != nil || !strings.Contains(out, "0 differ") {
				t.Errorf("verify: %v\n%s", err, out)
			}
		})
	}
}

// formerTables are a table of another plugin as left by an earlier version: with the column of revisions in it, and
// tombstones beside it.
var formerTables = []string{
	"CREATE TABLE wp_support_tickets (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, state VARCHAR(20) NOT NULL DEFAULT 'new', " +
		"`revision` bigint unsigned NOT NULL DEFAULT 0, KEY `ticketd_revision` (`revision`))",
	"CREATE TABLE wp_support_tickets_seq (id TINYINT UNSIGNED PRIMARY KEY, next BIGINT UNSIGNED NOT NULL)",
	"INSERT INTO wp_support_tickets_seq VALUES (1, 100)",
	"CREATE TABLE wp_support_tickets_tombstones (ticket_id BIGINT UNSIGNED PRIMARY KEY, revision BIGINT UNSIGNED NOT NULL)",
	"INSERT INTO wp_support_tickets (id, state) VALUES (1, 'theirs')",
}

// An installation of an earlier version keeps its column until an operator moves it; then the pending changes arrive, and
// deleted tickets stay deleted.
func TestMigrateSidecar(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]rigOptions{"redis": {}, "journal": {noRedis: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.site, o.tables = "key_column = \"id\"\ncolumns = { status = \"state\" }\n"+never, formerTables
			r := newRig(t, o)
			c := r.dial(t)
			for id := int64(1); id <= 3; id++ {
				mustSet(t, c, id, "status", "open")
			}
			if _, err := c.Delete(t.Context(), 3, ""); err != nil {
				t.Fatal(err)
			}
			flushed(t, c)
			if text := shape(t, r.db); !strings.Contains(text, "ticketd_revision") {
				t.Fatalf("the column went by itself:\n%s", text)
			}
			config := filepath.Join(filepath.Dir(r.socket), "sidecar.toml")
			writeFile(t, config, r.text)
			move := []string{"migrate", "--sidecar", "--drop-column", "--config", config}
			if out, err := r.run(t, move...); err == nil || !strings.Contains(out, "stop it on all hosts") {
				t.Errorf("beside a daemon: %v\n%s", err, out)
			}
			mustSet(t, c, 2, "status", "waits")
			r.Kill()
			_ = c.Close()
			if out, err := r.run(t, move...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if text := shape(t, r.db); strings.Contains(text, "revision") {
				t.Errorf("the column is there:\n%s", text)
			}
			if err := r.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			c = r.dial(t)
			mustSet(t, c, 1, "status", "closed")
			flushed(t, c)
			if got, want := listed(t, c)+stateOf(t, r, 1)+stateOf(t, r, 2), fmt.Sprint([]int64{1, 2}, 2)+"closedwaits"; got != want {
				t.Errorf("listed %s, want %s", got, want)
			}
		})
	}
}

// shape is the table's definition without the AUTO_INCREMENT counter.
func shape(t *testing.T, db *sql.DB) string {
	t.Helper()
	var name, text string
	if err := db.QueryRowContext(t.Context(), "SHOW CREATE TABLE wp_support_tickets").Scan(&name, &text); err != nil {
		t.Fatal(err)
	}
	text, _, _ = strings.Cut(text, " AUTO_INCREMENT=")
	text, _, _ = strings.Cut(text, " DEFAULT CHARSET")
	return text
}
