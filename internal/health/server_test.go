package health_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/internal/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefused = errors.New("connection refused")

// backend is a server that a test switches off, with its health and what was logged.
type backend struct {
	*health.Server

	mu    sync.Mutex
	fault error
	asked int
	log   bytes.Buffer
	back  int
}

const (
	idle    = 5 * time.Second
	longest = 10 * time.Second
)

func newBackend(t *testing.T, sites int, fault error) *backend {
	t.Helper()
	b := &backend{fault: fault}
	b.Server = health.New(health.Options{
		Name: "MySQL", Address: "tcp(db:3306)", Idle: idle, Patience: idle, Longest: longest, Log: zerolog.New(&b.log),
	})
	for range sites {
		b.Join(func(context.Context, bool) error { return b.answer() }, func() { b.back++ })
	}
	b.Start(t.Context())
	t.Cleanup(func() { _ = b.Stop(context.Background()) })
	return b
}

func (b *backend) answer() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.fault
}

func (b *backend) set(fault error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

// connect is a caller's connection.
func (b *backend) connect() error {
	if err := b.Enter(); err != nil {
		return err
	}
	err := b.answer()
	b.Left(err, false)
	return err
}

func (b *backend) want(t *testing.T, want health.State) {
	t.Helper()
	synctest.Wait()
	if got, _, reason := b.State(); got != want || (reason != "") != (want == health.Down) {
		t.Fatalf("the server is %s (%s), want %s", got, reason, want)
	}
}

func (b *backend) lines() int { return strings.Count(b.log.String(), "\n") }

// Without any caller the state is what the server shows: unknown before the first answer, down soon after the server has gone, up
// soon after it is back; and each outage costs two lines, however many sites and however long.
func TestAnIdleServersStateIsTrue(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{"up at the start": nil, "down at the start": errRefused} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, 200, fault)
				if state, _, _ := b.State(); state != health.Unknown {
					t.Errorf("the state is %s before any answer", state)
				}
				if fault == nil {
					b.want(t, health.Up)
					b.set(errRefused)
					time.Sleep(idle + time.Second)
				}
				b.want(t, health.Down)
				time.Sleep(time.Hour)
				b.set(nil)
				time.Sleep(2 * time.Second)
				b.want(t, health.Up)
				if b.lines() != 2 || b.back != 200 {
					t.Errorf("%d lines, %d sites heard of the recovery; want 2 and 200:\n%s", b.lines(), b.back, &b.log)
				}
			})
		})
	}
}

// While the server is down callers fail at once, but for one trial from time to time; the first trial that connects ends the
// outage for all callers.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, 1, nil)
		b.want(t, health.Up)
		b.set(errRefused)
		if err := b.connect(); !errors.Is(err, errRefused) {
			t.Fatal(err)
		}
		b.want(t, health.Down)
		b.asked = 0
		const calls = 10_000
		for range calls {
			time.Sleep(time.Millisecond)
			if err := b.connect(); err == nil || !errors.Is(err, health.ErrDown) && !errors.Is(err, errRefused) {
				t.Fatalf("a caller has the error %v", err)
			}
		}
		if most := calls / 50; b.asked > most { // a caller and the prober, every 100 ms at most
			t.Errorf("the server was asked %d times in 10 s, want %d at most", b.asked, most)
		}
		b.set(nil)
		time.Sleep(150 * time.Millisecond)
		if err := b.connect(); err != nil {
			t.Errorf("a caller's trial fails: %v", err)
		}
		b.want(t, health.Up)
	})
}

// A statement without an answer takes no server down: the prober finds out.
func TestADoubtIsDecidedByAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, 1, nil)
		b.want(t, health.Up)
		b.Doubt()
		time.Sleep(time.Second)
		b.want(t, health.Up)
		b.set(errRefused)
		b.Doubt()
		b.Left(context.Canceled, true) // a caller that went away proves nothing either
		b.want(t, health.Up)
		time.Sleep(time.Second)
		b.want(t, health.Down)
	})
}

// A server that comes and goes stays down for a growing time: an hour of it costs a few lines a minute.
func TestFlappingIsDamped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, 1, nil)
		b.want(t, health.Up)
		for range 60 * 60 * 5 { // it changes every 100 ms
			b.set(errRefused)
			_ = b.connect()
			time.Sleep(100 * time.Millisecond)
			b.set(nil)
			_ = b.connect()
			time.Sleep(100 * time.Millisecond)
		}
		if most := 60 * 2 * 7; b.lines() > most {
			t.Errorf("%d lines in an hour, want %d at most", b.lines(), most)
		}
	})
}
