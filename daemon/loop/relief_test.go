package loop

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowHost holds the first round until the test releases the round.
type slowHost struct {
	fakeHost

	rounds     []*fakeRound
	hold, held chan struct{}
	handed     chan int
	went       chan int
}

func (h *slowHost) Round() Round[int] {
	r := &fakeRound{}
	if len(h.rounds) == 0 {
		r.hold, r.held = h.hold, h.held
	}
	h.rounds = append(h.rounds, r)
	return r
}

func (h *slowHost) Adopt(fd int, _ int, _, _ []byte) {
	_ = unix.Close(fd)
	h.handed <- fd
}

func (h *slowHost) Leave(guest int) { h.went <- guest }

func listenOn(t *testing.T) (path string, fd int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, fd
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func startSlow(t *testing.T) (l *Loop[int], h *slowHost, path string) {
	t.Helper()
	path, fd := listenOn(t)
	h = &slowHost{hold: make(chan struct{}), held: make(chan struct{}), handed: make(chan int, 8), went: make(chan int, 8)}
	l, err := New(fd, h, Options{IdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	return l, h, path
}

// A long round is relieved: meanwhile other clients are handed over instead of waiting, the client of the round receives the
// reply at the end of the round, and then the loop serves hot requests again. (Without the monitor the second client waits for
// ever.)
func TestRelief(t *testing.T) {
	t.Parallel()
	l, h, path := startSlow(t)
	first := dial(t, path)
	write(t, first, frameOf([]byte("first")))
	<-h.held

	second := dial(t, path)
	write(t, second, frameOf([]byte("second")))
	<-h.handed

	close(h.hold)
	wantReply(t, first, answerTo([]byte("first")))
	third := dial(t, path)
	write(t, third, frameOf([]byte("third")))
	wantReply(t, third, answerTo([]byte("third")))
	_ = third.Close()
	<-h.went
	if err := l.Stop(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// A stop answers the requests under way, hands the other connections over, and lets in the clients in the queue.
func TestStopWhileARoundIsAnswered(t *testing.T) {
	t.Parallel()
	l, h, path := startSlow(t)
	idle := dial(t, path)
	write(t, idle, []byte{1}) // handed over at once: part of a frame
	<-h.handed
	first := dial(t, path)
	write(t, first, frameOf([]byte("first")))
	<-h.held
	stopped := make(chan error)
	go func() { stopped <- l.Stop(context.Background(), true) }()
	queued := dial(t, path)
	close(h.hold)
	wantReply(t, first, answerTo([]byte("first")))
	<-h.handed
	<-h.handed
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	_ = queued.Close()
}

// A round that never ends does not keep the process: the stop cancels the round at the deadline.
func TestStopCutsARoundOff(t *testing.T) {
	t.Parallel()
	l, h, path := startSlow(t)
	first := dial(t, path)
	write(t, first, frameOf([]byte("first")))
	<-h.held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Stop(ctx, false); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func wantReply(t *testing.T, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("received %q (%v), want %q", got, err, want)
	}
}
