package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Three tickets are pending in the journal, with Redis away or without Redis; kill -9; the configuration names another table,
// with a ticket 1 of its own. No change in the journal goes there, the site gives advice, and each of the two ways out works.
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
				c = is.open(t) // no pending changes, so the journal is no obstacle
				create(t, c, "new")
				flushSoon(t, c)
				wantSubjects(t, is.db, "its own", "new")
			})
		}
	}
}

// A change is pending in the spool for a table; the configuration names another table when the daemon ingests it. The file
// stays in place and delays no other; with the old configuration the change is made.
func TestMovedSpool(t *testing.T) {
	t.Parallel()
	o := houseOptions{}
	o.server, o.database = testenv.SharedMariaDB(t)
	was := newHouse(t, o)
	was.must(t, "migrate")
	c := was.open(t)
	id := create(t, c, "the first")
	var identity string
	if err := was.db.QueryRowContext(t.Context(),
		"SELECT identity FROM wp_support_tickets_identity WHERE id = 1").Scan(&identity); err != nil {
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

// A state folder, a Redis and a table as left by an earlier version, with changes pending in the journal and in Redis: they
// have no identity, or the table's name in its place. The first start adopts all of them. TICKETD_TEST_BEFORE names the
// binary of such a version; without it, the traces are made from this version's.
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

// forgetIdentity turns the places of a site into those of an earlier version.
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
