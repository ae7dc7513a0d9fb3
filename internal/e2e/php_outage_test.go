package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// pageCode is PHP code that makes a change, reads the ticket back, and reports how long PHP waited for each.
const pageCode = `
add_action( 'init', function () {
	if ( ! isset( $_GET['e2e'] ) ) {
		return;
	}
	$fields = array( $_GET['field'] => $_GET['value'] );
	$begin  = hrtime( true );
	if ( 'create' === $_GET['e2e'] ) {
		$id   = ticketd_create_ticket( $fields );
		$done = $id;
	} else {
		$id   = (int) $_GET['e2e'];
		$done = ticketd_set_ticket( $id, $fields );
	}
	$wrote = hrtime( true );
	$read  = is_wp_error( $done ) ? $done : ticketd_get_ticket( $id );
	$end   = hrtime( true );
	wp_send_json( array(
		'error' => is_wp_error( $read ) ? $read->get_error_code() . ': ' . $read->get_error_message() : '',
		'id'    => is_wp_error( $id ) ? 0 : $id,
		'read'  => is_wp_error( $read ) ? '' : (string) $read['fields'][ $_GET['field'] ],
		'stale' => ! is_wp_error( $read ) && ! empty( $read['stale'] ),
		'write_us' => intdiv( $wrote - $begin, 1000 ),
		'read_us'  => intdiv( $end - $wrote, 1000 ),
	) );
}, 0 );`

// page is the answer of that code.
type page struct {
	Error   string `json:"error"`
	ID      int64  `json:"id"`
	Read    string `json:"read"`
	Stale   bool   `json:"stale"`
	WriteUS int64  `json:"write_us"`
	ReadUS  int64  `json:"read_us"`
}

// visitors are writers through nginx, PHP-FPM, WordPress and the plugin. Every failure is kept, and no failure is allowed.
type visitors struct {
	site *testenv.Stack

	mu      sync.Mutex
	faults  []string
	calls   []time.Duration // how long PHP waited for each call
	created map[int64]string
}

// pageTimeout bounds a whole page, WordPress included. It is long, because the test judges how long PHP waits for ticketd,
// which the page reports.
const pageTimeout = 30 * time.Second

// visit makes a request and checks the answer. A running page is never interrupted.
func (v *visitors) visit(ctx context.Context, what, field, value string) (*page, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageTimeout)
	defer cancel()
	query := url.Values{"e2e": {what}, "field": {field}, "value": {value}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site.WordPress.URL()+"/index.php?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := v.site.WordPress.Nginx.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var p page
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	switch {
	case p.Error != "":
		return &p, errors.New(p.Error)
	case p.Read != value && !p.Stale:
		return &p, fmt.Errorf("read %q after %q was acknowledged", p.Read, value)
	}
	return &p, nil
}

// note keeps the fault of a request, or the duration of its calls.
func (v *visitors) note(what string, p *page, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.faults = append(v.faults, fmt.Sprintf("%s: %s: %v", time.Now().UTC().Format("15:04:05.000"), what, err))
		return err
	}
	v.calls = append(v.calls, time.Duration(p.WriteUS)*time.Microsecond, time.Duration(p.ReadUS)*time.Microsecond)
	return nil
}

// connect is the custody's writer.
func (v *visitors) connect(int) (caller, func()) {
	return func(ctx context.Context, p protocol.SetParams) error {
		id, f := strconv.FormatInt(p.ID, 10), p.Fields[0]
		page, err := v.visit(ctx, id, f.Name, f.Value.Text())
		return v.note("set "+id, page, err)
	}, func() {}
}

// create makes tickets until ctx ends.
func (v *visitors) create(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		subject := "created " + strconv.Itoa(n)
		p, err := v.visit(ctx, "create", "subject", subject)
		if v.note("create", p, err) == nil {
			v.mu.Lock()
			if other, twice := v.created[p.ID]; twice {
				v.faults = append(v.faults, fmt.Sprintf("ticket %d was given to %q and %q", p.ID, other, subject))
			}
			v.created[p.ID] = subject
			v.mu.Unlock()
		}
	}
}

