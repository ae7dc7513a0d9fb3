package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCreateSetGetDelete(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	fields := []protocol.Field{
		{Name: "subject", Value: protocol.Text("Where is my order?")}, {Name: "customer_id", Value: protocol.Text("7")},
		{Name: "channel", Value: protocol.Text("phone")}, // has no column: kept in extra
	}
	made, err := c.Create(t.Context(), fields, "first")
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Create(t.Context(), fields, "first")
	if err != nil || again.ID != made.ID {
		t.Fatalf("the repeated create made ticket %d (%v), want %d", again.ID, err, made.ID)
	}
	if _, err := c.Set(t.Context(), set(made.ID, "status", "pending")); err != nil {
		t.Fatal(err)
	}
	ticket, err := c.Get(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"subject": "Where is my order?", "status": "pending", "customer_id": "7", "channel": "phone", "deleted_at": "",
	}
	for name, value := range want {
		if got := field(ticket.Fields, name); got.Text() != value {
			t.Errorf("%s is %q, want %q", name, got.Text(), value)
		}
	}
	if v := field(ticket.Fields, "customer_id"); !v.IsInt() {
		t.Error("an integer column does not come back as an integer")
	}
	if _, err := c.Flush(t.Context(), []int64{made.ID}, nil); err != nil {
		t.Fatal(err)
	}
	if got := column(t, r.db, "extra", made.ID); !strings.Contains(got, `"phone"`) {
		t.Errorf("extra is %s", got)
	}
	if _, err := c.Delete(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), made.ID); code(err) != protocol.CodeNotFound {
		t.Errorf("get of a deleted ticket: %v", err)
	}
	testenv.Eventually(t, 2*time.Second, "the deletion is in MySQL", func() bool {
		return column(t, r.db, "deleted_at", made.ID) != ""
	})
}

func field(fields []protocol.Field, name string) protocol.Value {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return protocol.Text("there is no such field")
}

// code returns the code of a daemon's error.
func code(err error) protocol.Code {
	var e *protocol.Error
	if !asError(err, &e) {
		return ""
	}
	return e.Code
}

func TestFiftyUpdatesCostOneRowWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "linger = \"1s\""})
	c := r.dial(t)
	for i := range 50 {
		if _, err := c.Set(t.Context(), set(812, "status", fmt.Sprintf("s%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 5*time.Second, "the last update is in MySQL", func() bool {
		return column(t, r.db, "status", 812) == "s49"
	})
	// The round is counted at its ack, a moment after its row becomes visible.
	var rows int64
	testenv.Eventually(t, 5*time.Second, "the flush is counted", func() bool {
		status, err := c.Status(t.Context())
		rows = status.FlushedRows
		return err == nil && rows > 0
	})
	if rows != 1 {
		t.Errorf("%d rows were written, want 1", rows)
	}
}

// A value that the table would refuse is refused by name before it is stored.
func TestRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	for name, value := range map[string]string{
		"status": strings.Repeat("x", 33), "customer_id": "seven", "created_at": "yesterday", "revision": "1",
	} {
		_, err := c.Set(t.Context(), set(1, name, value))
		var e *protocol.Error
		if !asError(err, &e) || e.Code != protocol.CodeInvalid || e.Field != name {
			t.Errorf("%s = %.10q: %v, want invalid, naming the field", name, value, err)
		}
	}
	if n, err := r.redis.Exists(t.Context(), r.prefix+"ticket:1").Result(); err != nil || n != 0 {
		t.Errorf("a refused write left something in Redis (%v)", err)
	}
}

