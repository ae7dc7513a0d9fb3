package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
)

func TestMain(m *testing.M) {
	if spins(os.Args[1:]) {
		if err := spin(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
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
	floors, err := e.startFloors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer floors.stop()
	queues, err := e.startQueues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := queues.stop(); err != nil {
			t.Error(err)
		}
	}()
	at := e.unixPlaces()
	at.floors = floors
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
	plain := func() int { return rows(plainTable) }
	calls := func() int { // of the script by the floor: each leaves its request's key
		client := goredis.NewClient(e.redis.Options())
		defer client.Close()
		return len(client.Keys(t.Context(), floorPrefix+"*"+strings.Repeat("[0-9]", len(anyRequest))).Val())
	}
	for _, c := range []struct {
		way, task string
		count     func() int
		more      int
	}{
		{"guide", "one", keys, 1},
		{"pconnect", "one", keys, 1},
		{"held", "ten", keys, 10},
		{"mysqli", "one", plain, 1},
		{"mysqli-held", "ten", plain, 10},
		{wayTicketd, "one", func() int { return rows(e.main.table) }, 1},
		{wayTicketd, "ten", func() int { return rows(e.main.table) }, 10},
		{wayTicketd, "batch", func() int { return rows(e.main.table) }, 10},
		{wayJournal, "one", func() int { return rows(e.journal.table) }, 1},
		{wayJournal, "batch", func() int { return rows(e.journal.table) }, 10},
		{wayAlone, "one", func() int { return rows(e.alone.table) }, 1},
		{"event", "one", plain, 1},
		{"scheduled", "ten", plain, 10},
		{"through", "one", plain, 1},
		{wayFloor, "one", keys, 0},
		{wayHSET, "one", keys, 0},
		{wayScript, "one", calls, 2}, // the ticket and the request
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
		if err := errors.Join(queues.event.drain(t.Context()), queues.scheduled.drain(t.Context())); err != nil {
			t.Fatal(err)
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
	sample := round.Table{ticketd: {{Value: 5, CPU: 6}}, "a < b": {{Value: 10, CPU: 3, Server: 2}}}
	lines := []line{
		timed("one & all", sample, ticketd, "a < b", target{atMost: 0.6}),
		{what: "plain", value: round.Spread{Median: 7, Low: 5, High: 9}},
	}
	text := table(lines, "") + sides(lines)
	for _, want := range []string{
		"| one & all | 0.5 × | 6 : 3 | at most 0.6 | reached |", "| a < b | 10 | 1 | 3 | 2 |",
		"| plain | 7 (5 to 9) |  |  | no target ~ |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := lost(lines); strings.Contains(text, "one & all") {
		t.Errorf("a reached target is lost: %s", text)
	}
	lines[0].target.atMost = 0.4
	lines[0] = above(lines[0], sample, "a < b", "a < b")
	if text := lost(lines); !strings.Contains(text, "| one & all | 0.5 × | at most 0.4 | a < b: 1 × |") {
		t.Errorf("a missed target without its floor: %s", text)
	}
	lines[0].part, lines[1].part = bareWrite, capacity
	if err := missed(lines); err != nil || lines[0].verdict() != "floor: 1" {
		t.Errorf("a target that the floor misses: %s (%v)", lines[0].verdict(), err)
	}
	lines[0].floor.value.Median = 0.3
	if err := missed(lines); err == nil {
		t.Error("a target that the floor reaches is not missed")
	}
	if text := summary(lines); !strings.Contains(text, "MISSED") || !strings.Contains(text, "no target ~") {
		t.Errorf("summary: %s", text)
	}
	lines[0].part, lines[0].cost = wholeJob, true
	var readme strings.Builder
	if err := withCosts(&readme, "a\n"+costsBegin+"old\n"+costsEnd+"b\n", lines); err != nil ||
		readme.String() != "a\n"+costsBegin+"| what | ratio (quartiles) |\n| --- | --- |\n| one & all | 0.5 |\n"+costsEnd+"b\n" {
		t.Errorf("README: %v\n%s", err, &readme)
	}
	if err := withCosts(io.Discard, "a\n", lines); err == nil {
		t.Error("a README without a place for the costs passes")
	}
	all, err := pageText(lines, []string{"two cores"})
	for _, part := range []string{
		"## The whole job", "| one & all |", "## The bare write", "## Where ticketd loses", "- two cores",
	} {
		_, rest, found := strings.Cut(all, part)
		if !found || err != nil {
			t.Errorf("the page has no %q in its place (%v):\n%s", part, err, all)
		}
		all = rest
	}
	if picture := plot(lines); !strings.Contains(picture, "one &amp; all") || !strings.Contains(picture, "a &lt; b") {
		t.Error(picture)
	}
}

// A wide measurement is repeated until it is steady, at most twice and not after the end of the time; the steadiest one counts.
func TestSettled(t *testing.T) {
	t.Parallel()
	spreads := []float64{1.6, 1.4, 1.5, 1.1}
	for _, c := range []struct {
		repeats time.Time
		spreads []float64
		want    float64
		runs    int
	}{
		{time.Now().Add(time.Hour), spreads[2:], 1.1, 2},
		{time.Now().Add(time.Hour), spreads, 1.4, 3},
		{time.Time{}, spreads, 1.6, 1},
	} {
		runs := 0
		e := &env{repeats: c.repeats}
		lines, err := e.settled(func() ([]line, error) {
			runs++
			return []line{{value: round.Spread{Low: 1, High: c.spreads[runs-1]}}, {value: round.Spread{Low: 1, High: 1}}}, nil
		})
		if err != nil || lines[0].value.High != c.want || runs != c.runs {
			t.Errorf("%v: %v after %d runs (%v), want %v after %d", c.spreads, lines[0].value.High, runs, err, c.want, c.runs)
		}
	}
}

// The spinners run on each processor, only while nothing else wants the processor, and end with their parent's pipe.
func TestKeepAwake(t *testing.T) {
	t.Parallel()
	a, err := keepAwake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pids := a.pids()
	for _, pid := range pids {
		attr, err := unix.SchedGetAttr(pid, 0)
		if err != nil || attr.Policy != unix.SCHED_IDLE {
			t.Errorf("policy %v (%v), want SCHED_IDLE", attr, err)
		}
	}
	if err := a.end(); err != nil || len(pids) != runtime.NumCPU() {
		t.Errorf("%d spinners, %v", len(pids), err)
	}
}

// Every row measures its lines, in a run that measures little.
func TestEveryRowRuns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	e, err := newEnv(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	e.quick = true
	defer func() {
		if err := e.end(); err != nil {
			t.Error(err)
		}
	}()
	lines, err := measure(t.Context(), e, rows)
	if err != nil {
		t.Error(err)
	}
	for i := range lines {
		if m := lines[i].value.Median; math.IsNaN(m) || m <= 0 {
			t.Errorf("%s: %v", lines[i].what, m)
		}
	}
	t.Log(summary(lines))
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
