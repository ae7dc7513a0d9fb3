package redis_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store/redis/link"
)

// cutter stands before a Redis, accepts all connections, and while cutting ends each connection that asks for a key; the prober's
// commands pass.
type cutter struct {
	listener net.Listener
	target   string
	cuts     atomic.Bool
	pumps    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "unix", filepath.Join(testenv.Folder(t), "cutter.sock"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, target: target}
	c.pumps.Go(c.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.pumps.Wait()
	})
	return c
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		server, err := dialer.DialContext(context.Background(), "unix", c.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, client, server)
		c.mu.Unlock()
		c.pumps.Go(func() { _, _ = io.Copy(client, server) })
		c.pumps.Go(func() { c.pass(client, server) })
	}
}

func (c *cutter) pass(client, server net.Conn) {
	defer func() { _ = errors.Join(client.Close(), server.Close()) }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil || c.cuts.Load() && bytes.Contains(buffer[:n], []byte("cut-this")) {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A Redis that answers the prober alone comes and goes, and each turn takes longer than the turn before; a Redis that answers
// again is as before. Without the damping three turns take some milliseconds (tried).
func TestFlappingIsDamped(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	proxy := newCutter(t, server.Socket())
	client, w := link.Connect(link.ClientOptions{
		Network: "unix", Address: proxy.listener.Addr().String(),
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}, zerolog.Nop())
	back := make(chan time.Time, 100)
	w.OnUp(func() { back <- time.Now() })
	w.Start(t.Context())
	t.Cleanup(func() { _ = errors.Join(w.Stop(context.Background()), client.Close()) })
	ask := func() error {
		err := client.Get(t.Context(), "cut-this").Err()
		if errors.Is(err, goredis.Nil) {
			return nil
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	proxy.cuts.Store(true)
	var turns []time.Time
	for len(turns) < 3 {
		if err := ask(); err == nil {
			t.Fatal("the proxy does not cut")
		}
		turns = append(turns, <-back)
	}
	for i, least := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond} {
		if took := turns[i+1].Sub(turns[i]); took < least {
			t.Errorf("turn %d came after %v, want %v at least", i+2, took, least)
		}
	}
	proxy.cuts.Store(false)
	if err := ask(); err != nil {
		t.Errorf("when Redis answers again: %v", err)
	}
	if up, _, reason := w.State(); !up {
		t.Errorf("Redis is down: %s", reason)
	}
}

// The error of a dial from before Redis was back, which go-redis repeats for a while, does not take Redis down again; the error
// of a new dial does. Where each error counts, Redis is down at once (tried).
func TestOldDialErrorsSayNothing(t *testing.T) {
	t.Parallel()
	_, w, _, back := watched(t, testenv.NewRedis(t, testenv.RedisOptions{}))
	refused := &net.OpError{Op: "dial", Net: "unix", Err: errors.New("connection refused")}
	dial := w.DialHook(func(context.Context, string, string) (net.Conn, error) { return nil, refused })
	call := w.ProcessHook(func(context.Context, goredis.Cmder) error { return refused })
	get := func() { _ = call(t.Context(), goredis.NewStringCmd(t.Context(), "get", "ticket:1")) }
	_, _ = dial(t.Context(), "unix", "")
	get()
	<-back // so Redis was down: the prober tells only of a Redis that was
	get()
	if up, _, reason := w.State(); !up {
		t.Error("an old error took Redis down:", reason)
	}
	_, _ = dial(t.Context(), "unix", "")
	get()
	<-back
}

// late is a context whose time is over though its timer has not run yet.
type late struct{ context.Context } //nolint:containedctx // it is one

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// A reply that is late for a hurried caller alone does not take Redis down; where no caller has the time to wait for Redis'
// time-out, a Redis that hangs is found out nevertheless.
func TestHurriedCallers(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	_, w, client, back := watched(t, server)
	slow := w.ProcessHook(func(context.Context, goredis.Cmder) error { return os.ErrDeadlineExceeded })
	_ = slow(late{t.Context()}, goredis.NewStringCmd(t.Context(), "get", "ticket:1"))
	if up, _, reason := w.State(); !up {
		t.Error("a hurried caller took Redis down:", reason)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "Redis is down", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_ = client.Get(ctx, "ticket:1").Err()
		up, _, _ := w.State()
		return !up
	})
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	<-back
}
