package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// never prevents flushes: then only the test itself changes MySQL.
const never = "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"\n"

// waiting tells how many changes wait in the journal.
func waiting(t *testing.T, c *protocol.Client) int64 {
	t.Helper()
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Journal.Entries
}

// mustSet sets a field and demands an answer well within the time of a page.
func mustSet(t *testing.T, c *protocol.Client, id int64, name, value string) {
	t.Helper()
	begin := time.Now()
	if _, err := c.Set(t.Context(), set(id, name, value)); err != nil {
		t.Fatalf("set %d %s=%s: %v", id, name, value, err)
	}
	if took := time.Since(begin); took > quick {
		t.Errorf("set %d %s=%s took %v", id, name, value, took)
	}
}

// mustGet reads a field.
func mustGet(t *testing.T, c *protocol.Client, id int64, name string) (value string, stale bool) {
	t.Helper()
	got, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("get %d: %v", id, err)
	}
	return field(got.Fields, name).Text(), got.Stale
}

// While Redis is away, writes and reads go on; written values are read, created tickets are found, and MySQL has all of them
// when Redis is back, in the order of the writes.
func TestWritesGoOnWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: server})
	c := r.dial(t)
	mustSet(t, c, 100, "status", "before")
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	mustSet(t, c, 100, "status", "first")
	mustSet(t, c, 100, "status", "second")
	made, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text("new")}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, stale := mustGet(t, c, 100, "status"); got != "second" || !stale {
		t.Errorf("read %q (stale: %v), want the second value, marked stale: Redis may know more", got, stale)
	}
	if got, stale := mustGet(t, c, made.ID, "subject"); got != "new" || stale {
		t.Errorf("read %q (stale: %v) of a ticket that was created here", got, stale)
	}
	page, err := c.List(t.Context(), protocol.ListParams{})
	if err != nil || !page.Stale || len(page.Tickets) != 1 {
		t.Errorf("list: %+v (%v), want what MySQL has, marked stale", page, err)
	}
	if n := waiting(t, c); n != 3 {
		t.Errorf("%d changes wait in the journal, want 3", n)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the journal is replayed", func() bool { return waiting(t, c) == 0 })
	mustSet(t, c, 100, "status", "third")
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := column(t, r.db, "status", 100); got != "third" {
		t.Errorf("status %q in MySQL", got)
	}
	if got := column(t, r.db, "subject", made.ID); got != "new" {
		t.Errorf("subject %q in MySQL", got)
	}
}

// A stopped Redis keeps a write in its socket. When Redis goes on it must not apply that write after the newer writes that
// were replayed from the journal. Without the fence MySQL holds the first value here (tried).
func TestLateWriteToRedisIsRefused(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	link := testenv.NewProxy(t, server.Socket(), 0)
	r := newRig(t, rigOptions{redis: server, site: never, link: link})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "before")
	link.Hold()
	mustSet(t, c, 1, "status", "first") // goes to Redis, is held there, and is written to the journal
	mustSet(t, c, 1, "status", "second")
	link.Divert() // new connections pass; the held connection is delivered late
	testenv.Eventually(t, 5*time.Second, "the journal is replayed", func() bool { return waiting(t, c) == 0 })
	link.Release()
	if err := r.redis.Ping(t.Context()).Err(); err != nil { // Redis has processed the earlier data
		t.Fatal(err)
	}
	if got, _ := mustGet(t, c, 1, "status"); got != "second" {
		t.Errorf("status is %q, want the second value", got)
	}
}

// Redis is out of memory and refuses writes: the journal accepts them, and PHP sees no error. When there is room they follow.
func TestRedisOutOfMemory(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"maxmemory-policy noeviction"}})
	r := newRig(t, rigOptions{redis: server})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "before")
	if err := r.redis.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	mustSet(t, c, 1, "status", "after")
	if got, _ := mustGet(t, c, 1, "status"); got != "after" {
		t.Errorf("read %q", got)
	}
	if n := waiting(t, c); n == 0 {
		t.Error("nothing waits in the journal, so Redis was not out of memory: this proves nothing")
	}
	if err := r.redis.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the write is in MySQL", func() bool {
		return column(t, r.db, "status", 1) == "after"
	})
}

