package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// TestHostileFrames: each bad frame gets its own error, then the connection closes or goes on as SPEC.md says; other clients
// are served.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send   string
		id     uint32
		code   protocol.Code
		closes bool
	}{
		"text":               {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, protocol.CodeVersion, true},
		"another version":    {"\x02\x00\x00\x01\xc0", 0, protocol.CodeVersion, true},
		"over the limit":     {"\x01\x40\x00\x01", 0, protocol.CodeTooLarge, true},
		"empty":              {"\x01\x00\x00\x00", 0, protocol.CodeMalformed, true},
		"not msgpack":        {"\x01\x00\x00\x02\xc1\xc1", 0, protocol.CodeMalformed, true},
		"trailing bytes":     {"\x01\x00\x00\x0a\x94\x00\x07\xa4ping\x80\x80", 0, protocol.CodeMalformed, true},
		"not a request":      {"\x01\x00\x00\x01\x80", 0, protocol.CodeMalformed, true},
		"method is a number": {"\x01\x00\x00\x05\x94\x00\x07\x07\x80", 7, protocol.CodeMalformed, true},
		"unknown method":     {"\x01\x00\x00\x09\x94\x00\x07\xa4pong\x80", 7, protocol.CodeUnknownMethod, false},
		"unknown parameter":  {"\x01\x00\x00\x0c\x94\x00\x07\xa4ping\x81\xa1a\x01", 7, protocol.CodeInvalid, false},
		"wrong type":         {"\x01\x00\x00\x0f\x94\x00\x07\xa4ping\x81\xa4site\x01", 7, protocol.CodeInvalid, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{})
			conn := r.raw(t)
			write(t, conn, []byte(c.send))
			requireError(t, readReply(t, conn), c.id, c.code)
			if c.closes {
				requireClosed(t, conn)
			} else {
				write(t, conn, setFrame(t, 9))
				if reply := readReply(t, conn); reply == nil || reply.ID != 9 || reply.Err != nil {
					t.Errorf("after the refusal: %+v", reply)
				}
			}
			r.requireServing(t)
		})
	}
}

func TestForbiddenPeer(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{peer: Peer{UID: 7, GID: 7}})
	c := r.client(t)
	for _, site := range []string{"main", "other", ""} {
		c.Site = site
		if _, err := c.Ping(t.Context()); !errors.Is(err, &protocol.Error{Code: protocol.CodeForbidden}) {
			t.Errorf("site %q: got %v, want forbidden", site, err)
		}
	}
}

// TestDripFeeder: an unfinished frame closes its connection at the deadline and does not delay other clients.
func TestDripFeeder(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{Options: Options{FrameTimeout: 30 * time.Millisecond}})
	conn := r.raw(t)
	write(t, conn, []byte{protocol.Version, 0})
	r.requireServing(t)
	requireClosed(t, conn)
}

func TestIdleClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{Options: Options{IdleTimeout: 20 * time.Millisecond}})
	requireClosed(t, r.raw(t))
	r.requireServing(t)
}

// TestClientThatStopsReading: its replies fill the socket, the write's deadline passes, the connection closes.
func TestClientThatStopsReading(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{Options: Options{WriteTimeout: 30 * time.Millisecond}})
	conn := r.raw(t)
	const size = 1 << 20 // more than a socket holds
	write(t, conn, requestFrame(t, 1, protocol.MethodGet, &protocol.GetParams{ID: size}))
	r.requireServing(t)
	waitUntil(t, func() bool { return r.server.connections.Open() == 0 })
	if _, err := protocol.ReadFrame(conn, nil); err == nil {
		t.Error("the whole reply arrived: the test proves nothing")
	}
	r.requireServing(t)
}

// waitUntil polls a condition that has no signal, for at most ten seconds.
func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the condition did not come true")
		}
	}
}

// TestHalfClosed: a client that has shut its writing side still gets all replies.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	conn := r.raw(t)
	write(t, conn, append(setFrame(t, 1), setFrame(t, 2)...))
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for id := range uint32(2) {
		if reply := readReply(t, conn); reply == nil || reply.ID != id+1 {
			t.Fatalf("got %+v, want the reply to %d", reply, id+1)
		}
	}
	requireClosed(t, conn)
}

// TestPipelined: many requests at once, cut inside a frame. The replies come in order, and replies to whole requests do not
// wait for the rest of the cut frame.
func TestPipelined(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	conn := r.raw(t)
	const n = 300
	var all []byte
	for id := range uint32(n) {
		all = append(all, setFrame(t, id+1)...)
	}
	go func() { _, _ = conn.Write(all[:len(all)-5]) }()
	for id := range uint32(n - 1) {
		if reply := readReply(t, conn); reply == nil || reply.ID != id+1 || reply.Err != nil {
			t.Fatalf("got %+v, want the reply to %d", reply, id+1)
		}
	}
	write(t, conn, all[len(all)-5:])
	if reply := readReply(t, conn); reply == nil || reply.ID != n {
		t.Fatalf("got %+v, want the reply to %d", reply, n)
	}
}

// TestPanic: a panic fails a single request, the connection goes on, and the stack is in the log but not in the reply.
func TestPanic(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: &fakeSite{hook: func(_ context.Context, id int64) error {
		if id == 1 {
			panic("out of cheese")
		}
		return nil
	}}})
	conn := r.raw(t)
	write(t, conn, append(setFrame(t, 1), setFrame(t, 2)...))
	reply := readReply(t, conn)
	requireError(t, reply, 1, protocol.CodeInternal)
	if strings.Contains(reply.Err.Message, "cheese") {
		t.Error("the client received the panic's text")
	}
	if reply := readReply(t, conn); reply == nil || reply.Err != nil || reply.ID != 2 {
		t.Errorf("the next request: %+v", reply)
	}
	if log := r.log.String(); !strings.Contains(log, "out of cheese") || !strings.Contains(log, "conn_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", log)
	}
}

