package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
)

func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil { // the command runs in the module's root
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testenv.Main(m)
}

// Every way writes its values, new values each time: a rival that writes nothing would look fast.
func TestEveryWayWrites(t *testing.T) {
	t.Parallel()
	e, err := newEnv(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.end(); err != nil {
			t.Error(err)
		}
	}()
	echo, relay, err := e.startEchoes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer echo.stop()
	defer relay.stop()
	at := e.unixPlaces()
	at.echo, at.relay = echo, relay
	w, err := e.startPHP(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	}()
	options := e.redis.Options()
	options.DB = 1 // that of the guide's way
	redis := goredis.NewClient(options)
	defer redis.Close()
	rows := func(table string) (n int) {
		query := "SELECT COUNT(*) FROM " + table + " WHERE assigned_to > 0"
		if err := e.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	keys := func() int { return int(redis.DBSize(t.Context()).Val()) }
	for _, c := range []struct {
		way, task string
		count     func() int
		more      int
	}{
		{"guide", "one", keys, 1},
		{"pconnect", "one", keys, 1},
		{"held", "ten", keys, 10},
		{"mysqli", "one", func() int { return rows(plainTable) }, 1},
		{"mysqli-held", "ten", func() int { return rows(plainTable) }, 10},
		{wayTicketd, "one", func() int { return rows(e.main.table) }, 1},
		{wayTicketd, "ten", func() int { return rows(e.main.table) }, 10},
		{wayTicketd, "batch", func() int { return rows(e.main.table) }, 10},
		{wayJournal, "one", func() int { return rows(e.journal.table) }, 1},
		{wayJournal, "batch", func() int { return rows(e.journal.table) }, 10},
		{wayAlone, "one", func() int { return rows(e.alone.table) }, 1},
		{"echo", "one", keys, 0},
		{"relay", "one", keys, 0},
	} {
		before := c.count()
		if _, err := w.run(c.task, c.way, 1); err != nil {
			t.Errorf("%s %s: %v", c.way, c.task, err)
		}
		for _, d := range at.daemons {
			if err := d.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if more := c.count() - before; more != c.more {
			t.Errorf("%s %s: %d tickets more, want %d", c.way, c.task, more, c.more)
		}
	}
	if _, err := w.run("get", "guide", 1); err == nil {
		t.Error("reading a ticket that is not there passes")
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		median float64
		target target
		met    bool
		want   string
	}{
		{0.5, target{atMost: 0.6}, true, "reached"},
		{0.7, target{atMost: 0.6}, false, "MISSED"},
		{1.2, target{atLeast: 1.2}, true, "reached"},
		{1.1, target{atLeast: 1.2}, false, "MISSED"},
		{99, target{}, true, "no target"},
	} {
		l := line{what: "x", value: round.Spread{Median: c.median}, target: c.target}
		if l.met() != c.met || l.verdict() != c.want {
			t.Errorf("%v, target %v: %v %s", c.median, c.target, l.met(), l.verdict())
		}
		if err := missed([]line{l}); (err == nil) != c.met {
			t.Errorf("%v, target %v: error %v", c.median, c.target, err)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	if all, err := choose(""); err != nil || len(all) != len(rows) {
		t.Errorf("all rows: %d, %v", len(all), err)
	}
	if two, err := choose("get,one"); err != nil || len(two) != 2 || two[0].name != "get" {
		t.Errorf("two rows: %v, %v", two, err)
	}
	if _, err := choose("one,nothing"); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("an unknown row: %v", err)
	}
}

// The report has every line with target and every way, and the picture is well-formed XML with any names.
func TestReport(t *testing.T) {
	t.Parallel()
	sample := round.Table{ticketd: {{Value: 5}}, "a < b": {{Value: 10, CPU: 3}}}
	lines := []line{
		timed("one & all", sample, ticketd, "a < b", target{atMost: 0.6}), {what: "plain", value: round.Spread{Median: 7}},
	}
	if text := table(lines) + sides(lines); !strings.Contains(text, "| one & all | 0.5 × | at most 0.6 | reached |") ||
		!strings.Contains(text, "| a < b | 10 | 1 | 3 |") || !strings.Contains(text, "| plain | 7 |  | no target |") {
		t.Error(text)
	}
	if picture := plot(lines); !strings.Contains(picture, "one &amp; all") || !strings.Contains(picture, "a &lt; b") {
		t.Error(picture)
	}
}

// Clones are other tickets with the same updates, and generations do not overlap.
func TestClone(t *testing.T) {
	t.Parallel()
	updates := incidents.MadeUp()
	seen := map[int64]bool{}
	for _, u := range append(clone(updates, 2, 0), clone(updates, 1, 2)...) {
		seen[u.Ticket] = true
	}
	if want := 3 * len(incidents.Last(updates)); len(seen) != want {
		t.Errorf("%d tickets, want %d", len(seen), want)
	}
}

// The processor time of a busy process grows; reading the time of an ended process fails.
func TestCPU(t *testing.T) {
	t.Parallel()
	before, err := cpu(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const long = 10 * time.Second // on a busy machine the process computes only now and then
	after := before
	for begin := time.Now(); err == nil && after-before < time.Millisecond && time.Since(begin) < long; {
		after, err = cpu(os.Getpid())
	}
	if err != nil || after-before < time.Millisecond {
		t.Errorf("%v after computing, %v", after-before, err)
	}
	if _, err := cpu(1 << 22); err == nil {
		t.Error("a process that is not there has processor time")
	}
}
