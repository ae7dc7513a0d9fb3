package mysql_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/sync/mysql"
)

func migrate(t *testing.T, db *mysql.DB, options mysql.MigrateOptions) []string {
	t.Helper()
	statements, err := db.Migrate(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return statements
}

// shows is the answer to SHOW CREATE TABLE; empty if the table does not exist.
func shows(t *testing.T, db *mysql.DB, table string) string {
	t.Helper()
	var name, text string
	if err := db.Pool().QueryRowContext(t.Context(), "SHOW CREATE TABLE "+table).Scan(&name, &text); err != nil {
		return ""
	}
	return text
}

// A server that takes connections and says nothing ends a migration, although its statements may take as long as they need.
func TestMigrateOnAServerThatSaysNothing(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	db := open(t, mysql.Config{DSN: "u:p@tcp(" + listener.Addr().String() + ")/d?timeout=20ms"})
	_, err = db.Migrate(t.Context(), mysql.MigrateOptions{})
	if err == nil || !strings.Contains(err.Error(), "no log-in within 120ms") {
		t.Errorf("the migration says %v", err)
	}
}

func TestMigrateFromNothing(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := open(t, mysql.Config{DSN: dsn})
		planned := migrate(t, db, mysql.MigrateOptions{DryRun: true})
		if shows(t, db, "wp_support_tickets") != "" {
			t.Error("the dry run made the table")
		}
		done := migrate(t, db, mysql.MigrateOptions{})
		if len(done) != 4 || !slices.Equal(planned, done) {
			t.Errorf("planned %q, done %q", planned, done)
		}
		if again := migrate(t, db, mysql.MigrateOptions{}); len(again) != 0 {
			t.Errorf("the second run did %q", again)
		}
		d, err := db.LoadDefinition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d.Extra != "extra" || d.DeletedAt != "deleted_at" || d.Computes() || len(d.Required()) != 0 ||
			len(d.Columns) != 11 {
			t.Errorf("definition %+v", d)
		}
		if c, _ := d.Position("created_at"); d.Columns[c].Default.Source != "now" {
			t.Errorf("created_at has the default %+v", d.Columns[c].Default)
		}
	})
}

// An older table of ticketd's, widened by hand: Migrate adds missing parts and keeps existing parts.
func TestMigrateUpgrades(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := open(t, mysql.Config{DSN: dsn})
		exec(t, db, `CREATE TABLE wp_support_tickets (ticket_id BIGINT UNSIGNED NOT NULL PRIMARY KEY, subject TEXT,
			Status VARCHAR(64) NOT NULL DEFAULT 'new', updated_at DATETIME NULL, own INT,
			revision BIGINT UNSIGNED NOT NULL DEFAULT 0, KEY mine (updated_at), KEY status_updated (own))`)
		exec(t, db, "CREATE TABLE wp_support_tickets_seq (id TINYINT UNSIGNED PRIMARY KEY, next BIGINT UNSIGNED NOT NULL)")
		exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, subject, own) VALUES (41, 'kept', 7)")
		before := shows(t, db, "wp_support_tickets")
		planned := migrate(t, db, mysql.MigrateOptions{DryRun: true})
		if shows(t, db, "wp_support_tickets") != before {
			t.Error("the dry run changed the table")
		}
		if done := migrate(t, db, mysql.MigrateOptions{}); !slices.Equal(planned, done) {
			t.Errorf("planned %q, done %q", planned, done)
		}
		after := shows(t, db, "wp_support_tickets")
		for line := range strings.Lines(before) {
			if line = strings.Trim(line, " ,\n"); strings.HasPrefix(line, "`") || strings.Contains(line, "KEY") {
				if !strings.Contains(after, line) {
					t.Errorf("%s was changed in\n%s", line, after)
				}
			}
		}
		for _, column := range []string{"`extra`", "KEY `revision`", "`deleted_at`", "KEY `customer_created`"} {
			if !strings.Contains(after, column) {
				t.Errorf("%s is missing in\n%s", column, after)
			}
		}
		if strings.Contains(after, "KEY `updated`") {
			t.Error("an index was doubled under another name")
		}
		if again := migrate(t, db, mysql.MigrateOptions{}); len(again) != 0 {
			t.Errorf("the second run did %q", again)
		}
		wantFields(t, db, 41, 0, "subject", "kept", "own", "7")
		if first, err := mysql.NewSequence(db).Lease(t.Context(), 1); err != nil || first != 42 {
			t.Errorf("first id %d, error %v; want 42", first, err)
		}
	})
}