// kill -9 of the daemon while Redis is away: changes pending in the journal are read after the restart, and arrive.
func TestJournalOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: server})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "before")
	server.Kill()
	mustSet(t, c, 1, "status", "after")
	r.Kill()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = r.dial(t)
	if got, _ := mustGet(t, c, 1, "status"); got != "after" {
		t.Errorf("read %q after the restart", got)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the write is in MySQL", func() bool {
		return column(t, r.db, "status", 1) == "after"
	})
}

// With ack = "journal" a change is acknowledged before Redis has it; the host reads the change at once, other hosts when it
// has followed.
func TestAckByTheJournal(t *testing.T) {
	t.Parallel()
	here := newRig(t, rigOptions{site: never + "ack = \"journal\""})
	there := here.second(t)
	a, b := here.dial(t), there.dial(t)
	mustSet(t, a, 1, "status", "pending")
	if got, stale := mustGet(t, a, 1, "status"); got != "pending" || stale {
		t.Errorf("read %q (stale: %v) on the same host", got, stale)
	}
	testenv.Eventually(t, 5*time.Second, "the other host reads it", func() bool {
		got, err := b.Get(t.Context(), 1)
		return err == nil && field(got.Fields, "status").Text() == "pending"
	})
	got, err := a.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	conditional := set(1, "status", "closed")
	conditional.IfRevision = got.Revision
	changed, err := a.Set(t.Context(), conditional)
	if err != nil {
		t.Errorf("a conditional change at the revision that was read: %v", err)
	}
	_, err = a.Set(t.Context(), conditional)
	conflict, is := errors.AsType[*protocol.Error](err)
	if !is || conflict.Code != protocol.CodeConflict || conflict.Revision != changed {
		t.Errorf("the same again: %v, want a conflict at revision %d", err, changed)
	}
	status, err := a.Status(t.Context())
	if err != nil || status.Ack != protocol.AckJournal || status.Journal.Replayed == 0 {
		t.Errorf("status %+v (%v)", status, err)
	}
}

// A request may ask for the journal's answer where the site's is that of Redis.
func TestAckByRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: never})
	c := r.dial(t)
	p := set(1, "status", "pending")
	p.Ack = protocol.AckJournal
	if _, err := c.Set(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "it went through the journal", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Journal.Replayed == 1
	})
}

// The journal has a bound: above it the answer is overloaded, status says why, and the site goes on when there is room.
func TestJournalFull(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: server, journal: "max_entries = 3"})
	c := r.dial(t)
	mustSet(t, c, 9, "status", "before")
	server.Kill()
	for _, value := range []string{"1", "2", "3"} {
		mustSet(t, c, 1, "status", value)
	}
	if _, err := c.Set(t.Context(), set(1, "status", "4")); code(err) != protocol.CodeOverloaded {
		t.Errorf("beyond the bound: %v", err)
	}
	status, err := c.Status(t.Context())
	if err != nil || !strings.Contains(strings.Join(status.Warnings, "\n"), "journal is full") {
		t.Errorf("warnings %q (%v)", status.Warnings, err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "what was acknowledged is in MySQL", func() bool {
		return column(t, r.db, "status", 1) == "3"
	})
	mustSet(t, c, 1, "status", "5")
}

// A change that Redis cannot make, because another program has the key, stays in the journal: flush flushes the others to
// MySQL and reports the missing change; so does status. (If only Redis is asked for dirty tickets, flush reports that all is
// done.)
func TestFlushNamesWhatIsStuck(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: server})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "before")
	server.Kill()
	mustSet(t, c, 777, "subject", "waits in the journal")
	mustSet(t, c, 1, "status", "after")
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.redis.Set(t.Context(), r.prefix+"ticket:777", "not a ticket", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "status names what is stuck", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && strings.Contains(strings.Join(status.Warnings, "\n"), "ticket 777")
	})
	for _, ids := range [][]string{nil, {"777"}} {
		out, err := r.run(t, append([]string{"flush"}, ids...)...)
		if err == nil || !strings.Contains(out, "ticket 777") {
			t.Errorf("flush %v: %v\n%s", ids, err, out)
		}
	}
	if got := column(t, r.db, "status", 1); got != "after" {
		t.Errorf("the other ticket is %q in MySQL", got)
	}
	if err := r.redis.Del(t.Context(), r.prefix+"ticket:777").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the journal is empty", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Journal.Entries == 0
	})
	if out, err := r.run(t, "flush"); err != nil {
		t.Errorf("flush: %v\n%s", err, out)
	}
	if got := column(t, r.db, "subject", 777); got != "waits in the journal" {
		t.Errorf("subject %q in MySQL", got)
	}
}

