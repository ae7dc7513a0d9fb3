package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// shapedMariaDB is a server with a database: with a connection of its administrator, and the DSN of a user to whom init_connect
// and read_only apply (they do not apply to root).
func shapedMariaDB(t *testing.T, args ...string) (admin *sql.DB, dsn string) {
	t.Helper()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{Args: args})
	if err := server.CreateDatabase(t.Context(), "wp"); err != nil {
		t.Fatal(err)
	}
	admin = server.DB(t, "wp")
	run(t, admin, "CREATE USER app@localhost")
	run(t, admin, "GRANT ALL ON wp.* TO app@localhost")
	config := driver.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = "app", "unix", server.Socket(), "wp"
	return admin, config.FormatDSN()
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// presets are changes of a server to its sessions, each with the fault that the change caused before the fix, if any.
var presets = []struct{ name, initConnect string }{
	{"text is encoded twice", "SET NAMES latin1"},
	{"emoji are refused", "SET NAMES utf8"},
	{"text comes back in another encoding", "SET character_set_results = latin1"},
	{"nothing is committed", "SET autocommit = 0"},
	{"a transaction is under way", "BEGIN"},
	{"a COMMIT begins another transaction", "SET completion_type = 1"},
	{"a COMMIT ends the connection", "SET completion_type = 2"},
	{"transactions only read", "SET SESSION TRANSACTION READ ONLY"},
	{"reads see what is not committed", "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"},
	{"names and literals are read otherwise", "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'"},
	{"times are elsewhere", "SET time_zone = '+05:00'"},
	{"joined updates are refused", "SET sql_safe_updates = 1"},
	{"a SELECT ends early", "SET sql_select_limit = 1"},
	{"a SELECT is too big", "SET sql_big_selects = 0, max_join_size = 1"},
	{"statements end early", "SET sql_notes = 1 /*!80000 , max_execution_time = 1 *//*M!100502 , max_statement_time = 0.000001 */"},
	{"constraints are not looked at", "SET foreign_key_checks = 0, unique_checks = 0 /*M!100502 , check_constraint_checks = 0 */"},
	{"sorting stops after eight bytes", "SET max_sort_length = 8"},
	{"a table's definition is written otherwise", "SET sql_quote_show_create = 0"},
	{"a lock is waited for long", "SET innodb_lock_wait_timeout = 100"},
	{"another database is in use", "USE information_schema"},
}

// Whatever the server's administrator does to sessions, ticketd's are ticketd's own, on each of its pools. With the
// sessions left as the server makes them every case fails (tried by hand).
//
//nolint:paralleltest,tparallel // init_connect is the server's, and one for all
func TestTheSessionIsOurs(t *testing.T) {
	t.Parallel()
	admin, dsn := shapedMariaDB(t)
	for i, preset := range presets {
		t.Run(preset.name, func(t *testing.T) {
			run(t, admin, `SET GLOBAL init_connect = "`+preset.initConnect+`"`)
			db := open(t, mysql.Config{DSN: dsn, Table: fmt.Sprintf("tickets%d", i)})
			everyStatement(t, admin, db)
		})
	}
}

// everyStatement makes a table, runs all statements of the daemon on the table, and requires the results.
func everyStatement(t *testing.T, admin *sql.DB, db *mysql.DB) {
	t.Helper()
	table := db.Config().Table
	migrate(t, db, mysql.MigrateOptions{})
	if again := migrate(t, db, mysql.MigrateOptions{}); len(again) > 0 {
		t.Errorf("a second migration runs %q", again)
	}
	const subject = `Grüße "\' 🎫`
	wantStored(t, write(t, db, set(1, 5, "subject", subject, "created_at", "2026-01-02 03:04:05"),
		set(2, 5, "subject", "second"), set(3, 5, "subject", "third")), 5, 5, 5)
	wantStored(t, write(t, db, set(1, 4, "subject", "older"), set(2, 6, "status", "closed")), 5, 6)
	wantFields(t, db, 1, 5, "subject", subject, "created_at", "2026-01-02 03:04:05")
	wantFields(t, db, 2, 6, "subject", "second", "status", "closed")
	if rows, err := db.Rows(t.Context(), []ticket.ID{1, 2, 3}); err != nil || len(rows) != 3 {
		t.Errorf("%d rows, want 3; %v", len(rows), err)
	}
	if _, err := mysql.NewSequence(db).Lease(t.Context(), 10); err != nil {
		t.Errorf("lease ids: %v", err)
	}
	results := write(t, db, store.Claim{ID: 3, Revision: 7, Deleted: true})
	if results[0].Refused != nil {
		t.Errorf("the deletion was refused: %+v", results[0].Refused)
	}
	// Another session sees the value, byte for byte.
	var bytes string
	var rows, deleted int
	err := admin.QueryRowContext(t.Context(), "SELECT MAX(IF(ticket_id = 1, HEX(subject), '')), COUNT(*), COUNT(deleted_at) "+
		"FROM "+table).Scan(&bytes, &rows, &deleted)
	if want := fmt.Sprintf("%X", subject); err != nil || bytes != want || rows != 3 || deleted != 1 {
		t.Errorf("another session sees %s in %d rows, %d of them deleted (%v); want %s, 3, 1", bytes, rows, deleted, err, want)
	}
	var limit, isolation string
	err = db.Pool().QueryRowContext(t.Context(), "SELECT @@innodb_lock_wait_timeout, "+
		"/*M!100502 @@tx_isolation *//*!80000 @@transaction_isolation */").Scan(&limit, &isolation)
	if err != nil || limit != "1" || isolation != "REPEATABLE-READ" {
		t.Errorf("lock wait %q, isolation %q, %v", limit, isolation, err)
	}
}