// TestErrors: the client's reply for each error of a site.
func TestErrors(t *testing.T) {
	t.Parallel()
	notFound := protocol.Errorf(protocol.CodeNotFound, "there is no ticket")
	for name, c := range map[string]struct {
		hook   func(ctx context.Context, id int64) error
		code   protocol.Code
		logged bool
	}{
		"its own word": {func(context.Context, int64) error { return notFound }, protocol.CodeNotFound, false},
		"its word within": {func(context.Context, int64) error {
			return fmt.Errorf("set: %w", notFound)
		}, protocol.CodeNotFound, false},
		"too late": {func(ctx context.Context, _ int64) error {
			<-ctx.Done()
			return ctx.Err()
		}, protocol.CodeUnavailable, false},
		"a fault": {func(context.Context, int64) error { return errors.New("disk on fire") }, protocol.CodeInternal, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{site: &fakeSite{hook: c.hook}, timeout: 10 * time.Millisecond})
			conn := r.raw(t)
			write(t, conn, setFrame(t, 1))
			reply := readReply(t, conn)
			requireError(t, reply, 1, c.code)
			if strings.Contains(reply.Err.Message, "fire") {
				t.Error("the client received an internal error's text")
			}
			if strings.Contains(r.log.String(), "fire") != c.logged {
				t.Errorf("logged %q, want a line: %v", r.log.String(), c.logged)
			}
		})
	}
}

// TestLargeFramesAreBounded: while a client's large frame takes the budget, another client's large frame is refused and small
// frames are served.
func TestLargeFramesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{Options: Options{LargeFrames: 1 << 20}})
	const announced = 1 << 20
	first := r.raw(t)
	write(t, first, []byte{protocol.Version, announced >> 16, 0, 0})
	waitUntil(t, func() bool { return r.server.large.taken.Load() == announced })
	second := r.raw(t)
	write(t, second, []byte{protocol.Version, 2, 0, 0})
	reply := readReply(t, second)
	requireError(t, reply, 0, protocol.CodeOverloaded)
	requireClosed(t, second)
	r.requireServing(t)
	_ = first.Close()
	waitUntil(t, func() bool { return r.server.large.taken.Load() == 0 })
}

// TestLargeRepliesAreBounded: while a client that does not read holds a large reply, requests for further large replies are
// refused; small replies and replies to changes are sent.
func TestLargeRepliesAreBounded(t *testing.T) {
	t.Parallel()
	const size = 1 << 20                                                               // more than a socket holds
	site := &fakeSite{refusal: protocol.Invalid("a", "%s", strings.Repeat("no ", 50))} // a thousand make a large reply
	r := newRig(t, rigOptions{Options: Options{LargeFrames: size + 1<<10}, site: site})
	get := requestFrame(t, 1, protocol.MethodGet, &protocol.GetParams{ID: size})
	first := r.raw(t)
	write(t, first, get)
	waitUntil(t, func() bool { return r.server.replies.taken.Load() > size })
	second := r.raw(t)
	write(t, second, append(get, setFrame(t, 2)...))
	reply := readReply(t, second)
	requireError(t, reply, 1, protocol.CodeOverloaded)
	if !reply.Err.Closing || !reply.Err.Retryable {
		t.Errorf("got %+v, want retryable and closing", reply.Err)
	}
	requireClosed(t, second)
	third := r.raw(t)
	pairs := make([]protocol.TicketFields, protocol.MaxTickets)
	for i := range pairs {
		pairs[i] = protocol.TicketFields{ID: int64(i) + 1, Fields: []protocol.Field{{Name: "a", Value: protocol.Text("1")}}}
	}
	write(t, third, requestFrame(t, 3, protocol.MethodSetMany, &protocol.SetManyParams{Tickets: pairs}))
	if reply := readReply(t, third); reply == nil || reply.ID != 3 || reply.Err != nil {
		t.Errorf("a change that was made: %+v", reply)
	}
	r.requireServing(t)
	_ = first.Close()
	waitUntil(t, func() bool { return r.server.replies.taken.Load() == 0 })
	write(t, third, get)
	if reply := readReply(t, third); reply == nil || reply.ID != 1 || reply.Err != nil {
		t.Errorf("when there is room again: %+v", reply)
	}
}

// TestConnectionsReturn: a client that an ordinary connection serves returns to the event loop after some small requests, with
// its place among the connections. (Without the return a client that once sent two frames at a time never leaves its goroutine.)
func TestConnectionsReturn(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	client := r.raw(t)
	write(t, client, append(setFrame(t, 1), setFrame(t, 2)...)) // the loop hands over
	for id := uint32(1); id <= 2; id++ {
		requireReply(t, client, id)
	}
	for id := uint32(3); id <= hotBeforeReturn; id++ {
		write(t, client, setFrame(t, id))
		requireReply(t, client, id)
	}
	waitUntil(t, func() bool {
		ordinary := 0
		r.server.each(func(*conn) { ordinary++ })
		return ordinary == 0
	})
	if n := r.server.connections.Open(); n != 1 {
		t.Errorf("%d connections are open, want 1", n)
	}
	write(t, client, setFrame(t, 9))
	requireReply(t, client, 9)
	_ = client.Close()
	waitUntil(t, func() bool { return r.server.connections.Open() == 0 })
}

func requireReply(t *testing.T, conn net.Conn, id uint32) {
	t.Helper()
	if reply := readReply(t, conn); reply == nil || reply.ID != id || reply.Err != nil {
		t.Fatalf("got %+v, want the reply to %d", reply, id)
	}
}
