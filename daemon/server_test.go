package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

// TestStopAnswersWhatWasSent: requests in work, in the connection's buffer, in the socket and in the listener's queue are
// answered before the server ends.
func TestStopAnswersWhatWasSent(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	r := newRig(t, rigOptions{site: &fakeSite{hook: func(_ context.Context, id int64) error {
		if id == 1 {
			entered <- struct{}{}
			<-release
		}
		return nil
	}}})
	busy := r.raw(t)
	write(t, busy, append(setFrame(t, 1), setFrame(t, 2)...))
	<-entered
	var queued []*net.UnixConn
	for range 5 {
		conn := r.raw(t)
		write(t, conn, setFrame(t, 3))
		queued = append(queued, conn)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	waitUntil(t, func() bool { _, err := os.Stat(r.path); return err != nil })
	close(release)
	for _, id := range []uint32{1, 2} {
		if reply := readReply(t, busy); reply == nil || reply.ID != id || reply.Err != nil {
			t.Errorf("got %+v, want the reply to %d", reply, id)
		}
	}
	for _, conn := range queued {
		if reply := readReply(t, conn); reply == nil || reply.Err != nil {
			t.Errorf("a client in the queue got %+v", reply)
		}
		requireClosed(t, conn)
	}
	requireClosed(t, busy)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestStopLetsClientsSpeak: a client that has connected but not sent yet is served within the grace.
func TestStopLetsClientsSpeak(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{Options: Options{DrainGrace: 10 * time.Second}})
	conn := r.raw(t)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- r.server.Stop(ctx)
	}()
	waitUntil(t, func() bool { return closed(r.server.listener) })
	write(t, conn, setFrame(t, 1))
	if reply := readReply(t, conn); reply == nil || reply.Err != nil {
		t.Errorf("got %+v, want a result", reply)
	}
	_ = conn.Close()
	if err := <-stopped; err != nil { // long before the end of the grace: all clients have gone
		t.Error(err)
	}
}

// closed returns whether a listener is closed.
func closed(l *Listener) bool {
	file, err := l.File()
	if err == nil {
		_ = file.Close()
	}
	return err != nil
}

// TestStopCuts: unfinished requests are cancelled at the deadline, answered, and reported.
func TestStopCuts(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	r := newRig(t, rigOptions{site: &fakeSite{hook: func(ctx context.Context, _ int64) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}}})
	conn := r.raw(t)
	write(t, conn, append(setFrame(t, 1), setFrame(t, 2)...))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.server.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	requireError(t, readReply(t, conn), 1, protocol.CodeUnavailable)
	requireError(t, readReply(t, conn), 2, protocol.CodeShuttingDown)
	requireClosed(t, conn)
}

func TestStopIsIdempotent(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := r.server.Start(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

// TestStopWithoutStart: a server that never ran closes its socket.
func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := bind(t.Context(), ListenOptions{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	connections := NewConnections(1)
	dispatcher := NewDispatcher(NewAccessList(0, nil), connections, "", time.Second)
	s := NewServer(l, dispatcher, connections, Options{}, zerolog.Nop())
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRestartUnderLoad: with a socket that outlives the server, like systemd's, a change of servers under load fails a
// request only if the client knows that the request was not executed.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	held, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	start := func() *Server {
		file, err := held.File() // a new descriptor, like the one passed to a new process
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		listener, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		l, err := inherit([]net.Listener{listener})
		if err != nil {
			t.Fatal(err)
		}
		connections := NewConnections(64)
		table := NewAccessList(uint32(os.Getuid()), map[string]SiteAccess{"main": {Site: &fakeSite{}}})
		s := NewServer(l, NewDispatcher(table, connections, "", time.Second), connections, Options{}, zerolog.Nop())
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	var requests atomic.Int64
	for range 4 {
		wg.Go(func() { hammer(t, path, &requests, done) })
	}
	s := start()
	for range 10 {
		before := requests.Load()
		waitUntil(t, func() bool { return t.Failed() || requests.Load() > before+100 })
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		s = start()
	}
	close(done)
	wg.Wait()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// hammer acts like pages: connect, send a request, close.
func hammer(t *testing.T, path string, requests *atomic.Int64, done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		select {
		case <-done:
			return
		default:
		}
		c, err := protocol.Dial(ctx, path)
		if err == nil {
			_, err = c.Ping(ctx)
			_ = c.Close()
		}
		if err != nil {
			t.Errorf("after %d requests: %v", requests.Load(), err)
			return
		}
		requests.Add(1)
	}
}
