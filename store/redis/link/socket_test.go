package link

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair is a blocking socket and its other end.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := (&net.Dialer{}).DialContext(t.Context(), "unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := blocking(dialled)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), other.Close() })
	return conn, other
}

func TestSocket(t *testing.T) {
	t.Parallel()
	conn, other := pair(t)
	large := make([]byte, 4<<20) // more than the kernel takes at once
	go func() { _, _ = io.Copy(other, other) }()
	sent := make(chan error)
	go func() {
		_, err := conn.Write(large)
		sent <- err
	}()
	if _, err := io.ReadFull(conn, make([]byte, len(large))); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestSocketDeadlines(t *testing.T) {
	t.Parallel()
	conn, other := pair(t)
	for _, left := range []time.Duration{20 * time.Millisecond, time.Millisecond, -time.Second} {
		began := time.Now()
		if err := conn.SetDeadline(began.Add(left)); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("a read with %v left: %v", left, err)
		}
		if took := time.Since(began); took < left {
			t.Errorf("a read with %v left has ended after %v", left, took)
		}
	}
	if _, err := conn.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write without time left: %v", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("a read without a deadline after others: %d, %v", n, err)
	}
}

// Close ends a read that waits, and what comes later; the other end finds out.
func TestSocketClose(t *testing.T) {
	t.Parallel()
	conn, other := pair(t)
	read := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the read: %v", err)
	}
	if _, err := conn.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after the close: %v", err)
	}
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end: %v", err)
	}
}

func TestSocketOtherEndCloses(t *testing.T) {
	t.Parallel()
	conn, other := pair(t)
	_ = other.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
}

// A call after the close leaves the descriptor alone, which is another file's by then.
func TestSocketIsClosedOnce(t *testing.T) {
	t.Parallel()
	conn, _ := pair(t)
	s, is := conn.(*socket)
	if !is {
		t.Fatalf("%T", conn)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
	}
	if users := s.users.Load(); users != 0 {
		t.Errorf("%d calls use the socket", users)
	}
}
