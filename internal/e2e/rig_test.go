package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// rig is a daemon between a Redis and a MariaDB, without WordPress.
type rig struct {
	*testenv.Ticketd
	socket string
	redis  *goredis.Client
	prefix string // of the Redis keys
	db     *sql.DB
	text   string         // the site's configuration
	proxy  *testenv.Proxy // between the daemon and MariaDB
}

// rigOptions say which servers the daemon uses; nil servers are shared with other tests.
type rigOptions struct {
	redis   *testenv.Redis
	mariadb *testenv.MariaDB
	delay   time.Duration  // of the daemon's data to MariaDB
	site    string         // further TOML for the site
	daemon  string         // and for the daemon
	journal string         // TOML of [journal]
	noRedis bool           // the journal is the store
	place   string         // TOML of [redis] that leads to servers which the test has started
	prefix  string         // of the Redis keys, where place leads to servers that are shared
	env     []string       // further environment of the daemon
	under   []string       // runs the daemon, see [testenv.TicketdOptions]
	tables  []string       // SQL that runs before ticketd first sees the database
	link    *testenv.Proxy // between the daemon and Redis, if the test wants a proxy
}

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	r := &rig{socket: filepath.Join(testenv.Folder(t), "d.sock")}
	config := r.config(t, &o)
	for _, statement := range o.tables {
		if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	r.migrate(t, config, o.env...)
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config, Env: o.env, Under: o.under})
	return r
}

// config prepares the servers and returns the daemon's configuration.
func (r *rig) config(t *testing.T, o *rigOptions) string {
	t.Helper()
	var database string
	r.prefix = o.prefix
	if o.redis == nil && !o.noRedis && o.place == "" {
		o.redis, r.prefix = testenv.SharedRedis(t)
	}
	if o.mariadb == nil {
		o.mariadb, database = testenv.SharedMariaDB(t)
	} else {
		database = "e2e"
		if err := o.mariadb.CreateDatabase(t.Context(), database); err != nil {
			t.Fatal(err)
		}
	}
	redis := o.place
	if o.redis != nil {
		r.redis = o.redis.Client(t)
		socket := o.redis.Socket()
		if o.link != nil {
			socket = o.link.Socket()
		}
		redis = fmt.Sprintf("[redis]\naddr = %q\n", "unix://"+socket)
	}
	r.db = o.mariadb.DB(t, database)
	r.proxy = testenv.NewProxy(t, o.mariadb.Socket(), o.delay)
	dsn := strings.Replace(o.mariadb.DSN(database), o.mariadb.Socket(), r.proxy.Socket(), 1)
	r.text = fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n%s\n%s[journal]\n%s\n"+
		"[sites.main]\ndsn = %q\nkey_prefix = %q\n%s\n",
		r.socket, filepath.Dir(r.socket), r.spool(), o.daemon, redis, o.journal, dsn, r.prefix, o.site)
	return r.text
}

// spool is the daemon's spool folder.
func (r *rig) spool() string { return filepath.Join(filepath.Dir(r.socket), "spool") }

// migrate runs `ticketd migrate`.
func (r *rig) migrate(t *testing.T, config string, env ...string) {
	t.Helper()
	file := filepath.Join(filepath.Dir(r.socket), "migrate.toml")
	writeFile(t, file, config)
	migrate := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "migrate", "--config", file)
	migrate.Env = append(migrate.Environ(), env...)
	out, err := migrate.CombinedOutput()
	if err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
}

// dial connects, for the length of the test.
func (r *rig) dial(t *testing.T) *protocol.Client {
	t.Helper()
	c, err := protocol.Dial(t.Context(), r.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// run runs a client command of the binary and returns the output.
func (r *rig) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), append(args, "--socket", r.socket)...).CombinedOutput()
	return string(out), err
}

// column reads a field of a row; without the row, the empty string.
func column(t *testing.T, db *sql.DB, field string, id int64) string {
	t.Helper()
	var value sql.NullString
	err := db.QueryRowContext(t.Context(),
		"SELECT `"+field+"` FROM wp_support_tickets WHERE ticket_id = ?", id).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatalf("reading %s of %d: %v", field, id, err)
	}
	return value.String
}

// set is the parameters of a set of a single field.
func set(id int64, name, value string) protocol.SetParams {
	return protocol.SetParams{ID: id, Fields: []protocol.Field{{Name: name, Value: protocol.Text(value)}}}
}

// second starts another daemon on the same Redis and MySQL, with its own proxy.
func (r *rig) second(t *testing.T) *rig {
	t.Helper()
	other := &rig{socket: filepath.Join(testenv.Folder(t), "d.sock"), redis: r.redis, prefix: r.prefix, db: r.db}
	other.proxy = testenv.NewProxy(t, r.proxy.Target(), 0)
	config := strings.NewReplacer(filepath.Dir(r.socket), filepath.Dir(other.socket), r.proxy.Socket(), other.proxy.Socket()).
		Replace(r.text)
	other.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config})
	return other
}