// Without Redis the journal is the store: writes are acknowledged from it, flushed to MySQL, and survive a kill -9.
func TestNoRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true, site: never})
	c := r.dial(t)
	made, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text("one")}}, "r-1")
	if err != nil {
		t.Fatal(err)
	}
	mustSet(t, c, made.ID, "status", "pending")
	r.Kill()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = r.dial(t)
	if got, _ := mustGet(t, c, made.ID, "status"); got != "pending" {
		t.Errorf("read %q after the restart", got)
	}
	again, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text("one")}}, "r-1")
	if err != nil || again.ID != made.ID {
		t.Errorf("the same request again: %+v (%v), want ticket %d", again, err, made.ID)
	}
	status, err := c.Status(t.Context())
	if err != nil || status.Backend != protocol.BackendJournal || status.Dirty != 1 || status.Journal.Entries != 1 {
		t.Errorf("status %+v (%v), want one dirty ticket in the journal", status, err)
	}
	page, err := c.List(t.Context(), protocol.ListParams{})
	if err != nil || len(page.Tickets) != 1 || page.Stale || field(page.Tickets[0].Fields, "status").Text() != "pending" {
		t.Errorf("list: %+v (%v)", page, err)
	}
	if got := column(t, r.db, "status", made.ID); got != "pending" {
		t.Errorf("status %q in MySQL", got)
	}
	config := filepath.Join(filepath.Dir(r.socket), "verify.toml")
	writeFile(t, config, r.text)
	if out, err := r.run(t, "verify", "--config", config); err != nil || !strings.Contains(out, "no [redis]") {
		t.Errorf("verify without Redis: %v\n%s", err, out)
	}
}

// A damaged journal prevents the start, with an error that names the file and the way out; a command recovers the readable
// changes.
func TestDamagedJournalIsRefusedAndSalvaged(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true, site: never})
	c := r.dial(t)
	for id := int64(1); id <= 20; id++ {
		mustSet(t, c, id, "subject", "value "+strconv.FormatInt(id, 10))
	}
	r.Kill()
	damage(t, filepath.Join(filepath.Dir(r.socket), "journal", "main", "mysql"), "value 10")
	config := filepath.Join(filepath.Dir(r.socket), "salvage.toml")
	writeFile(t, config, r.text)
	out, err := r.run(t, "serve", "--config", config)
	if err == nil || !strings.Contains(out, "ticketd journal salvage") || !strings.Contains(out, "can be read") {
		t.Fatalf("serve on a damaged journal: %v\n%s", err, out)
	}
	if out, err := r.run(t, "journal", "salvage", "--config", config); err != nil || !strings.Contains(out, "corrupt") {
		t.Fatalf("salvage: %v\n%s", err, out)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.dial(t).Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= 20; id++ {
		want := "value " + strconv.FormatInt(id, 10)
		if id == 10 {
			want = "" // the damaged record was this ticket's
		}
		if got := column(t, r.db, "subject", id); got != want {
			t.Errorf("ticket %d: subject %q in MySQL, want %q", id, got, want)
		}
	}
}

// damage changes a byte of a text in a journal's file.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(content, []byte(text)); at >= 0 {
			content[at] ^= 1
			writeFile(t, path, string(content))
			return
		}
	}
	t.Fatalf("%q is in no file of %s", text, dir)
}

// Redis is removed from the configuration, or added, while changes are pending in the journal: no mover would flush them, so
// the start is refused with advice. Without pending changes the start succeeds.
func TestJournalOfTheOtherKind(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: server})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "before")
	server.Kill()
	mustSet(t, c, 1, "status", "waits")
	r.Kill()
	without := filepath.Join(filepath.Dir(r.socket), "without.toml")
	redis := fmt.Sprintf("[redis]\naddr = %q\n", "unix://"+server.Socket())
	writeFile(t, without, strings.Replace(r.text, redis, "", 1))
	out, err := r.run(t, "serve", "--config", without)
	if err == nil || !strings.Contains(out, "1 changes wait") || !strings.Contains(out, "ticketd flush") {
		t.Fatalf("start without the Redis that a change waits for: %v\n%s", err, out)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, r)
	if err := r.WriteConfig(strings.Replace(r.text, redis, "", 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and back again: the other way round holds too
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteConfig(r.text); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := mustGet(t, r.dial(t), 1, "status"); got != "waits" {
		t.Errorf("read %q", got)
	}
}
