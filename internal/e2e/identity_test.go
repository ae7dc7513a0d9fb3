package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Two sites with the same keys of a single Redis: the first that starts is served, whichever it is, and the second touches
// nothing, learns nothing and says why.
func TestTwoSitesInOneRedis(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"one", "other"} {
		t.Run("first "+first, func(t *testing.T) {
			t.Parallel()
			redis := testenv.NewRedis(t, testenv.RedisOptions{})
			server, name := testenv.SharedMariaDB(t)
			_, another := testenv.SharedMariaDB(t)
			served := newHouse(t, houseOptions{server: server, database: name, redis: redis})
			second := newHouse(t, houseOptions{server: server, database: another, redis: redis})
			if first == "other" {
				served, second = second, served
			}
			for _, h := range []*house{served, second} {
				h.must(t, "migrate")
			}
			a := served.open(t)
			b := second.open(t)
			notServed(t, b, "key_prefix", "another table")
			for range 12 {
				create(t, a, "of the first")
			}
			if _, err := a.Flush(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			if n := len(subjects(t, served.db)); n != 12 {
				t.Errorf("the first has %d of its 12 tickets", n)
			}
			wantSubjects(t, second.db)
			// Emptying Redis gives the second neither Redis nor the tickets if the first writes there next. (An empty Redis is whose who
			// comes first: the second is stopped meanwhile.)
			if err := errors.Join(second.Pause(), redis.Client(t).FlushAll(t.Context()).Err()); err != nil {
				t.Fatal(err)
			}
			create(t, a, "of the first")
			if err := second.Resume(); err != nil {
				t.Fatal(err)
			}
			if out, err := second.ticketd(t, "verify"); err == nil || !strings.Contains(out, "another table") {
				t.Errorf("verify of the second: %v\n%s", err, out)
			}
			notServed(t, b, "key_prefix", "another table")
		})
	}
}

// The site's tables get other names, as security plugins do, and the site's name is then that of another, empty table: no
// acknowledged change goes there, `ticketd migrate` makes no such table, and after renaming back the tables get every change.
func TestRenamedTables(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := newRig(t, o)
		c := r.dial(t)
		id := mustCreate(t, c, "first")
		if flushed(t, c) != 0 {
			t.Fatal("the first ticket is a dead letter")
		}
		rename := func(from, to string) {
			runSQL(t, r.db, strings.NewReplacer("FROM", from, "INTO", to).Replace("RENAME TABLE "+
				"FROM_support_tickets TO INTO_support_tickets, FROM_support_tickets_seq TO INTO_support_tickets_seq, "+
				"FROM_support_tickets_identity TO INTO_support_tickets_identity"))
		}
		rename("wp", "x7")
		mustSet(t, c, id, "subject", "acknowledged")
		paused := func(why string) {
			t.Helper()
			testenv.Eventually(t, 10*time.Second, "flushing is paused: "+why, func() bool {
				status, err := c.Status(t.Context())
				return err == nil && status.Sink.State == protocol.StatePaused && strings.Contains(status.Sink.Reason, why)
			})
		}
		paused("no such table")
		if out, err := onHost(t, r, "migrate"); err == nil || !strings.Contains(out, `table = "x7_support_tickets"`) {
			t.Errorf("migrate: %v\n%s", err, out)
		}
		runSQL(t, r.db, "CREATE TABLE wp_support_tickets LIKE x7_support_tickets")
		paused("another table has its name now")
		notServed(t, c, "another table has its name now", "ticketd identity move --site main")
		if got := subjects(t, r.db); len(got) != 0 {
			t.Errorf("the other table has %q", got)
		}
		runSQL(t, r.db, "DROP TABLE wp_support_tickets")
		rename("x7", "wp")
		testenv.Eventually(t, 10*time.Second, "the change is flushed", func() bool {
			return slices.Equal(subjects(t, r.db), []string{"acknowledged"})
		})
	})
}

