package protocol

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// restless listens, and serves every connection with serve, one after another, until serve returns.
func restless(t *testing.T, serve func(n int, conn net.Conn)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(n, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return path
}

// answerOne reads a request, counts it, and answers a get, or a change, with the number of the connection as the revision.
func answerOne(n int, conn net.Conn, requests *atomic.Int32) bool {
	req, ok := readRequest(conn)
	if !ok {
		return false
	}
	requests.Add(1)
	var e Encoder
	var result Result = &RevisionResult{int64(n)}
	if req.Method == MethodGet {
		result = &Ticket{ID: 1, Revision: int64(n)}
	}
	frame, _ := e.Reply(req.ID, result)
	_, err := conn.Write(frame)
	return err == nil
}

func open(t *testing.T, path string) *Client {
	t.Helper()
	c := Open(path)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// The daemon closes a connection that is idle: the next call has a new one. Nothing was sent, so this holds for a change without
// a request id, too.
func TestOpenAfterTheIdleClose(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	path := restless(t, func(n int, conn net.Conn) {
		answerOne(n, conn, &atomic.Int32{})
		_ = conn.Close()
		if n == 1 {
			close(closed)
		}
	})
	c := open(t, path)
	p := SetParams{ID: 1, Fields: []Field{{Name: "status", Value: Text("open")}}}
	if revision, err := c.Set(t.Context(), p); err != nil || revision != 1 {
		t.Fatalf("revision %d, error %v", revision, err)
	}
	<-closed
	if revision, err := c.Set(t.Context(), p); err != nil || revision != 2 {
		t.Errorf("after the idle close: revision %d, error %v", revision, err)
	}
}

// Where the connection ends after the request, only what may be done twice is sent twice; the next call connects again.
func TestOpenRepeatsWhatMayBeRepeated(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "status", Value: Text("open")}}
	for name, c := range map[string]struct {
		call  func(ctx context.Context, c *Client) (int64, error)
		again bool
	}{
		"read": {func(ctx context.Context, c *Client) (int64, error) {
			ticket, err := c.Get(ctx, 1)
			return ticket.Revision, err
		}, true},
		"change with a request id": {func(ctx context.Context, c *Client) (int64, error) {
			return c.Set(ctx, SetParams{Change: Change{RequestID: "r"}, ID: 1, Fields: fields})
		}, true},
		"change without": {func(ctx context.Context, c *Client) (int64, error) {
			return c.Set(ctx, SetParams{ID: 1, Fields: fields})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			path := restless(t, func(n int, conn net.Conn) {
				if n == 1 {
					readRequest(conn)
					requests.Add(1)
					return
				}
				for answerOne(n, conn, &requests) {
				}
			})
			client := open(t, path)
			revision, err := c.call(t.Context(), client)
			if c.again && (err != nil || revision != 2) || !c.again && !errors.Is(err, ErrBroken) {
				t.Errorf("revision %d, error %v", revision, err)
			}
			if revision, err := c.call(t.Context(), client); err != nil || revision != 2 {
				t.Errorf("the next call: revision %d, error %v", revision, err)
			}
			_ = client.Close()
			want := int32(2)
			if c.again {
				want = 3
			}
			if n := requests.Load(); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
}

// A call whose time is over is not made again, and a client that is closed stays closed.
func TestOpenEnds(t *testing.T) {
	t.Parallel()
	path := restless(t, func(n int, conn net.Conn) {
		if n == 1 {
			_, _ = readRequest(conn)
			_, _ = conn.Read(make([]byte, 1)) // until the client closes
			return
		}
		answerOne(n, conn, &atomic.Int32{})
	})
	c := open(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if ticket, err := c.Get(t.Context(), 1); err != nil || ticket.Revision != 2 {
		t.Errorf("after the time-out: %+v, error %v", ticket, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), 1); !errors.Is(err, ErrBroken) {
		t.Errorf("after Close: %v, want ErrBroken", err)
	}
	unused := Open(path)
	if err := unused.Close(); err != nil {
		t.Error(err)
	}
	if _, err := unused.Get(t.Context(), 1); !errors.Is(err, ErrBroken) {
		t.Errorf("closed before the first call: %v, want ErrBroken", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")).Get(t.Context(), 1); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("without a daemon: %v", err)
	}
}
