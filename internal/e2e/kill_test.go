package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// envNumber reads a number from the environment, so that commands like `make test-kill ROUNDS=200` can ask for more than a
// quick run.
func envNumber(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// chance is the test's random numbers; the seed is logged, and TICKETD_TEST_SEED repeats a run's choices.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := envNumber(t, "TICKETD_TEST_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("TICKETD_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(uint64(seed), 0))
}

// pause lets the writers go on for a random time: the point at which the next blow falls.
func pause(t *testing.T, r *rand.Rand, most time.Duration) {
	t.Helper()
	select {
	case <-time.After(time.Duration(r.Int64N(int64(most)))):
	case <-t.Context().Done():
	}
}

// victim is a server that is killed and started again on the same data.
type victim struct {
	name    string
	kill    func()
	restart func(ctx context.Context) error
}

func (v *victim) strike(t *testing.T) {
	t.Helper()
	v.kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := v.restart(ctx); err != nil {
		t.Fatalf("restarting %s: %v", v.name, err)
	}
}

// durable is a Redis that loses nothing in a kill -9. (With everysec it usually loses nothing either, but on a busy disk
// Redis delays the write to its file for up to two seconds, and answers all the same.)
var durable = testenv.RedisOptions{Config: []string{"appendonly yes", "appendfsync always"}}

// flight is how long a statement is under way to MariaDB.
const flight = 50 * time.Millisecond

// kill -9 at random points of the daemon, Redis (with AOF) and MariaDB, under concurrent writers: every acknowledged final
// value is in MySQL, no revision goes back, no row is missing.
//
// Data to MariaDB is delayed, so that most writes land while their ticket is being flushed. With an ack that cleans every
// field, whatever its revision, this fails (tried).
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	rounds, r := envNumber(t, "TICKETD_TEST_ROUNDS", 6), chance(t)
	redis, mariadb := testenv.NewRedis(t, durable), testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	d := newRig(t, rigOptions{redis: redis, mariadb: mariadb, delay: flight, site: "lease = \"1s\"\nlinger = \"20ms\""})
	victims := []victim{
		{"ticketd", d.Kill, d.Restart}, {"redis", redis.Kill, redis.Restart}, {"mariadb", mariadb.Kill, mariadb.Restart},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := newCustody(100, d.socket)
	writes.start(ctx, 0)
	seen := watchRevisions(ctx, d.db)
	struck := map[string]int{}
	for range rounds {
		pause(t, r, 400*time.Millisecond)
		v := &victims[r.IntN(len(victims))]
		v.strike(t)
		struck[v.name]++
	}
	pause(t, r, 400*time.Millisecond)
	cancel()
	writes.wait()
	seen.check(t)
	settled(t, d)
	writes.check(t, d.db)
	t.Logf("%d rounds %v: %s", rounds, struck, writes.tally())
}

// settled flushes all changes and demands that no ticket stays dirty.
func settled(t *testing.T, d *rig) {
	t.Helper()
	testenv.Eventually(t, 30*time.Second, "a flush of everything works", func() bool {
		out, err := d.run(t, "flush", "--timeout", "20s")
		if err != nil {
			t.Logf("flush: %v %s", err, out)
		}
		return err == nil
	})
	c := d.dial(t)
	testenv.Eventually(t, 10*time.Second, "nothing is dirty, nothing is dead", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Dirty == 0 && status.Dead == 0
	})
}

