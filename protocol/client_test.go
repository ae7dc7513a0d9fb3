package protocol

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// fakeDaemon listens on its own socket and serves a single connection with serve.
func fakeDaemon(t *testing.T, serve func(conn net.Conn)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.Site = "main"
	return c
}

// readRequest reads a request; false if the client has closed the connection.
func readRequest(conn net.Conn) (Request, bool) {
	payload, err := ReadFrame(conn, nil)
	if err != nil {
		return Request{}, false
	}
	req, err := DecodeRequest(payload)
	return req, err == nil
}

// TestClientMethods answers every method with the sample result of the method.
func TestClientMethods(t *testing.T) {
	t.Parallel()
	results := map[Method]Result{}
	for _, s := range sampleResults() {
		results[s.method] = s.result
	}
	path := fakeDaemon(t, func(conn net.Conn) {
		var e Encoder
		for {
			req, ok := readRequest(conn)
			p := newParams(req.Method)
			if !ok || p == nil || p.Decode(req.Params) != nil {
				return
			}
			if req.Method == MethodFlush {
				_, _ = conn.Write(e.Progress(Progress{ID: req.ID, Done: 1, Total: 2}))
			}
			frame, _ := e.Reply(req.ID, results[req.Method])
			_, _ = conn.Write(frame)
		}
	})
	c, ctx := dial(t, path), t.Context()
	fields := []Field{{Name: "status", Value: Text("open")}}
	calls := map[Method]func() error{
		MethodPing:   func() error { _, err := c.Ping(ctx); return err },
		MethodCreate: func() error { _, err := c.Create(ctx, fields, "r"); return err },
		MethodSet: func() error {
			revision, err := c.Set(ctx, SetParams{ID: 1, Fields: fields})
			if err == nil && revision != MaxRevision {
				return errors.New("another revision")
			}
			return err
		},
		MethodSetMany: func() error {
			_, err := c.SetMany(ctx, []TicketFields{{1, fields, nil}, {2, fields, nil}}, "")
			return err
		},
		MethodCheck: func() error {
			_, err := c.Check(ctx, []CheckEntry{
				{ID: 1, Fields: fields}, {Fields: fields}, {Fields: fields, RequestID: "r"}, {ID: 2, Fields: fields},
			})
			return err
		},
		MethodGet:     func() error { _, err := c.Get(ctx, 812); return err },
		MethodGetMany: func() error { _, err := c.GetMany(ctx, []int64{812, 813}); return err },
		MethodDelete:  func() error { _, err := c.Delete(ctx, 812, ""); return err },
		MethodFlush: func() error {
			var done int64
			_, err := c.Flush(ctx, nil, func(n, _ int64) { done = n })
			if err == nil && done != 1 {
				return errors.New("no progress was reported")
			}
			return err
		},
		MethodStatus: func() error { _, err := c.Status(ctx); return err },
		MethodList:   func() error { _, err := c.List(ctx, ListParams{}); return err },
		MethodCount: func() error {
			n, err := c.Count(ctx, Selection{})
			if err == nil && n.Count != 70000 {
				return errors.New("another count")
			}
			return err
		},
		MethodDeadList:      func() error { _, err := c.DeadList(ctx, 0, 0); return err },
		MethodDeadRetry:     func() error { _, err := c.DeadRetry(ctx, nil); return err },
		MethodDeadDrop:      func() error { _, err := c.DeadDrop(ctx, []int64{1}); return err },
		MethodWaiting:       func() error { _, err := c.Waiting(ctx, []int64{812, 813, 814}); return err },
		MethodDescribe:      func() error { _, err := c.Describe(ctx); return err },
		MethodHistory:       func() error { _, err := c.History(ctx, HistoryParams{ID: 812}); return err },
		MethodEraseHistory:  func() error { _, err := c.EraseHistory(ctx, []int64{812}); return err },
		MethodFeedStatus:    func() error { _, err := c.FeedStatus(ctx); return err },
		MethodFeedControl:   func() error { return c.FeedControl(ctx, "crm", FeedPause, time.Time{}) },
		MethodFeedDeadList:  func() error { _, err := c.FeedDeadList(ctx, "crm", 0, 0); return err },
		MethodFeedDeadRetry: func() error { _, err := c.FeedDeadRetry(ctx, "crm", nil); return err },
		MethodFeedDeadDrop:  func() error { _, err := c.FeedDeadDrop(ctx, "crm", []int64{1}); return err },
		MethodFeedRead:      func() error { _, err := c.FeedRead(ctx, FeedReadParams{}); return err },
		MethodFeedAck: func() error {
			return c.FeedAck(ctx, FeedAckParams{Consumer: "c", Token: "t", Release: true})
		},
	}
	for m, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

// TestClientCompletesChanges: every change gets the client's defaults for parameters that the change leaves empty.
func TestClientCompletesChanges(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "status", Value: Text("open")}}
	got := make(chan Params, 1)
	path := fakeDaemon(t, func(conn net.Conn) {
		var e Encoder
		for {
			req, ok := readRequest(conn)
			p := newParams(req.Method)
			if !ok || p == nil || p.Decode(req.Params) != nil {
				return
			}
			got <- p
			var result Result = &RevisionResult{1}
			switch req.Method {
			case MethodCreate:
				result = &CreateResult{1, 1}
			case MethodSetMany:
				result = &SetManyResult{Outcomes: make([]SetOutcome, 1)}
			default:
			}
			frame, _ := e.Reply(req.ID, result)
			_, _ = conn.Write(frame)
		}
	})
	c, ctx := dial(t, path), t.Context()
	c.Site, c.Remember, c.Ack = "main", time.Minute, AckJournal
	own := SetParams{
		Change: Change{Target: Target{Site: "other"}, RequestID: "r", Remember: time.Second, Ack: AckRedis}, ID: 1, Fields: fields,
	}
	for want, call := range map[Params]func() error{
		&CreateParams{
			Change: Change{Target: toMain, RequestID: "r", Remember: time.Minute, Ack: AckJournal}, ID: 7, Fields: fields,
		}: func() error {
			_, err := c.CreateWith(ctx, CreateParams{Change: Change{RequestID: "r"}, ID: 7, Fields: fields})
			return err
		},
		&SetParams{
			Change: Change{Target: toMain, Ack: AckJournal}, ID: 1, Fields: fields,
		}: func() error { // no request id to remember
			_, err := c.Set(ctx, SetParams{ID: 1, Fields: fields})
			return err
		},
		&own: func() error { _, err := c.Set(ctx, own); return err },
		&SetManyParams{
			Change: Change{Target: toMain, Ack: AckJournal}, Tickets: []TicketFields{{ID: 1, Fields: fields}},
		}: func() error {
			_, err := c.SetMany(ctx, []TicketFields{{ID: 1, Fields: fields}}, "")
			return err
		},
		&DeleteParams{Change: Change{Target: toMain, RequestID: "r", Remember: time.Minute, Ack: AckJournal}, ID: 1}: func() error {
			_, err := c.Delete(ctx, 1, "r")
			return err
		},
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
		if timed, is := want.(interface{ wait(timeout time.Duration) }); is {
			timed.wait(MaxTimeout) // the context has no end
		}
		if sent := <-got; !reflect.DeepEqual(sent, want) {
			t.Errorf("sent %+v, want %+v", sent, want)
		}
	}
}

