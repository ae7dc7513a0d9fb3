package mysql_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// told is a guard's reports.
type told struct {
	mu       sync.Mutex
	identity string
	own      bool
	err      error
}

func (g *told) tell(identity string, own bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.identity, g.own, g.err = identity, own, err
}

// watched opens a database with a guard.
func watched(t *testing.T, config mysql.Config) (*mysql.DB, *told) {
	t.Helper()
	db, g := open(t, config), &told{}
	db.Guard(mysql.GuardOptions{Told: g.tell})
	return db, g
}

func TestIdentityIsMadeOnce(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		first, err := db.ReadIdentity(t.Context())
		if err != nil || !first.AtHome() || first.Since.IsZero() {
			t.Fatalf("%+v, %v", first, err)
		}
		if statements, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil || len(statements) != 0 {
			t.Errorf("migrated again: %q, %v", statements, err)
		}
		serving, g := watched(t, mysql.Config{DSN: dsn})
		if _, err := serving.LoadDefinition(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g.identity != first.ID || !g.own || g.err != nil {
			t.Errorf("the guard says %+v, want %s", g, first.ID)
		}
		if again, err := db.ReadIdentity(t.Context()); err != nil || again != first {
			t.Errorf("%+v (%v), it was %+v", again, err, first)
		}
	})
}

// A table that is older than identities gets an identity at the first connection. If the daemon's user may not make tables, the
// table's name stands for its identity until a migration.
func TestIdentityOfAnOlderTable(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	root := migrated(t, server.DSN(name))
	exec(t, root, "DROP TABLE wp_support_tickets_identity")
	exec(t, root, "CREATE USER "+name+"@localhost IDENTIFIED BY 'x'")
	t.Cleanup(func() { _, _ = root.Pool().ExecContext(context.Background(), "DROP USER "+name+"@localhost") })
	exec(t, root, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+name+".* TO "+name+"@localhost")

	lesser, g := watched(t, mysql.Config{DSN: strings.Replace(server.DSN(name), "root@", name+":x@", 1)})
	if _, err := lesser.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.identity != root.Name() || g.own || g.err != nil {
		t.Errorf("without the right to make tables: %+v", g)
	}
	serving, made := watched(t, mysql.Config{DSN: server.DSN(name)})
	if _, err := serving.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	row, err := root.ReadIdentity(t.Context())
	if err != nil || row.ID == "" || made.identity != row.ID || !made.own {
		t.Errorf("with it: %+v, row %+v, %v", made, row, err)
	}
	lesser.KeepNone() // so that the next statement has a new connection
	if _, err := lesser.MaxID(t.Context()); err != nil || g.identity != row.ID {
		t.Errorf("afterwards: %+v, %v", g, err)
	}
}

// ticketd does not change a table that is at another place than its row states.
func TestForeignTableIsLeftAlone(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "UPDATE wp_support_tickets_identity SET server = 'MariaDB server on host production' WHERE id = 1")
	serving, g := watched(t, db.Config())
	_, definition := serving.LoadDefinition(t.Context())
	_, rows := serving.MaxID(t.Context())
	_, lease := mysql.NewSequence(serving).Lease(t.Context(), 1)
	_, flushed := mysql.NewSink(serving).Write(t.Context(), []store.Claim{set(1, 1, "status", "open")})
	for what, err := range map[string]error{
		"definition": definition, "lease": lease, "flush": flushed, "read": rows, "guard": g.err,
	} {
		if !errors.Is(err, flush.ErrSinkForeign) || !strings.Contains(err.Error(), "host production") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if found, err := db.Rows(t.Context(), []ticket.ID{1}); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	// A copy gets its own identity; a table that has moved keeps its identity.
	before, err := db.ReadIdentity(t.Context())
	if err != nil || before.AtHome() {
		t.Fatal(before, err)
	}
	moved, err := db.MoveIdentity(t.Context())
	if err != nil || moved.ID != before.ID || !moved.AtHome() {
		t.Errorf("moved: %+v, %v", moved, err)
	}
	if _, err := serving.LoadDefinition(t.Context()); err != nil || g.identity != before.ID {
		t.Errorf("after the move: %v, %+v", err, g)
	}
	renewed, err := db.RenewIdentity(t.Context())
	if err != nil || renewed.ID == before.ID || !renewed.AtHome() {
		t.Errorf("renewed: %+v, %v", renewed, err)
	}
	serving.KeepNone()
	if _, err := serving.MaxID(t.Context()); !errors.Is(err, flush.ErrSinkForeign) {
		t.Errorf("a process that works for the table as it was goes on with it: %v", err)
	}
}