// fault is an action on a server, and its undoing.
type fault struct {
	name string
	do   func(ctx context.Context, r *rand.Rand) error
}

// killed is kill -9, and a start after a while.
func killed(name string, longest time.Duration, kill func(), restart func(context.Context) error) fault {
	return fault{name + " killed", func(ctx context.Context, r *rand.Rand) error {
		kill()
		wait(ctx, r, longest)
		return restart(context.WithoutCancel(ctx))
	}}
}

// paused is SIGSTOP, and SIGCONT after a while.
func paused(name string, longest time.Duration, pause, resume func() error) fault {
	return fault{name + " paused", func(ctx context.Context, r *rand.Rand) error {
		if err := pause(); err != nil {
			return err
		}
		wait(ctx, r, longest)
		return resume()
	}}
}

func wait(ctx context.Context, r *rand.Rand, most time.Duration) {
	select {
	case <-time.After(time.Duration(r.Int64N(int64(most)))):
	case <-ctx.Done():
	}
}

// outageDuration is how long visitors and faults go on; make test-outage says more.
func outageDuration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TICKETD_TEST_DURATION")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TICKETD_TEST_DURATION=%q is no duration", text)
	}
	return d
}

// outage is the time of faults for a site: outageDuration, or until done has counted as many faults of a kind as
// TICKETD_TEST_FAILOVERS says.
func outage(t *testing.T) (ctx context.Context, done func(faults int)) {
	t.Helper()
	most, err := strconv.Atoi(cmp.Or(os.Getenv("TICKETD_TEST_FAILOVERS"), "0"))
	if err != nil || most < 0 {
		t.Fatalf("TICKETD_TEST_FAILOVERS=%q is no number", os.Getenv("TICKETD_TEST_FAILOVERS"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	if most == 0 {
		ctx, cancel = context.WithTimeout(t.Context(), outageDuration(t))
	}
	return ctx, func(faults int) {
		if faults == 0 || most > 0 && faults >= most {
			cancel()
		}
	}
}

// busy keeps the machine busy with as many loops as TICKETD_TEST_BUSY says, until the test ends.
func busy(t *testing.T) {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("TICKETD_TEST_BUSY"), "0"))
	if err != nil {
		t.Fatalf("TICKETD_TEST_BUSY: %v", err)
	}
	for range n {
		loop := exec.CommandContext(context.Background(), "sh", "-c", "while :; do :; done")
		loop.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := loop.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = loop.Process.Kill()
			_ = loop.Wait()
		})
	}
}

// endure lets visitors write during faults, and checks that no request failed, that MySQL has every acknowledged change, and
// that no page waited longer than the plugin's deadline.
func endure(t *testing.T, o testenv.StackOptions, faults func(s *testenv.Stack) []fault) {
	t.Helper()
	o.MustUse, o.Debug = pageCode, true
	s := testenv.NewStack(t, o)
	db, r := s.MariaDB.DB(t, testenv.StackDatabase), chance(t)
	v := &visitors{site: s, created: make(map[int64]string)}
	writes := newCustodyOf(50, v.connect)
	// Apart from the ids of new tickets, for any table.
	writes.first = 1 << 53
	testenv.Eventually(t, 60*time.Second, "the site answers its first visitor", func() bool { // PHP compiles WordPress
		_, err := v.visit(t.Context(), "create", "subject", "first")
		return err == nil
	})
	busy(t)
	ctx, left := outage(t)
	defer left(0)
	writes.start(ctx, 0)
	var creating sync.WaitGroup
	creating.Go(func() { v.create(ctx) })
	seen := watchRevisions(ctx, db)
	befell := map[string]int{}
	for all := faults(s); ctx.Err() == nil; {
		wait(ctx, r, time.Second)
		f := all[r.IntN(len(all))]
		if err := f.do(ctx, r); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		befell[f.name]++
		left(befell[f.name])
	}
	writes.wait()
	creating.Wait()
	seen.check(t)
	arrived(t, s)
	writes.check(t, db)
	for id, subject := range v.created {
		if got := column(t, db, "subject", id); got != subject {
			t.Errorf("ticket %d: subject %q in MySQL, want %q", id, got, subject)
		}
	}
	v.report(t)
	noNotices(t, s)
	t.Logf("%v: %s, %d tickets created", befell, writes.tally(), len(v.created))
}

