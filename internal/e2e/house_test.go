package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// house is a daemon of a single site, whose places a test chooses and moves.
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
	redis    *testenv.Redis // nil for no Redis
	prefix   string         // of the Redis keys
	dir      string         // the existing state folder, if any
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

// open starts the daemon and returns a client of the daemon.
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

// create makes a ticket as soon as the daemon accepts it.
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

// notServed demands that the daemon refuses all of the site's requests for a reason with these words, and that status says
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
	if err != nil || status.Sink.State == protocol.StateUp || !strings.Contains(status.Sink.Reason, words[0]) {
		t.Errorf("status %+v (%v), want the sink not up because of %q", status.Sink, err, words[0])
	}
}

// subjects are the subjects of all rows, sorted.
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

// flushSoon flushes, as soon as the daemon's places answer.
func flushSoon(t *testing.T, c *protocol.Client) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, "everything is flushed", func() bool {
		// After a Redis that was emptied, a flush waits 5 s for the daemons of other hosts.
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		_, err := c.Flush(ctx, nil, nil)
		return err == nil
	})
}
