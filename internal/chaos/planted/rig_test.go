package planted

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// never prevents flushes: only a scenario itself changes MySQL.
const never = "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"\n"

// rig is a site whose daemons run the same binary, and the history of all operations.
type rig struct {
	program

	site    string // TOML
	journal bool   // without Redis: the journal is the store
	patient bool   // daemons wait for held data
	preset  string // see invariant
	redis   *testenv.Redis
	keys    *goredis.Client
	prefix  string
	mariadb *testenv.MariaDB
	dsn     string
	db      *sql.DB
	hosts   []*host

	began   time.Time
	history history.History
}

// host is a daemon of the rig. Its data to the servers can be held.
type host struct {
	*testenv.Ticketd

	number  int
	dir     string
	redis   *testenv.Proxy
	mariadb *testenv.Proxy
}

func newRig(t *testing.T, p program, site string) *rig {
	t.Helper()
	r := &rig{program: p, site: site, began: time.Now()}
	r.redis, r.prefix = testenv.SharedRedis(t)
	r.keys = r.redis.Client(t)
	var database string
	r.mariadb, database = testenv.SharedMariaDB(t)
	r.dsn, r.db = r.mariadb.DSN(database), r.mariadb.DB(t, database)
	return r
}

// host starts a further daemon.
func (r *rig) host(t *testing.T) *host {
	t.Helper()
	h := &host{
		number: len(r.hosts), dir: testenv.Folder(t),
		redis: testenv.NewProxy(t, r.redis.Socket(), 0), mariadb: testenv.NewProxy(t, r.mariadb.Socket(), 0),
	}
	config := r.config(h, r.dsn)
	if h.number == 0 {
		r.migrate(t, h.dir, config)
	}
	h.Ticketd = testenv.NewTicketdOf(t, r.daemon, testenv.TicketdOptions{Config: config})
	r.hosts = append(r.hosts, h)
	r.history.Hosts = len(r.hosts)
	return h
}

// config is that of a host's daemon before a database.
func (r *rig) config(h *host, dsn string) string {
	place := fmt.Sprintf("[redis]\naddr = %q\n", "unix://"+h.redis.Socket())
	if r.patient {
		place = "request_timeout = \"20s\"\n" + place + "read_timeout = \"20s\"\n"
	}
	if r.journal {
		place = ""
	}
	return fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n%s[sites.main]\ndsn = %q\nkey_prefix = %q\n%s\n",
		h.socket(), h.dir, h.spool(), place, strings.Replace(dsn, r.mariadb.Socket(), h.mariadb.Socket(), 1), r.prefix, r.site)
}

// migrate makes the tables that a configuration names.
func (r *rig) migrate(t *testing.T, dir, config string) {
	t.Helper()
	file := filepath.Join(dir, "migrate.toml")
	write(t, file, []byte(config))
	if out, err := exec.CommandContext(t.Context(), r.daemon, "migrate", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
}

func (h *host) socket() string { return filepath.Join(h.dir, "d.sock") }
func (h *host) spool() string  { return filepath.Join(h.dir, "spool") }

// dial connects for a step of a test.
func (h *host) dial(t *testing.T) (c *protocol.Client, end func()) {
	t.Helper()
	c, err := protocol.Dial(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	return c, func() { _ = c.Close() }
}

// status returns the daemon's status.
func (h *host) status(t *testing.T) protocol.StatusResult {
	t.Helper()
	c, end := h.dial(t)
	defer end()
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// subject is the ticket's subject in MySQL; empty without a row.
func (r *rig) subject(t *testing.T, id int64) string {
	t.Helper()
	for _, row := range r.rows(t) {
		if row.Ticket == id {
			return *row.Fields["subject"]
		}
	}
	return ""
}

func (r *rig) rows(t *testing.T) []history.Row {
	t.Helper()
	return rowsIn(t, r.db)
}

func rowsIn(t *testing.T, db *sql.DB) []history.Row {
	t.Helper()
	found, err := db.QueryContext(t.Context(),
		"SELECT ticket_id, revision, deleted_at IS NOT NULL, subject, category, assigned_to FROM wp_support_tickets")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var rows []history.Row
	for found.Next() {
		var row history.Row
		var subject, category, assigned *string
		if err := found.Scan(&row.Ticket, &row.Revision, &row.Deleted, &subject, &category, &assigned); err != nil {
			t.Fatal(err)
		}
		row.Fields = map[string]history.Value{"subject": subject}
		if category != nil {
			row.Fields["category"] = category
		}
		if assigned != nil {
			row.Fields[history.Counted] = assigned
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// settle flushes all changes and completes the history with the final places. The history reports tickets that are still
// dirty after a while.
func (r *rig) settle(t *testing.T) *history.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	left := 1
	for left > 0 && ctx.Err() == nil {
		left = 0
		for _, h := range r.hosts {
			c, end := h.dial(t)
			_, _ = c.Flush(ctx, nil, nil)
			end()
			status := h.status(t)
			waiting := status.Journal.Entries
			if status.Backend == protocol.BackendJournal {
				waiting = 0 // the journal is the store, and counts its dead letters
			}
			left += int(status.Dirty + waiting + status.Spool.Files)
		}
	}
	r.history.Final = history.Final{Rows: r.rows(t), Dead: r.letters(t), Dirty: left}
	for _, h := range r.hosts {
		late, _, err := history.Bad(h.number, h.spool(), filepath.Join(h.spool(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		r.history.Final.Aside = append(r.history.Final.Aside, late...)
	}
	if strings.Contains(r.site, withFeed) {
		r.history.Feed = r.feed(t)
	}
	return &r.history
}

// letters are the dead letters.
func (r *rig) letters(t *testing.T) []history.Row {
	t.Helper()
	c, end := r.hosts[0].dial(t)
	defer end()
	found, err := c.DeadList(t.Context(), 0, protocol.MaxTickets)
	if err != nil {
		t.Fatal(err)
	}
	var rows []history.Row
	for _, one := range found {
		rows = append(rows, history.Row{
			Ticket: int64(one.ID), Revision: int64(one.Revision), Deleted: one.Deleted, Fields: subjectOf(one.Fields),
		})
	}
	return rows
}

// patience is how long an expected event may take on a busy machine.
const patience = 20 * time.Second