// Clones of a site's database on another server of this machine, with the same name and, as the hard case, the same Redis and
// the same configuration except for the server: a loaded dump, and a copied data folder. Neither is served before an operator
// says what it is; afterwards it is a separate site, and the first site's Redis is not for it.
func TestClonesOfADatabase(t *testing.T) {
	t.Parallel()
	for _, copied := range []bool{false, true} {
		t.Run(map[bool]string{false: "dump", true: "data folder"}[copied], func(t *testing.T) {
			t.Parallel()
			const name = "shop"
			redis := testenv.NewRedis(t, testenv.RedisOptions{})
			server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
			if err := server.CreateDatabase(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			production := newHouse(t, houseOptions{server: server, database: name, redis: redis})
			production.must(t, "migrate")
			a := production.open(t)
			create(t, a, "production's")
			if _, err := a.Flush(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			clone := cloneOf(t, server, name, copied)
			staging := newHouse(t, houseOptions{server: clone, database: name, redis: redis})
			b := staging.open(t)
			notServed(t, b, "a copy, or its server was replaced", "ticketd identity move --site main", "ticketd identity new --site main")
			if out, err := staging.ticketd(t, "doctor"); err == nil || !strings.Contains(out, "identity new") {
				t.Errorf("doctor: %v\n%s", err, out)
			}
			if out, err := staging.ticketd(t, "verify"); err == nil || !strings.Contains(out, "a copy") {
				t.Errorf("verify: %v\n%s", err, out)
			}
			if out := staging.must(t, "identity", "new", "--site", "main", "--yes"); !strings.Contains(out, "key_prefix") {
				t.Errorf("identity new does not say that Redis is another table's: %s", out)
			}
			testenv.Eventually(t, 20*time.Second, "the clone is refused for its Redis alone", func() bool {
				_, err := b.Get(t.Context(), 1)
				return err != nil && strings.Contains(err.Error(), "key_prefix")
			})
			create(t, a, "production's")
			if _, err := a.Flush(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			wantSubjects(t, production.db, "production's", "production's")
			wantSubjects(t, staging.db, "production's")
			staging.config = strings.Replace(staging.config, `key_prefix = ""`, `key_prefix = "staging:"`, 1)
			if err := staging.WriteConfig(staging.config); err != nil {
				t.Fatal(err)
			}
			if err := staging.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, err := protocol.Dial(t.Context(), staging.socket())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			create(t, b, "staging's")
			if _, err := b.Flush(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			wantSubjects(t, staging.db, "production's", "staging's")
			wantSubjects(t, production.db, "production's", "production's")
		})
	}
}

// cloneOf is another server with a copy of the database. The first server runs on afterwards.
func cloneOf(t *testing.T, server *testenv.MariaDB, name string, copied bool) *testenv.MariaDB {
	t.Helper()
	if copied {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		clone := testenv.NewMariaDB(t, testenv.MariaDBOptions{Data: server.Data()})
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		return clone
	}
	dump, err := exec.CommandContext(t.Context(), "mariadb-dump", "--socket="+server.Socket(), "--user=root", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	clone := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	if err := clone.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	load := exec.CommandContext(t.Context(), "mariadb", "--socket="+clone.Socket(), "--user=root", name)
	load.Stdin = strings.NewReader(string(dump))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return clone
}

// A daemon that starts while MySQL is away knows its table from its state folder, unless the configuration has named another
// table since.
func TestStartWithoutMySQL(t *testing.T) {
	t.Parallel()
	o := houseOptions{server: testenv.NewMariaDB(t, testenv.MariaDBOptions{}), database: "shop"}
	for _, name := range []string{"shop", "other"} {
		if err := o.server.CreateDatabase(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t, o)
	h.must(t, "migrate")
	create(t, h.open(t), "first")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	o.dir, o.database = h.dir, "other"
	other := newHouse(t, o)
	other.must(t, "migrate")
	o.server.Kill()
	if _, err := h.open(t).Set(t.Context(), set(1, "status", "closed")); err != nil {
		t.Errorf("while MySQL is away: %v", err)
	}
	if err := h.Stop(); err == nil {
		t.Log("the daemon drained what waits, although MySQL is away")
	}
	notServed(t, other.open(t), "identity is not known yet")
}

// MySQL fails over to its replica while the daemon runs: the daemon's mark in the replica shows that this is the same table,
// and the site goes on. So it does after a restart, because the row then names the new server.
func TestMySQLFailsOver(t *testing.T) {
	t.Parallel()
	const name = "shop"
	first := testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true, Args: []string{"--log-bin=log", "--server-id=1"}})
	second := testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true, Args: []string{"--log-bin=log", "--server-id=2"}})
	exec := func(server *testenv.MariaDB, statement string) {
		t.Helper()
		db, err := sql.Open("mysql", server.DSN("mysql"))
		if err == nil {
			_, err = db.ExecContext(t.Context(), statement)
			_ = db.Close()
		}
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec(first, "CREATE USER replica@'127.0.0.1' IDENTIFIED BY 'x'")
	exec(first, "GRANT REPLICATION SLAVE ON *.* TO replica@'127.0.0.1'")
	follow, begin, end := "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%s, MASTER_USER='replica', "+
		"MASTER_PASSWORD='x', MASTER_USE_GTID=slave_pos", "START SLAVE", "STOP SLAVE"
	if testenv.IsMySQL() {
		follow, begin, end = "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=%s, SOURCE_USER='replica', "+
			"SOURCE_PASSWORD='x', GET_SOURCE_PUBLIC_KEY=1", "START REPLICA", "STOP REPLICA"
	}
	exec(second, fmt.Sprintf(follow, first.Addr()[strings.LastIndexByte(first.Addr(), ':')+1:]))
	exec(second, begin)
	if err := first.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{server: first, database: name})
	_ = h.db.Close()                              // the server is killed
	address := filepath.Join(h.dir, "mysql.sock") // leads to whichever server is the primary
	if err := os.Symlink(first.Socket(), address); err != nil {
		t.Fatal(err)
	}
	h.config = strings.Replace(h.config, first.Socket(), address, 1)
	h.must(t, "migrate")
	c := h.open(t)
	create(t, c, "before")
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	replica := second.DB(t, name)
	testenv.Eventually(t, 20*time.Second, "the replica has the row and the mark", func() bool {
		var rows, marks int
		err := replica.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM wp_support_tickets), "+
			"(SELECT COUNT(*) FROM wp_support_tickets_identity WHERE id > 1)").Scan(&rows, &marks)
		return err == nil && rows == 1 && marks > 0
	})
	exec(second, end)
	first.Kill()
	if err := os.Remove(address); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(second.Socket(), address); err != nil {
		t.Fatal(err)
	}
	create(t, c, "while it failed over")
	flushSoon(t, c)
	wantSubjects(t, replica, "before", "while it failed over")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	c = h.open(t)
	create(t, c, "restarted")
	flushSoon(t, c)
	wantSubjects(t, replica, "before", "restarted", "while it failed over")
}