// TestClientClosesOnAnomaly: after any unexpected event the connection is closed and no later call uses the connection.
func TestClientClosesOnAnomaly(t *testing.T) {
	t.Parallel()
	var e Encoder
	reply := func(id uint32, r Result) []byte {
		frame, err := e.Reply(id, r)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(frame)
	}
	for name, answer := range map[string][]byte{
		"another id":           reply(2, &PingResult{Version: "1", Protocol: 1}),
		"another result":       reply(1, &RevisionResult{5}),
		"garbage":              []byte("HTTP/1.1 400 Bad Request"),
		"a cut frame":          reply(1, &PingResult{Version: "1", Protocol: 1})[:9],
		"nothing":              nil,
		"error and result":     handmade("94 01 01 81", str("code"), str("internal"), "c3"),
		"neither":              handmade("94 01 01 c0 c0"),
		"an error that is not": handmade("94 01 01 a161 c0"),
		"a request":            handmade("94 00 01", str("ping"), "80"),
		"foreign progress":     bytes.Clone(e.Progress(Progress{ID: 9, Total: 1})),
		"trailing bytes":       handmade("94 01 01 c0 81", str("protocol"), "01 c0"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := fakeDaemon(t, func(conn net.Conn) {
				readRequest(conn)
				_, _ = conn.Write(answer)
			})
			c := dial(t, path)
			if _, err := c.Ping(t.Context()); !errors.Is(err, ErrBroken) {
				t.Fatalf("got %v, want ErrBroken", err)
			}
			if _, err := c.Ping(t.Context()); !errors.Is(err, ErrBroken) {
				t.Errorf("the second call: got %v, want ErrBroken", err)
			}
			if _, err := c.conn.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

// TestClientDeadline: a daemon that drips bytes cannot stretch a call beyond the deadline of the context.
func TestClientDeadline(t *testing.T) {
	t.Parallel()
	path := fakeDaemon(t, func(conn net.Conn) {
		readRequest(conn)
		_, _ = conn.Write([]byte{Version, 0, 0})
		_, _ = io.Copy(io.Discard, conn) // until the client has closed
	})
	c := dial(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Ping(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrBroken) {
		t.Errorf("got %v, want DeadlineExceeded and ErrBroken", err)
	}
}

func TestClientCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	path := fakeDaemon(t, func(conn net.Conn) {
		readRequest(conn)
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	})
	if _, err := dial(t, path).Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

// TestClientRefusals: a refusal leaves the connection open, a closing error does not.
func TestClientRefusals(t *testing.T) {
	t.Parallel()
	path := fakeDaemon(t, func(conn net.Conn) {
		var e Encoder
		req, _ := readRequest(conn)
		_, _ = conn.Write(e.Failure(req.ID, Errorf(CodeNotFound, "there is no ticket 1")))
		req, _ = readRequest(conn)
		_, _ = conn.Write(e.Failure(req.ID, Errorf(CodeShuttingDown, "the daemon stops")))
	})
	c := dial(t, path)
	for _, want := range []Code{CodeNotFound, CodeShuttingDown} {
		if _, err := c.Get(t.Context(), 1); !errors.Is(err, &Error{Code: want}) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := c.Get(t.Context(), 1); !errors.Is(err, ErrBroken) {
		t.Errorf("after shutting_down: got %v, want ErrBroken", err)
	}
}

// TestClientHearsWhyItIsRefused: a daemon that is full answers and closes without reading; the client learns the
// reason.
func TestClientHearsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	path := fakeDaemon(t, func(conn net.Conn) {
		var e Encoder
		_, _ = conn.Write(e.Failure(0, Closing(CodeOverloaded, "1 connection is open")))
	})
	c := dial(t, path)
	if _, err := c.r.Peek(1); err != nil { // the answer has arrived and the daemon has closed, or is about to close
		t.Fatal(err)
	}
	if _, err := c.Ping(t.Context()); !errors.Is(err, &Error{Code: CodeOverloaded}) {
		t.Errorf("got %v, want overloaded", err)
	}
}

func TestClientTooLargeSendsNothing(t *testing.T) {
	t.Parallel()
	path := fakeDaemon(t, func(conn net.Conn) {
		var e Encoder
		req, _ := readRequest(conn)
		frame, _ := e.Reply(req.ID, &PingResult{Version: "1", Protocol: 1})
		_, _ = conn.Write(frame)
	})
	c := dial(t, path)
	huge := []Field{{Name: "a", Value: Text(string(make([]byte, MaxPayload)))}}
	if _, err := c.Create(t.Context(), huge, ""); !errors.Is(err, &Error{Code: CodeTooLarge}) {
		t.Fatalf("got %v, want too_large", err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Errorf("the connection is of no use after a refusal on our own side: %v", err)
	}
}

// The client tells the daemon how much time the context of a call leaves.
func TestClientTellsItsDeadline(t *testing.T) {
	t.Parallel()
	got := make(chan time.Duration, 1)
	path := fakeDaemon(t, func(conn net.Conn) {
		var e Encoder
		for {
			req, ok := readRequest(conn)
			var p GetParams
			if !ok || p.Decode(req.Params) != nil {
				return
			}
			got <- p.Waits()
			frame, _ := e.Reply(req.ID, &Ticket{ID: p.ID, Revision: 1})
			_, _ = conn.Write(frame)
		}
	})
	c := dial(t, path)
	for limit, want := range map[time.Duration][2]time.Duration{
		20 * time.Second: {15 * time.Second, 20 * time.Second},
		2 * time.Hour:    {MaxTimeout, MaxTimeout},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if _, err := c.Get(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if told := <-got; told < want[0] || told > want[1] {
			t.Errorf("within %v the daemon was told %v", limit, told)
		}
	}
}