// Two daemons on the same Redis and MySQL share the work; one daemon is killed again and again.
func TestTwoDaemonsOneKilled(t *testing.T) {
	t.Parallel()
	updates, r := envNumber(t, "TICKETD_TEST_UPDATES", 8000), chance(t)
	redis, mariadb := testenv.NewRedis(t, durable), testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	here := newRig(t, rigOptions{redis: redis, mariadb: mariadb, delay: flight, site: "lease = \"1s\"\nlinger = \"20ms\""})
	there := here.second(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := newCustody(200, here.socket, there.socket)
	writes.start(ctx, updates/len(writes.fields))
	seen := watchRevisions(ctx, here.db)
	daemons := []victim{{"here", here.Kill, here.Restart}, {"there", there.Kill, there.Restart}}
	finished := make(chan struct{})
	go func() {
		writes.wait()
		close(finished)
	}()
	kills := 0
	for running := true; running; {
		select {
		case <-finished:
			running = false
		case <-time.After(time.Second):
			daemons[r.IntN(len(daemons))].strike(t)
			kills++
		}
	}
	cancel()
	seen.check(t)
	settled(t, here)
	writes.check(t, here.db)
	t.Logf("%d kills: %s", kills, writes.tally())
}

// A daemon that is stopped past its lease and then goes on never overwrites newer rows.
func TestPausedDaemonOverwritesNothing(t *testing.T) {
	t.Parallel()
	here := newRig(t, rigOptions{site: "lease = \"1s\"\nlinger = \"5ms\""})
	there := here.second(t)
	rounds := envNumber(t, "TICKETD_TEST_ROUNDS", 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := newCustody(20, there.socket)
	busy := newCustody(20, here.socket) // keeps the flusher of the paused daemon at work until the pause
	busy.fields = []string{"extra_a", "extra_b", "extra_c", "extra_d"}
	writes.start(ctx, 0)
	busy.start(ctx, 0)
	seen := watchRevisions(ctx, here.db)
	for range rounds {
		if err := here.Pause(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(1200 * time.Millisecond): // past the lease
		case <-t.Context().Done():
		}
		if err := here.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	writes.wait()
	busy.wait()
	seen.check(t)
	settled(t, there)
	writes.check(t, there.db)
}

// A flusher is held between claim and upsert until another flusher has written newer rows: its statement arrives late, and
// changes nothing. Without the revision guard in the upsert, MySQL goes back to the first value here (tried).
func TestLateStatementOverwritesNothing(t *testing.T) {
	t.Parallel()
	here := newRig(t, rigOptions{site: "lease = \"1s\"\nlinger = \"5ms\""})
	there := here.second(t)
	a, b := here.dial(t), there.dial(t)
	if _, err := a.Set(t.Context(), set(1, "subject", "zero")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the daemon flushes", func() bool {
		return column(t, here.db, "subject", 1) == "zero"
	})
	there.proxy.Hold() // so that the first daemon claims
	here.proxy.Hold()
	if _, err := a.Set(t.Context(), set(1, "subject", "first")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the first daemon has claimed the ticket", func() bool {
		return here.leased(t, 1)
	})
	there.proxy.Release()
	if _, err := b.Set(t.Context(), set(1, "subject", "second")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the second daemon has flushed", func() bool {
		return column(t, here.db, "subject", 1) == "second"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := here.proxy.ReleaseAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	settled(t, here)
	if got := column(t, here.db, "subject", 1); got != "second" {
		t.Errorf("subject is %q in MySQL, want the second", got)
	}
}

// A write that lands while its ticket is being flushed stays dirty after the ack of that flush.
func TestWriteDuringFlushStaysDirty(t *testing.T) {
	t.Parallel()
	d := newRig(t, rigOptions{site: "lease = \"30s\"\nlinger = \"5ms\""})
	c := d.dial(t)
	d.proxy.Hold()
	if _, err := c.Set(t.Context(), set(1, "subject", "first")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the ticket is claimed", func() bool { return d.leased(t, 1) })
	if _, err := c.Set(t.Context(), set(1, "subject", "second")); err != nil {
		t.Fatal(err)
	}
	d.proxy.Release()
	testenv.Eventually(t, 5*time.Second, "the second write is in MySQL", func() bool {
		return column(t, d.db, "subject", 1) == "second"
	})
}

// leased tells whether the ticket is under a lease: due later than any linger.
func (r *rig) leased(t *testing.T, id int64) bool {
	t.Helper()
	due, err := r.redis.ZScore(t.Context(), r.prefix+"ticket:dirty", strconv.FormatInt(id, 10)).Result()
	return err == nil && int64(due) > time.Now().Add(500*time.Millisecond).UnixMilli()
}
