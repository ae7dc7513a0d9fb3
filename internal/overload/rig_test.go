package overload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	// limit is how many connections a user may have, and all clients here are the same user: few enough to be exceeded many
	// times over on a small machine.
	limit = 128
	// deadline is that of a PHP client for a whole call.
	deadline = time.Second
	megabyte = 1 << 20
)

// rig is a daemon between a Redis and a MariaDB whose tickets have a field for megabytes, body.
type rig struct {
	*testenv.Ticketd
	socket, scraped string
}

func newRig(t *testing.T, noRedis bool) *rig {
	t.Helper()
	dir := testenv.Folder(t)
	r := &rig{socket: filepath.Join(dir, "d.sock"), scraped: filepath.Join(dir, "m.sock")}
	mariadb := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	const database = "overload"
	if err := mariadb.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	place := ""
	if !noRedis {
		redis := testenv.NewRedis(t, testenv.RedisOptions{})
		place = fmt.Sprintf("[redis]\nread_timeout = \"10s\"\nwrite_timeout = \"10s\"\naddr = %q\n", "unix://"+redis.Socket())
	}
	// A test that takes all of the machine must not be mistaken for a Redis or a MySQL that is away: hence the time-outs.
	config := fmt.Sprintf("[daemon]\nrequest_timeout = \"20s\"\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n"+
		"max_connections = %d\n%s[metrics]\nlisten = %q\n[sites.main]\ndsn = %q\n",
		r.socket, filepath.Join(dir, "state"), filepath.Join(dir, "spool"), limit, place, "unix://"+r.scraped,
		mariadb.DSN(database))
	file := filepath.Join(dir, "migrate.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	migrate := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "migrate", "--config", file)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
	const widen = "ALTER TABLE wp_support_tickets ADD body LONGTEXT NULL"
	if _, err := mariadb.DB(t, database).ExecContext(t.Context(), widen); err != nil {
		t.Fatal(err)
	}
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config})
	return r
}

// call is a call of a client that connects for it, as PHP does, within PHP's deadline.
func (r *rig) call(ctx context.Context, do func(ctx context.Context, c *protocol.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	c, err := protocol.Dial(ctx, r.socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return do(ctx, c)
}

// need is a call that must succeed, without its own deadline.
func (r *rig) need(t *testing.T, do func(c *protocol.Client) error) {
	t.Helper()
	c, err := protocol.Dial(t.Context(), r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := do(c); err != nil {
		t.Fatal(err)
	}
}

// set is a set of a single field.
func set(id int64, name, value string) protocol.SetParams {
	return protocol.SetParams{ID: id, Fields: []protocol.Field{{Name: name, Value: protocol.Text(value)}}}
}

// The tickets with large bodies, which need the most room of all.
const (
	largeTicket = 1 // a reply of a megabyte
	hugeTicket  = 2 // a ticket that just fits a frame
)

// large makes such tickets, flushes them to MySQL, and has them complete in the store.
func (r *rig) large(t *testing.T) {
	t.Helper()
	r.need(t, func(c *protocol.Client) error {
		for id, n := range map[int64]int{largeTicket: megabyte, hugeTicket: protocol.MaxTicketBytes - 4<<10} {
			if _, err := c.Set(t.Context(), set(id, "body", strings.Repeat("x", n))); err != nil {
				return err
			}
		}
		if _, err := c.Flush(t.Context(), nil, nil); err != nil {
			return err
		}
		_, err := c.GetMany(t.Context(), []int64{largeTicket})
		if err == nil {
			_, err = c.Get(t.Context(), hugeTicket)
		}
		return err
	})
}

// outcome names the outcome of a call.
func outcome(err error) string {
	var refusal *protocol.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.Is(err, syscall.EAGAIN): // the socket's queue is full, which the kernel says at once
		return "queue full"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "time-out"
	default:
		return err.Error()
	}
}

// duration is how long a test goes on: short, unless make says more.
func duration(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("TICKETD_TEST_DURATION")
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("TICKETD_TEST_DURATION=%q is no duration above 0", text)
	}
	return d
}
