package e2e

import (
	"context"
	"database/sql"
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

// house is a daemon of one site, whose places a test chooses and moves about.
type house struct {
	*testenv.Ticketd
	dir    string
	config string
	db     *sql.DB
}

func (h *house) socket() string { return filepath.Join(h.dir, "d.sock") }

// houseOptions are a house's places.
type houseOptions struct {
	server   *testenv.MariaDB
	database string
	redis    *testenv.Redis // nil for none
	prefix   string         // of the Redis keys
	dir      string         // its state, where there is one already
	site     string         // further TOML of the site
}

// newHouse writes the configuration; migrated also makes the table.
func newHouse(t *testing.T, o houseOptions) *house {
	t.Helper()
	h := &house{dir: o.dir, db: o.server.DB(t, o.database)}
	if h.dir == "" {
		h.dir = testenv.Folder(t)
	}
	place := ""
	if o.redis != nil {
		place = fmt.Sprintf("[redis]\naddr = %q\n", "unix://"+o.redis.Socket())
	}
	h.config = fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n%s[sites.main]\ndsn = %q\nkey_prefix = %q\n%s\n",
		h.socket(), h.dir, filepath.Join(h.dir, "spool"), place, o.server.DSN(o.database), o.prefix, o.site)
	return h
}

func (h *house) file(t *testing.T) string {
	t.Helper()
	file := filepath.Join(h.dir, "house.toml")
	writeFile(t, file, h.config)
	return file
}

// ticketd runs a command of the binary with the house's configuration.
func (h *house) ticketd(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), append(args, "--config", h.file(t))...).CombinedOutput()
	return string(out), err
}

func (h *house) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.ticketd(t, args...)
	if err != nil {
		t.Fatalf("ticketd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// open starts the daemon and returns a client of it.
func (h *house) open(t *testing.T) *protocol.Client {
	t.Helper()
	h.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: h.config})
	c, err := protocol.Dial(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// create makes a ticket, as soon as the daemon takes it.
func create(t *testing.T, c *protocol.Client, subject string) int64 {
	t.Helper()
	var id int64
	testenv.Eventually(t, 20*time.Second, "a create is accepted", func() bool {
		made, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text(subject)}}, "")
		id = made.ID
		return err == nil
	})
	return id
}

// notServed demands that the daemon refuses all of the site's requests for a reason that has these words, and that status says
// so.
func notServed(t *testing.T, c *protocol.Client, words ...string) {
	t.Helper()
	_, written := c.Set(t.Context(), set(1, "status", "stranger's"))
	_, read := c.Get(t.Context(), 1)
	_, listed := c.List(t.Context(), protocol.ListParams{})
	_, flushed := c.Flush(t.Context(), nil, nil)
	for what, err := range map[string]error{"set": written, "get": read, "list": listed, "flush": flushed} {
		if code(err) != protocol.CodeUnavailable {
			t.Errorf("%s: %v, want it unavailable", what, err)
			continue
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want it to name %q", what, err, word)
			}
		}
	}
	status, err := c.Status(t.Context())
	if err != nil || status.Sink.State != protocol.StatePaused || !strings.Contains(status.Sink.Reason, words[0]) {
		t.Errorf("status %+v (%v), want the sink paused because of %q", status.Sink, err, words[0])
	}
}

// subjects are those of all rows, sorted.
func subjects(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT subject FROM wp_support_tickets ORDER BY subject")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			t.Fatal(err)
		}
		all = append(all, subject)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func wantSubjects(t *testing.T, db *sql.DB, want ...string) {
	t.Helper()
	if got := subjects(t, db); !slices.Equal(got, want) {
		t.Errorf("MySQL has %q, want %q", got, want)
	}
}

// Two sites that were given the same keys of one Redis: the first that starts is served, whichever it is, and the second touches
// nothing, knows nothing and says why.
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
			// Emptying Redis does not give it to the second while the first runs, nor its tickets.
			if err := redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			create(t, a, "of the first")
			if out, err := second.ticketd(t, "verify"); err == nil || !strings.Contains(out, "another table") {
				t.Errorf("verify of the second: %v\n%s", err, out)
			}
			notServed(t, b, "key_prefix", "another table")
		})
	}
}

// Clones of a site's database on another server of this machine, with the same name and, to be mean, the same Redis and the same
// configuration but for the server: a dump that was loaded there, and a copied data folder. Neither is served before somebody
// says what it is; afterwards it is a site of its own, which the first's Redis is not for.
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