// The site's tables are renamed while the daemon runs, and its connections lead to another table of that name: a table without
// an identity gets no identity, and ticketd does not change the table. A migration makes no table while the site's table exists
// under another name.
func TestRenamedTableIsNotReplaced(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		serving, g := watched(t, mysql.Config{DSN: dsn})
		if _, err := serving.LoadDefinition(t.Context()); err != nil {
			t.Fatal(err)
		}
		options := mysql.MigrateOptions{Identity: g.identity}
		rename := func(from, to string) {
			exec(t, db, "RENAME TABLE "+from+" TO "+to+", "+from+"_seq TO "+to+"_seq, "+from+"_identity TO "+to+"_identity")
		}
		rename("wp_support_tickets", "x7_support_tickets")
		if _, err := db.Migrate(t.Context(), options); err == nil || !strings.Contains(err.Error(), `table = "x7_support_tickets"`) {
			t.Errorf("migrate: %v", err)
		}
		for _, made := range []string{"CREATE TABLE wp_support_tickets LIKE x7_support_tickets", "with an identity of its own"} {
			if strings.HasPrefix(made, "CREATE") {
				exec(t, db, made)
			} else if _, err := db.Migrate(t.Context(), options); err != nil {
				t.Fatal(err)
			}
			_, again := serving.LoadDefinition(t.Context())
			restarted := open(t, mysql.Config{DSN: dsn})
			restarted.Guard(mysql.GuardOptions{Told: (&told{}).tell, Had: options.Identity})
			_, anew := restarted.LoadDefinition(t.Context())
			if !errors.Is(again, flush.ErrSinkForeign) || made[0] == 'C' && !errors.Is(anew, flush.ErrSinkForeign) {
				t.Errorf("%s: %v, after a restart %v", made, again, anew)
			}
		}
		exec(t, db, "DROP TABLE wp_support_tickets, wp_support_tickets_seq, wp_support_tickets_identity")
		rename("x7_support_tickets", "wp_support_tickets")
		if _, err := serving.LoadDefinition(t.Context()); err != nil || g.err != nil || g.identity != options.Identity {
			t.Errorf("named as before: %v, %+v", err, g)
		}
	})
}

// A fail-over while the daemon runs: the daemon's own mark proves that the table on the other server is the same. Another
// process, and a process that has just begun, has no such proof; a copy from before the last two marks is a copy.
func TestFailOverIsVouchedFor(t *testing.T) {
	t.Parallel()
	db := private(t)
	running, g := watched(t, db.Config())
	other, _ := watched(t, db.Config())
	running.KeepNone()
	other.KeepNone()
	if _, err := running.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := db.ReadIdentity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	running.LookElsewhere("MySQL server 2")
	other.LookElsewhere("MySQL server 2")
	if _, err := other.MaxID(t.Context()); !errors.Is(err, flush.ErrSinkForeign) {
		t.Errorf("a process that begins after the fail-over: %v", err)
	}
	if _, err := running.MaxID(t.Context()); err != nil || g.err != nil {
		t.Errorf("the process that ran: %v, %+v", err, g)
	}
	if after, err := db.ReadIdentity(t.Context()); err != nil || after.ID != before.ID || after.Home != "MySQL server 2" {
		t.Errorf("the row is %+v, %v", after, err)
	}
	if _, err := other.MaxID(t.Context()); err != nil {
		t.Errorf("a process that begins when it is known: %v", err)
	}
	exec(t, db, "DELETE FROM wp_support_tickets_identity WHERE id > 1") // the state of a copy from before this process
	running.LookElsewhere("MySQL server 3")
	if _, err := running.MaxID(t.Context()); !errors.Is(err, flush.ErrSinkForeign) {
		t.Errorf("an old copy: %v", err)
	}
}

// Two daemons of a table work with different keys: each daemon learns of the other while that lasts. Daemons with the same keys
// get no report.
func TestDaemonsWithOtherKeysAreNamed(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		names := func(filling, described string, within time.Duration, want ...string) {
			t.Helper()
			if others, err := db.Witness(t.Context(), filling, described, within); err != nil || !slices.Equal(others, want) {
				t.Errorf("%s hears of %q (%v), want %q", described, others, err, want)
			}
		}
		names("e1", "a", time.Hour)
		names("e1", "another a", time.Hour)
		names("e2", "b", time.Hour, "another a")
		names("e1", "a", time.Hour, "b")
		exec(t, db, "UPDATE wp_support_tickets_identity SET accepted = accepted - INTERVAL 1 HOUR WHERE id > 1")
		names("e2", "b", time.Minute)
	})
}
