package mysql_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// servers runs a test in a fresh database of the shared server: MariaDB, or the MySQL of `make test-mysql`.
func servers(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	test(t, server.DSN(name))
}

// open opens a database without changing its tables.
func open(t *testing.T, config mysql.Config) *mysql.DB {
	t.Helper()
	db, err := mysql.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// migrated opens a database with ticketd's own table, or, below [TestBeside], with a table of the same fields and a side table.
func migrated(t *testing.T, dsn string) *mysql.DB {
	t.Helper()
	db := open(t, mysql.Config{DSN: dsn})
	if beside(t) {
		migrate(t, db, mysql.MigrateOptions{})
		exec(t, db, "ALTER TABLE wp_support_tickets DROP COLUMN revision")
	}
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	return db
}

// private is a database of the shared MariaDB with ticketd's own table.
func private(t *testing.T) *mysql.DB {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	return migrated(t, server.DSN(name))
}

func exec(t *testing.T, db *mysql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Pool().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// lax is exec for values that a strict session refuses, such as a date of zeros.
func lax(t *testing.T, db *mysql.DB, statement string) {
	t.Helper()
	conn, err := db.Pool().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, s := range []string{"SET @strict = @@sql_mode, sql_mode = ''", statement, "SET sql_mode = @strict"} {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// write writes changes and fails the test on an error that concerns all changes.
func write(t *testing.T, db *mysql.DB, changes ...store.Claim) []flush.Result {
	t.Helper()
	results, err := mysql.NewSink(db).Write(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(changes) {
		t.Fatalf("%d results for %d changes", len(results), len(changes))
	}
	return results
}

// set is a change with fields given as name, value, name, value; the value NULL is null.
func set(id ticket.ID, revision ticket.Revision, pairs ...string) store.Claim {
	c := store.Claim{ID: id, Revision: revision}
	for i := 0; i < len(pairs); i += 2 {
		value := ticket.Text(pairs[i+1])
		if pairs[i+1] == "NULL" {
			value = ticket.Null
		}
		c.Fields = append(c.Fields, ticket.Field{Name: pairs[i], Value: value})
	}
	return c
}

// row reads a ticket, whose row must exist.
func row(t *testing.T, db *mysql.DB, id ticket.ID) store.Record {
	t.Helper()
	rows, err := db.Rows(t.Context(), []ticket.ID{id})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows of ticket %d, want 1", len(rows), id)
	}
	return rows[0]
}

// wantFields compares some fields of a ticket in the table.
func wantFields(t *testing.T, db *mysql.DB, id ticket.ID, revision ticket.Revision, pairs ...string) {
	t.Helper()
	held := row(t, db, id)
	if held.Revision != revision {
		t.Errorf("ticket %d: revision %d, want %d", id, held.Revision, revision)
	}
	for _, want := range set(id, 0, pairs...).Fields {
		if got, there := held.Fields.Get(want.Name); !there || got != want.Value {
			t.Errorf("ticket %d: %s is %q (NULL %v, there %v), want %q",
				id, want.Name, got.Text(), got.IsNull(), there, want.Value.Text())
		}
	}
}

// wantStored requires that all changes are in the table at the given revisions.
func wantStored(t *testing.T, results []flush.Result, revisions ...ticket.Revision) {
	t.Helper()
	for i, r := range results {
		if r.Refused != nil || r.Revision != revisions[i] {
			t.Errorf("result %d: revision %d, refused %+v; want revision %d", i, r.Revision, r.Refused, revisions[i])
		}
	}
}