// cloneOf is another server with a copy of the database. The first runs on afterwards.
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

// Three tickets wait in the journal, with Redis away or without one; kill -9; the configuration names another table, which has a
// ticket 1 of its own. Nothing of the journal goes there, the site says what to do, and both ways out work.
func TestMovedJournal(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"without Redis", "before Redis"} {
		for _, way := range []string{"the old configuration", "the operator's word"} {
			t.Run(kind+", "+way, func(t *testing.T) {
				t.Parallel()
				o := houseOptions{site: "linger = \"50s\""}
				o.server, o.database = testenv.SharedMariaDB(t)
				if kind == "before Redis" {
					o.redis = testenv.NewRedis(t, testenv.RedisOptions{})
				}
				was := newHouse(t, o)
				was.must(t, "migrate")
				c := was.open(t)
				create(t, c, "flushed")
				if _, err := c.Flush(t.Context(), nil, nil); err != nil {
					t.Fatal(err)
				}
				if o.redis != nil {
					o.redis.Kill()
				}
				for range 3 {
					create(t, c, "waiting")
				}
				was.Kill()
				if o.redis != nil {
					if err := o.redis.Restart(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				o.dir, o.prefix = was.dir, "other:"
				o.server, o.database = testenv.SharedMariaDB(t)
				is := newHouse(t, o)
				is.must(t, "migrate")
				if _, err := is.db.ExecContext(t.Context(),
					"INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (1, 'its own')"); err != nil {
					t.Fatal(err)
				}
				c = is.open(t)
				notServed(t, c, "the journal "+is.dir, "ticketd flush", "ticketd identity move --site main")
				if err := is.Stop(); err != nil {
					t.Fatal(err)
				}
				wantSubjects(t, is.db, "its own")
				if way == "the operator's word" {
					is.must(t, "identity", "move", "--site", "main", "--yes")
					c = is.open(t)
					flushSoon(t, c)
					if got := subjects(t, is.db); len(got) != 4 || slices.Contains(got, "flushed") {
						t.Errorf("moved: MySQL has %q", got)
					}
					return
				}
				was.open(t)
				back, err := protocol.Dial(t.Context(), was.socket())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = back.Close() }()
				flushSoon(t, back)
				wantSubjects(t, was.db, "flushed", "waiting", "waiting", "waiting")
				if err := was.Stop(); err != nil {
					t.Fatal(err)
				}
				c = is.open(t) // nothing waits any more, so the journal is no hindrance
				create(t, c, "new")
				flushSoon(t, c)
				wantSubjects(t, is.db, "its own", "new")
			})
		}
	}
}

// flushSoon flushes, as soon as the daemon's places answer.
func flushSoon(t *testing.T, c *protocol.Client) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, "everything is flushed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Flush(ctx, nil, nil)
		return err == nil
	})
}

