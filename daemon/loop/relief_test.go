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

// slowHost holds the first rounds until the test releases them.
type slowHost struct {
	fakeHost

	rounds     []*fakeRound
	slow       int // how many rounds are held
	hold, held chan struct{}
	handed     chan int
	kept       chan int // the descriptors that are handed over, and not closed; nil: they are closed
	went       chan int
}

func (h *slowHost) Round() Round[int] {
	r := &fakeRound{}
	if len(h.rounds) < h.slow {
		r.hold, r.held = h.hold, h.held
	}
	h.rounds = append(h.rounds, r)
	return r
}

func (h *slowHost) Adopt(fd int, _ int, _, _ []byte) {
	if h.kept != nil {
		h.kept <- fd
		return
	}
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

func (h *slowHost) start(t *testing.T) (l *Loop[int], path string) {
	t.Helper()
	path, fd := listenOn(t)
	h.hold, h.held = make(chan struct{}), make(chan struct{})
	h.handed, h.went = make(chan int, 8), make(chan int, 8)
	l, err := New(fd, h, Options{IdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	return l, path
}

// A long round is relieved: meanwhile another round answers other clients, up to the limit of flights, and then clients are
// handed over instead of waiting. The clients of the long rounds receive their replies at the end, and then the loop serves hot
// requests again. (Without the monitor the second client waits for ever.)
func TestRelief(t *testing.T) {
	t.Parallel()
	h := &slowHost{slow: maxFlights}
	l, path := h.start(t)
	var clients []net.Conn
	for i := range maxFlights {
		clients = append(clients, dial(t, path))
		write(t, clients[i], frameOf([]byte{'0' + byte(i)}))
		<-h.held
	}
	refused := dial(t, path)
	write(t, refused, frameOf([]byte("refused")))
	<-h.handed

	close(h.hold)
	for i, c := range clients {
		wantReply(t, c, answerTo([]byte{'0' + byte(i)}))
	}
	last := dial(t, path)
	write(t, last, frameOf([]byte("last")))
	wantReply(t, last, answerTo([]byte("last")))
	_ = last.Close()
	<-h.went
	if err := l.Stop(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// A client that an ordinary connection gives back is served with what it has sent meanwhile, and a loop that stops takes no
// client back.
func TestReturn(t *testing.T) {
	t.Parallel()
	h := &slowHost{kept: make(chan int, 1)}
	l, path := h.start(t)
	client := dial(t, path)
	write(t, client, []byte{1}) // part of a frame
	fd := <-h.kept
	write(t, client, frameOf([]byte("back"))[1:])
	if _, err := unix.Read(fd, make([]byte, SmallFrame)); err != nil {
		t.Fatal(err)
	}
	write(t, client, frameOf([]byte("again")))
	if !l.Return(fd, fd) {
		t.Fatal("the loop takes no client back")
	}
	wantReply(t, client, answerTo([]byte("again")))
	if err := l.Stop(t.Context(), false); err != nil {
		t.Error(err)
	}
	if fd = <-h.kept; l.Return(fd, fd) {
		t.Error("a loop that has ended takes a client back")
	}
	_ = unix.Close(fd)
}

// A stop answers the requests under way, hands the other connections over, and lets in the clients in the queue.
func TestStopWhileARoundIsAnswered(t *testing.T) {
	t.Parallel()
	h := &slowHost{slow: 1}
	l, path := h.start(t)
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
	h := &slowHost{slow: 1}
	l, path := h.start(t)
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