// The DSN may set a limit, but not a setting that the statements rely on.
func TestWhatTheDSNMaySet(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := open(t, mysql.Config{DSN: dsn + "?innodb_lock_wait_timeout=7&autocommit=0&sql_mode=''"})
		var wait, commit int
		var mode string
		err := db.Pool().QueryRowContext(t.Context(), "SELECT @@innodb_lock_wait_timeout, @@autocommit, @@sql_mode").
			Scan(&wait, &commit, &mode)
		if err != nil || wait != 7 || commit != 1 || !strings.Contains(mode, "STRICT_ALL_TABLES") {
			t.Errorf("lock wait %d, autocommit %d, sql_mode %q, %v", wait, commit, mode, err)
		}
	})
}

// ticketd does not use a server that refuses a setting, or accepts a setting and does not apply it; the error has the server's
// words.
func TestARefusedSession(t *testing.T) {
	t.Parallel()
	_, dsn := shapedMariaDB(t, "--maximum-max-sort-length=512")
	for _, c := range []struct{ dsn, want string }{
		{dsn, `the server does not allow ticketd's session: the server keeps max_sort_length at "512"`},
		{dsn + "?innodb_lock_wait_timeout='soon'", "Incorrect argument type to variable 'innodb_lock_wait_timeout'"},
	} {
		db := open(t, mysql.Config{DSN: c.dsn})
		for operation, do := range map[string]func(context.Context) error{
			"ping": db.Ping,
			"migrate": func(ctx context.Context) error {
				_, err := db.Migrate(ctx, mysql.MigrateOptions{})
				return err
			},
		} {
			if err := do(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; want %q", operation, err, c.want)
			}
		}
	}
}

// connectionOf is the server's number of the database's connection.
func connectionOf(t *testing.T, db *mysql.DB) (id int) {
	t.Helper()
	if err := db.Pool().QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// A server that has become read-only is reported in its own words, and its connections are closed, as the address may now lead
// to another server. With the driver's rejectReadOnly the error is "driver: bad connection" (tried by hand).
func TestAReadOnlyServerSaysSo(t *testing.T) {
	t.Parallel()
	admin, dsn := shapedMariaDB(t)
	db := migrated(t, dsn)
	write(t, db, set(1, 1, "status", "open"))
	before := connectionOf(t, db)
	run(t, admin, "SET GLOBAL read_only = 1")
	_, err := mysql.NewSink(db).Write(t.Context(), []store.Claim{set(1, 2, "status", "closed")})
	wantDown(t, err)
	if err == nil || !strings.Contains(err.Error(), "1290") || !strings.Contains(err.Error(), "--read-only") {
		t.Errorf("the error is %v; want the server's words", err)
	}
	if after := connectionOf(t, db); after == before {
		t.Error("the connection to the read-only server is still in use")
	}
	run(t, admin, "SET GLOBAL read_only = 0")
	wantStored(t, write(t, db, set(1, 2, "status", "closed")), 2)
}

// A Galera node without a majority keeps its connections and rejects statements: ticketd closes the connections, as the address
// may now lead to another node.
func TestANodeWithoutAMajorityIsLeft(t *testing.T) {
	t.Parallel()
	admin, dsn := shapedMariaDB(t)
	db := migrated(t, dsn)
	write(t, db, set(1, 1, "status", "open"))
	before := connectionOf(t, db)
	run(t, admin, "CREATE TRIGGER wp_support_tickets_node BEFORE UPDATE ON wp_support_tickets FOR EACH ROW "+
		"SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node for application use'")
	_, err := mysql.NewSink(db).Write(t.Context(), []store.Claim{set(1, 2, "status", "closed")})
	wantDown(t, err)
	if after := connectionOf(t, db); after == before {
		t.Error("the connection to the node without a majority is still in use")
	}
}