func TestMigrateADescribedTable(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id", Revision: "rev"})
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err == nil {
		t.Error("a described table that is not there was made")
	}
	exec(t, db, "CREATE TABLE tickets (id INT PRIMARY KEY, state INT NOT NULL)")
	before := shows(t, db, "tickets")
	_, err := db.LoadDefinition(t.Context())
	wantPaused(t, err) // no side table yet
	planned := migrate(t, db, mysql.MigrateOptions{DryRun: true})
	done := migrate(t, db, mysql.MigrateOptions{})
	if len(done) != 4 || !strings.Contains(done[0], "`tickets_ticketd`") || !slices.Equal(planned, done) {
		t.Errorf("planned %q, done %q", planned, done)
	}
	if again := migrate(t, db, mysql.MigrateOptions{}); len(again) != 0 {
		t.Errorf("the second run did %q", again)
	}
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Error(err)
	}
	if after := shows(t, db, "tickets"); after != before {
		t.Errorf("the table was altered:\n%s\nit was\n%s", after, before)
	}
}

func TestMigrateTwiceAtOnce(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	var all sync.WaitGroup
	for range 4 {
		db := open(t, mysql.Config{DSN: server.DSN(name)})
		all.Go(func() {
			if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// While a transaction uses the table, a migration keeps the site's statements waiting for seconds, not until the transaction
// ends, and names its connection; it goes on when the transaction has ended. With the server's lock_wait_timeout the migration
// and every later SELECT wait for the transaction.
func TestMigrateBehindALongTransaction(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, "ALTER TABLE wp_support_tickets DROP COLUMN category, DROP KEY category_updated")
		tx, err := db.Pool().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		var id, n int
		err = tx.QueryRowContext(t.Context(), "SELECT CONNECTION_ID(), COUNT(*) FROM wp_support_tickets").Scan(&id, &n)
		if err != nil {
			t.Fatal(err)
		}
		holder := fmt.Sprintf("connection %d of root@localhost", id)
		_, err = db.Migrate(t.Context(), mysql.MigrateOptions{Wait: time.Nanosecond})
		if err == nil || !strings.Contains(err.Error(), holder) || !strings.Contains(err.Error(), "keep the table locked") {
			t.Errorf("%v; want %q", err, holder)
		}
		said := make(chan string, 100)
		done := make(chan error, 1)
		go func() {
			_, err := db.Migrate(t.Context(), mysql.MigrateOptions{Say: func(format string, args ...any) {
				said <- fmt.Sprintf(format, args...)
			}})
			done <- err
		}()
		if text := <-said; !strings.Contains(text, holder) {
			t.Errorf("it says %q", text)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		text := shows(t, db, "wp_support_tickets")
		if !strings.Contains(text, "`category`") || !strings.Contains(text, "category_updated") {
			t.Errorf("the table is %s", text)
		}
	})
}

// The columns and indexes of ticketd's own table are added while the table is in use: the server copies no table and lets writers
// wait for none.
func TestMigrateLeavesTheTableInUse(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		if beside(t) {
			t.Skip("another plugin's table is never altered")
		}
		exec(t, db, "ALTER TABLE wp_support_tickets DROP COLUMN category, DROP COLUMN extra, DROP COLUMN deleted_at, "+
			"DROP KEY updated, DROP KEY category_updated")
		say := func(format string, args ...any) { t.Errorf(format, args...) }
		for _, statement := range migrate(t, db, mysql.MigrateOptions{Say: say}) {
			if !strings.Contains(statement, "ALGORITHM=") {
				t.Errorf("the table is not in use during %s", statement)
			}
		}
	})
}