// arrived waits until spool, journal and Redis are empty, which all writers have left to the daemon.
func arrived(t *testing.T, s *testenv.Stack) {
	t.Helper()
	testenv.Eventually(t, 60*time.Second, "everything that was acknowledged is in MySQL", func() bool {
		c, err := protocol.Dial(t.Context(), s.Socket)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Flush(t.Context(), nil, nil); err != nil {
			return false
		}
		status, err := c.Status(t.Context())
		if err == nil && (status.Dead > 0 || status.Spool.Bad > 0) {
			t.Fatalf("%d dead letters, %d bad files in the spool", status.Dead, status.Spool.Bad)
		}
		return err == nil && status.Dirty == 0 && status.Spool.Files == 0
	})
}

// deadline is the plugin's deadline for a call.
const deadline = time.Second

// report demands that no request failed and prints how long pages waited.
func (v *visitors) report(t *testing.T) {
	t.Helper()
	for _, f := range v.faults[:min(len(v.faults), 20)] {
		t.Error(f)
	}
	if len(v.faults) > 0 {
		t.Errorf("%d requests failed or read wrong", len(v.faults))
	}
	if len(v.calls) == 0 {
		t.Fatal("no request was answered")
	}
	slices.Sort(v.calls)
	at := func(share float64) time.Duration { return v.calls[int(share*float64(len(v.calls)-1))] }
	t.Logf("%d calls in PHP: median %v, p99 %v, longest %v", len(v.calls), at(0.5), at(0.99), at(1))
	if p99 := at(0.99); p99 >= deadline {
		t.Errorf("p99 of a call is %v, want less than the deadline of %v", p99, deadline)
	}
}

// Redis is killed, stopped and started at random under visitors who write through PHP-FPM: no request fails, and MySQL has
// every acknowledged change. With the journal switched off this fails at the first kill (tried).
func TestPHPThroughRedisOutages(t *testing.T) {
	t.Parallel()
	endure(t, testenv.StackOptions{Redis: durable}, func(s *testenv.Stack) []fault {
		return []fault{
			killed("Redis", 2*time.Second, s.Redis.Kill, s.Redis.Restart),
			paused("Redis", 2*time.Second, s.Redis.Pause, s.Redis.Resume),
		}
	})
}

// The same with the daemon: killed, stopped, restarted in order. Changes that the daemon does not get are pending in the
// spool.
func TestPHPThroughDaemonOutages(t *testing.T) {
	t.Parallel()
	endure(t, testenv.StackOptions{Redis: durable}, daemonFaults)
}

// The same without Redis, where the journal is the store.
func TestPHPThroughDaemonOutagesWithoutRedis(t *testing.T) {
	t.Parallel()
	endure(t, testenv.StackOptions{NoRedis: true}, daemonFaults)
}

func daemonFaults(s *testenv.Stack) []fault {
	stop := func(ctx context.Context, r *rand.Rand) error {
		if err := s.Ticketd.Stop(); err != nil {
			return err
		}
		wait(ctx, r, time.Second)
		return s.Ticketd.Restart(context.WithoutCancel(ctx))
	}
	return []fault{
		killed("ticketd", 2*time.Second, s.Ticketd.Kill, s.Ticketd.Restart),
		paused("ticketd", 3*time.Second, s.Ticketd.Pause, s.Ticketd.Resume),
		{"ticketd restarted", stop},
	}
}