// Flush answers while writers run, and MySQL then has every ticket that was dirty at the call.
func TestFlushWhileWritersRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\""})
	const tickets, writers = 300, 4
	before := r.dial(t)
	for id := int64(1); id <= tickets; id++ {
		if _, err := before.Set(t.Context(), set(id, "subject", "before")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for w := range writers {
		c := r.dial(t)
		call := context.WithoutCancel(ctx) // ctx ends the loop; a call under way is no failure
		writing.Go(func() {
			for i := int64(0); ctx.Err() == nil; i++ {
				if _, err := c.Set(call, set(i%tickets+1, "priority", fmt.Sprintf("%d-%d", w, i))); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	for range 3 {
		out, err := r.run(t, "flush")
		if err != nil {
			t.Fatalf("ticketd flush: %v\n%s", err, out)
		}
		var flushed int
		if err := r.db.QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM wp_support_tickets WHERE subject = 'before'").Scan(&flushed); err != nil {
			t.Fatal(err)
		}
		if flushed != tickets {
			t.Errorf("%d of %d tickets are in MySQL after the flush", flushed, tickets)
		}
	}
	cancel()
	writing.Wait()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	for _, step := range []struct {
		args []string
		want string // a part of the output
		fail bool
	}{
		{args: []string{"ping"}, want: "answers on"},
		{args: []string{"create", "subject=hello"}, want: "1\n"},
		{args: []string{"set", "1", "status=pending", "category:null"}, want: "\n"},
		{args: []string{"get", "1"}, want: `"pending"`},
		{args: []string{"get", "1", "--format", "json"}, want: `"status":"pending"`},
		{args: []string{"get", "99"}, want: "the ticket does not exist", fail: true},
		{args: []string{"set", "888888", "status=x"}, want: "the ticket does not exist", fail: true},
		{args: []string{"get", "888888"}, want: "the ticket does not exist", fail: true}, // and no ghost
		{args: []string{"set", "888888", "--create", "status=x"}, want: "\n"},
		{args: []string{"set", "0", "status=x"}, want: "a ticket id is", fail: true},
		{args: []string{"set", "1", "status"}, want: "is not name=value", fail: true},
		{args: []string{"flush"}, want: "flushed"},
		{args: []string{"status"}, want: "pending"},
		{args: []string{"status"}, want: "redis, acknowledges from redis"},
		{args: []string{"status", "--format", "json"}, want: `"dirty":0`},
		{args: []string{"status", "--format", "json"}, want: `"spool":{"bad":0,`},
		{args: []string{"status", "--format", "xml"}, want: "--format", fail: true},
		{args: []string{"version"}, want: "ticketd "},
		{args: []string{"completion", "bash"}, want: "complete"},
	} {
		out, err := r.run(t, step.args...)
		if (err != nil) != step.fail || !strings.Contains(out, step.want) {
			t.Errorf("ticketd %s: %v\n%s\nwant %q in it, failed: %v", strings.Join(step.args, " "), err, out, step.want, step.fail)
		}
	}
}

// An operator adds a column for a field and reloads the daemon: the next change of the field goes to the column. Without the look
// at the tables in the reload, it goes to extra for up to half a minute.
func TestReloadReadsTheTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true})
	c := r.dial(t)
	id := mustCreate(t, c, "one")
	alter(t, r, "ADD COLUMN phone VARCHAR(30) NULL")
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustSet(t, c, id, "phone", "111")
	flushed(t, c)
	if got := column(t, r.db, "phone", id); got != "111" {
		t.Errorf("phone %q in its column", got)
	}
}

// A reload changes the strategy; a wrong configuration changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	o := rigOptions{}
	r := &rig{socket: testenv.Folder(t) + "/d.sock"}
	config := r.config(t, &o)
	r.migrate(t, config)
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config})
	strategy := func(text string) string {
		if err := r.WriteConfig(text); err != nil {
			t.Fatal(err)
		}
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		status, err := r.dial(t).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status.Strategy
	}
	if got := strategy(config + "strategy = \"on_close\"\n"); got != "on_close" {
		t.Errorf("strategy %q after the reload", got)
	}
	if got := strategy(config + "strategy = \"never\"\n"); got != "on_close" {
		t.Errorf("strategy %q after a reload of a wrong configuration", got)
	}
	if !strings.Contains(r.Log(), "sites.main.strategy") {
		t.Error("the log does not name the wrong key")
	}
}
