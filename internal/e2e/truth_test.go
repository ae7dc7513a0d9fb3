package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// truth is an idle daemon of several sites on one MariaDB and one Redis, whose metrics a test reads. No client asks anything but
// the status.
type truth struct {
	*testenv.Ticketd
	mariadb *testenv.MariaDB
	redis   *testenv.Redis
	socket  string
	metrics string
	config  string
}

const truthSites = 5

func newTruth(t *testing.T) *truth {
	t.Helper()
	dir := testenv.Folder(t)
	f := &truth{
		mariadb: testenv.NewMariaDB(t, testenv.MariaDBOptions{}), socket: filepath.Join(dir, "d.sock"),
		metrics: filepath.Join(dir, "m.sock"),
	}
	f.redis = testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"appendonly yes"}})
	config := strings.Builder{}
	fmt.Fprintf(&config, "[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n[metrics]\nlisten = %q\n[redis]\naddr = %q\n",
		f.socket, dir, filepath.Join(dir, "spool"), "unix://"+f.metrics, "unix://"+f.redis.Socket())
	for n := range truthSites {
		database := fmt.Sprintf("site%d", n)
		if err := f.mariadb.CreateDatabase(t.Context(), database); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "[sites.%s]\ndsn = %q\nkey_prefix = \"%s:\"\n", database, f.mariadb.DSN(database), database)
	}
	f.config = config.String()
	r := &rig{socket: f.socket}
	for n := range truthSites {
		r.migrate(t, f.config, fmt.Sprintf("TICKETD_SITE=site%d", n))
	}
	return f
}

func (f *truth) start(t *testing.T) {
	t.Helper()
	f.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: f.config})
}

// is waits until status and metrics of all sites show a state.
func (f *truth) is(t *testing.T, state protocol.State) {
	t.Helper()
	up := "0"
	if state == protocol.StateUp {
		up = "1"
	}
	c, err := protocol.Dial(t.Context(), f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	testenv.Eventually(t, 15*time.Second, "all sites are "+string(state), func() bool {
		text := metrics(t, f.metrics)
		for n := range truthSites {
			c.Site = fmt.Sprintf("site%d", n)
			status, err := c.Status(t.Context())
			if err != nil || status.Sink.State != state ||
				!strings.Contains(text, fmt.Sprintf("ticketd_mysql_up{server=%q,site=%q} %s\n", f.server(), c.Site, up)) {
				return false
			}
		}
		return true
	})
}

// logged counts the lines of a level.
func (f *truth) logged(level string) (lines int) {
	return strings.Count(f.Log(), fmt.Sprintf(`"level":%q`, level))
}

// MySQL is down for an idle daemon of many sites: status and metrics say so without any client's help, each outage is one line
// and so is its end. (Before: "up" for as long as no write came, and three lines for each site.)
func TestMySQLIsDownWhileIdle(t *testing.T) {
	t.Parallel()
	f := newTruth(t)
	f.start(t)
	f.is(t, protocol.StateUp)
	f.mariadb.Kill()
	f.is(t, protocol.StateDown)
	if err := f.mariadb.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.is(t, protocol.StateUp)
	if n, warnings := f.logged("error"), f.logged("warn"); n != 1 || warnings > 0 ||
		strings.Count(f.Log(), "MySQL answers again") != 1 {
		t.Errorf("%d errors and %d warnings in the log, want one error, and its end:\n%s", n, warnings, f.Log())
	}
}

// The same where MySQL is down before the daemon starts, with what the daemon's last run left on disk.
func TestMySQLIsDownBeforeTheStart(t *testing.T) {
	t.Parallel()
	f := newTruth(t)
	f.start(t)
	f.is(t, protocol.StateUp)
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	f.mariadb.Kill()
	before := len(f.Log())
	if err := f.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.is(t, protocol.StateDown)
	if err := f.mariadb.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.is(t, protocol.StateUp)
	log := f.Log()[before:]
	if strings.Count(log, `"level":"error"`) != 1 || strings.Count(log, "MySQL answers again") != 1 {
		t.Errorf("want one error in the log, and its end:\n%s", log)
	}
}

// A wrong password takes down the site that has it, in one line with MySQL's words, and no other site.
func TestAWrongPasswordIsDown(t *testing.T) {
	t.Parallel()
	f := newTruth(t)
	f.config = strings.Replace(f.config, "root@", "nobody:wrong@", 1)
	f.start(t)
	c, err := protocol.Dial(t.Context(), f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	testenv.Eventually(t, 15*time.Second, "the one site is down, with MySQL's words", func() bool {
		for n := range truthSites {
			c.Site = fmt.Sprintf("site%d", n)
			status, err := c.Status(t.Context())
			if n == 0 {
				if err != nil || status.Sink.State != protocol.StateDown || !strings.Contains(status.Sink.Reason, "denied") {
					return false
				}
			} else if err != nil || status.Sink.State != protocol.StateUp {
				return false
			}
		}
		return strings.Contains(f.Log(), "takes no changes")
	})
	if n := strings.Count(f.Log(), "MySQL takes no changes"); n != 1 || strings.Contains(f.Log(), "MySQL does not answer") {
		t.Errorf("%d lines, want one:\n%s", n, f.Log())
	}
}

// server is MariaDB's address in the metrics.
func (f *truth) server() string { return "unix(" + f.mariadb.Socket() + ")" }

// A restart of Redis is a few lines in the log, not a few for each site. (Before: three for each.)
func TestARestartOfRedisIsToldOnce(t *testing.T) {
	t.Parallel()
	f := newTruth(t)
	f.start(t)
	c, err := protocol.Dial(t.Context(), f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	each := func(value string) {
		for n := range truthSites {
			c.Site = fmt.Sprintf("site%d", n)
			if _, err := c.Set(t.Context(), set(1, "status", value)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Flush(t.Context(), nil, nil); err != nil && value == "open" {
				t.Fatal(err)
			}
		}
	}
	each("open") // each site has a clean copy in Redis, which a restart makes doubtful
	before := len(f.Log())
	f.redis.Kill()
	each("closed") // each site has a change in its journal
	if err := f.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the changes are in Redis, and the copies are dropped", func() bool {
		return strings.Contains(f.Log(), "clean copies are read from MySQL again") &&
			strings.Count(f.Log()[before:], "\n") > 0 && journalsAreEmpty(t, c)
	})
	if lines := strings.Count(f.Log()[before:], "\n"); lines >= truthSites {
		t.Errorf("%d lines for %d sites:\n%s", lines, truthSites, f.Log()[before:])
	}
}

func journalsAreEmpty(t *testing.T, c *protocol.Client) bool {
	t.Helper()
	for n := range truthSites {
		c.Site = fmt.Sprintf("site%d", n)
		if status, err := c.Status(t.Context()); err != nil || status.Journal.Entries > 0 {
			return false
		}
	}
	return true
}