// forgetIdentity makes the places of a site what an earlier version had left.
func forgetIdentity(t *testing.T, h *house, redis *testenv.Redis) {
	t.Helper()
	var database string
	if err := h.db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	if redis != nil {
		if err := redis.Client(t).HSet(t.Context(), "ticket:meta", "owner", database+".wp_support_tickets").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.db.ExecContext(t.Context(), "DROP TABLE wp_support_tickets_identity"); err != nil {
		t.Fatal(err)
	}
	labels, _ := filepath.Glob(filepath.Join(h.dir, "journal", "main", "*", "identity"))
	for _, file := range append(labels, filepath.Join(h.dir, "main.identity.json")) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// A state folder, a Redis and a table as an earlier version has left them, with changes that wait in the journal and in Redis:
// they have no identity, or the table's name for one. All of it is taken over at the first start. TICKETD_TEST_BEFORE names the
// binary of such a version; without it, its traces are made from those of this one.
func TestPlacesOfAnEarlierVersionAreTakenOver(t *testing.T) {
	t.Parallel()
	for _, withRedis := range []bool{false, true} {
		t.Run(fmt.Sprintf("Redis %v", withRedis), func(t *testing.T) {
			t.Parallel()
			o := houseOptions{site: "linger = \"50s\""}
			o.server, o.database = testenv.SharedMariaDB(t)
			if withRedis {
				o.redis = testenv.NewRedis(t, testenv.RedisOptions{Config: durable.Config})
			}
			h := newHouse(t, o)
			binary := testenv.TicketdBinary(t)
			before := os.Getenv("TICKETD_TEST_BEFORE")
			if before != "" {
				binary = before
			}
			if out, err := exec.CommandContext(t.Context(), binary, "migrate", "--config", h.file(t)).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			h.Ticketd = testenv.NewTicketdOf(t, binary, testenv.TicketdOptions{Config: h.config})
			c, err := protocol.Dial(t.Context(), h.socket())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			create(t, c, "first")
			if withRedis {
				o.redis.Kill()
				create(t, c, "in the journal")
			}
			h.Kill()
			if withRedis {
				if err := o.redis.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if before == "" {
				forgetIdentity(t, h, o.redis)
			}
			c = h.open(t)
			flushSoon(t, c)
			want := []string{"first"}
			if withRedis {
				want = append(want, "in the journal")
			}
			wantSubjects(t, h.db, want...)
			var identity string
			if err := h.db.QueryRowContext(t.Context(),
				"SELECT identity FROM wp_support_tickets_identity WHERE id = 1").Scan(&identity); err != nil {
				t.Fatal(err)
			}
			labels, _ := filepath.Glob(filepath.Join(h.dir, "journal", "main", "*", "identity"))
			if len(labels) != 1 {
				t.Fatalf("labels %q", labels)
			}
			if label, err := os.ReadFile(labels[0]); err != nil || strings.TrimSpace(string(label)) != identity {
				t.Errorf("the journal is labelled %q (%v), the table is %s", label, err, identity)
			}
			if !withRedis {
				return
			}
			if owner := o.redis.Client(t).HGet(t.Context(), "ticket:meta", "owner").Val(); owner != identity {
				t.Errorf("Redis belongs to %q, the table is %s", owner, identity)
			}
		})
	}
}

// A daemon that starts while MySQL is away knows its table from its state folder, unless the configuration names another one
// since.
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
	notServed(t, other.open(t), "it is not known yet")
}

// A change waits in the spool for one table; the configuration names another one by the time it is taken in. It stays where it is
// and holds up nobody; with the old configuration it is made.
func TestMovedSpool(t *testing.T) {
	t.Parallel()
	o := houseOptions{}
	o.server, o.database = testenv.SharedMariaDB(t)
	was := newHouse(t, o)
	was.must(t, "migrate")
	c := was.open(t)
	id := create(t, c, "the first")
	var identity string
	if err := was.db.QueryRowContext(t.Context(), "SELECT identity FROM wp_support_tickets_identity WHERE id = "+
		"1").Scan(&identity); err != nil {
		t.Fatal(err)
	}
	meant := func(identity string) *protocol.SetParams {
		p := set(id, "subject", "spooled")
		p.RequestID, p.Identity = "again", identity
		return &p
	}
	if _, err := c.Set(t.Context(), *meant("SOMEBODY ELSE'S")); code(err) != protocol.CodeInvalid {
		t.Errorf("a change for another table on a connection: %v", err)
	}
	if err := was.Stop(); err != nil {
		t.Fatal(err)
	}
	o.dir = was.dir
	o.server, o.database = testenv.SharedMariaDB(t)
	is := newHouse(t, o)
	is.must(t, "migrate")
	file := (&spooler{dir: filepath.Join(is.dir, "spool")}).put(t, protocol.MethodSet, id, meant(identity))
	c = is.open(t)
	create(t, c, "its own")
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	wantSubjects(t, is.db, "its own")
	status, err := c.Status(t.Context())
	if err != nil || status.Spool.Bad != 0 || !slices.ContainsFunc(status.Warnings, func(w string) bool {
		return strings.HasPrefix(w, "1 files in ") && strings.Contains(w, "another table")
	}) {
		t.Errorf("%+v, %q, %v", status.Spool, status.Warnings, err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if err := is.Stop(); err != nil {
		t.Fatal(err)
	}
	c = was.open(t)
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	wantSubjects(t, was.db, "spooled")
}

// MySQL fails over to its replica while the daemon runs: its mark in the replica says that this is the same table, and everything
// goes on. So it does after a restart, as the row says by then where the table is.
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
	exec(second, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%s, MASTER_USER='replica', "+
		"MASTER_PASSWORD='x', "+
		"MASTER_USE_GTID=slave_pos", first.Addr()[strings.LastIndexByte(first.Addr(), ':')+1:]))
	exec(second, "START SLAVE")
	if err := first.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{server: first, database: name})
	_ = h.db.Close()                              // its server is killed
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
	exec(second, "STOP SLAVE")
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
