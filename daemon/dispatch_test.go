package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// TestEveryMethod calls each method through the socket once.
func TestEveryMethod(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c, ctx := r.client(t), t.Context()
	fields := []protocol.Field{{Name: "status", Value: protocol.Text("open")}}
	for m, call := range map[protocol.Method]func() error{
		protocol.MethodPing:   func() error { _, err := c.Ping(ctx); return err },
		protocol.MethodCreate: func() error { _, err := c.Create(ctx, fields, ""); return err },
		protocol.MethodSet:    func() error { _, err := c.Set(ctx, protocol.SetParams{ID: 1, Fields: fields}); return err },
		protocol.MethodSetMany: func() error {
			_, err := c.SetMany(ctx, []protocol.TicketFields{{ID: 1, Fields: fields}}, "")
			return err
		},
		protocol.MethodCheck: func() error {
			_, err := c.Check(ctx, []protocol.CheckEntry{{ID: 1, Fields: fields}})
			return err
		},
		protocol.MethodGet:     func() error { _, err := c.Get(ctx, 1); return err },
		protocol.MethodGetMany: func() error { _, err := c.GetMany(ctx, []int64{1, 2}); return err },
		protocol.MethodDelete:  func() error { _, err := c.Delete(ctx, 1, ""); return err },
		protocol.MethodFlush:   func() error { _, err := c.Flush(ctx, nil, nil); return err },
		protocol.MethodList:    func() error { _, err := c.List(ctx, protocol.ListParams{}); return err },
		protocol.MethodCount:   func() error { _, err := c.Count(ctx, protocol.Selection{}); return err },

		protocol.MethodDeadList:      func() error { _, err := c.DeadList(ctx, 0, 0); return err },
		protocol.MethodDeadRetry:     func() error { _, err := c.DeadRetry(ctx, nil); return err },
		protocol.MethodDeadDrop:      func() error { _, err := c.DeadDrop(ctx, []int64{1}); return err },
		protocol.MethodWaiting:       func() error { _, err := c.Waiting(ctx, []int64{1, 2}); return err },
		protocol.MethodDescribe:      func() error { _, err := c.Describe(ctx); return err },
		protocol.MethodHistory:       func() error { _, err := c.History(ctx, protocol.HistoryParams{ID: 812}); return err },
		protocol.MethodEraseHistory:  func() error { _, err := c.EraseHistory(ctx, []int64{812}); return err },
		protocol.MethodFeedStatus:    func() error { _, err := c.FeedStatus(ctx); return err },
		protocol.MethodFeedControl:   func() error { return c.FeedControl(ctx, "crm", protocol.FeedPause, time.Time{}) },
		protocol.MethodFeedDeadList:  func() error { _, err := c.FeedDeadList(ctx, "crm", 0, 0); return err },
		protocol.MethodFeedDeadRetry: func() error { _, err := c.FeedDeadRetry(ctx, "crm", nil); return err },
		protocol.MethodFeedDeadDrop:  func() error { _, err := c.FeedDeadDrop(ctx, "crm", []int64{1}); return err },
		protocol.MethodFeedRead:      func() error { _, err := c.FeedRead(ctx, protocol.FeedReadParams{}); return err },
		protocol.MethodFeedAck: func() error {
			return c.FeedAck(ctx, protocol.FeedAckParams{Consumer: "c", Token: "t", Release: true})
		},
		protocol.MethodStatus: func() error {
			s, err := c.Status(ctx)
			if err == nil && (s.ConnectionsOpen != 1 || s.ConnectionsLimit != 16 || s.Version != "test" || s.Site != "main") {
				t.Errorf("status: %+v", s)
			}
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", m, err)
		}
		if _, ok := methods[m]; !ok {
			t.Errorf("%s is not in the table", m)
		}
	}
}

// TestReplyTooLarge: a reply over the limit fails that request alone.
func TestReplyTooLarge(t *testing.T) {
	t.Parallel()
	c := newRig(t, rigOptions{}).client(t)
	if _, err := c.Get(t.Context(), protocol.MaxPayload); !errors.Is(err, &protocol.Error{Code: protocol.CodeTooLarge}) {
		t.Errorf("got %v, want too_large", err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Errorf("the connection is closed: %v", err)
	}
}

// TestFlushProgress: the first report is sent at once, a report directly after the first is dropped.
func TestFlushProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: &fakeSite{flush: func(_ context.Context, progress func(done, total int64)) error {
		progress(1, 3)
		progress(2, 3)
		return nil
	}}})
	var seen []int64
	_, err := r.client(t).Flush(t.Context(), nil, func(done, _ int64) { seen = append(seen, done) })
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0] != 1 {
		t.Errorf("got reports %v, want the first alone", seen)
	}
}

// TestFlushEndsWithItsClient: the progress reports discover that the client has gone, and the flush is cancelled.
func TestFlushEndsWithItsClient(t *testing.T) {
	t.Parallel()
	entered, gone, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{site: &fakeSite{flush: func(ctx context.Context, progress func(done, total int64)) error {
		defer close(ended)
		close(entered)
		<-gone
		progress(1, 3)
		<-ctx.Done()
		return ctx.Err()
	}}})
	conn := r.raw(t)
	write(t, conn, requestFrame(t, 1, protocol.MethodFlush, &protocol.FlushParams{All: true}))
	<-entered
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	close(gone)
	<-ended
}

// TestSilentFlushEndsWithItsClient: a flush without progress, waiting for MySQL, is cancelled, too, even with further
// requests of the client in the socket.
func TestSilentFlushEndsWithItsClient(t *testing.T) {
	t.Parallel()
	entered, ended := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{
		Options: Options{HangUpCheck: time.Millisecond},
		site: &fakeSite{flush: func(ctx context.Context, _ func(done, total int64)) error {
			defer close(ended)
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}},
	})
	conn := r.raw(t)
	write(t, conn, requestFrame(t, 1, protocol.MethodFlush, &protocol.FlushParams{All: true}))
	<-entered
	write(t, conn, setFrame(t, 2))
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// TestHalfClosedFlushGoesOn: a client that has shut its writing side waits for its reply, and so does a client whose requests
// a stopping daemon no longer reads.
func TestHalfClosedFlushGoesOn(t *testing.T) {
	t.Parallel()
	for name, shut := range map[string]func(r *rig, client *net.UnixConn) error{
		"by the client": func(_ *rig, client *net.UnixConn) error { return client.CloseWrite() },
		"by the daemon": func(r *rig, _ *net.UnixConn) error {
			r.server.each(func(c *conn) { c.shutReading() })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered, checked := make(chan struct{}), make(chan struct{})
			r := newRig(t, rigOptions{
				Options: Options{HangUpCheck: time.Microsecond},
				site: &fakeSite{flush: func(ctx context.Context, _ func(done, total int64)) error {
					close(entered)
					<-checked
					return ctx.Err()
				}},
			})
			client := r.raw(t)
			write(t, client, requestFrame(t, 1, protocol.MethodFlush, &protocol.FlushParams{All: true}))
			<-entered
			if err := shut(r, client); err != nil {
				t.Fatal(err)
			}
			r.server.each(func(c *conn) {
				if c.hungUp() {
					t.Error("a client that still reads is taken for gone")
				}
			})
			close(checked)
			if reply := readReply(t, client); reply == nil || reply.Err != nil {
				t.Errorf("got %+v, want the reply", reply)
			}
		})
	}
}

// A request may take four fifths of its client's timeout, and never more than the daemon's own limit, whatever the two are:
// the daemon reports a slow backend before the client concludes that the daemon hangs. Without the client's timeout, the
// first three cases fail.
func TestDaemonAnswersBeforeItsClientGivesUp(t *testing.T) {
	t.Parallel()
	for told, want := range map[time.Duration]time.Duration{
		0:                800 * time.Millisecond, // a second, the default of clients that name no timeout
		time.Millisecond: 800 * time.Microsecond,
		2 * time.Second:  1600 * time.Millisecond,
		time.Minute:      2 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended time.Duration
			site := &fakeSite{hook: func(ctx context.Context, _ int64) error {
				began := time.Now()
				<-ctx.Done()
				ended = time.Since(began)
				return ctx.Err()
			}}
			table := NewAccessList(1, map[string]SiteAccess{"main": {Site: site, Users: []uint32{self.UID}}})
			d := NewDispatcher(table, NewConnections(1), "test", 2*time.Second)
			var e protocol.Encoder
			frame, err := e.Request(1, protocol.MethodSet, &protocol.SetParams{
				Change: protocol.Change{Timed: protocol.Timed{Timeout: told}},
				ID:     1, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}},
			})
			if err != nil {
				t.Fatal(err)
			}
			req, err := protocol.DecodeRequest(frame[protocol.HeaderBytes:])
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Handle(t.Context(), self, req, func(_, _ int64) {})
			if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) || ended != want {
				t.Errorf("a client that says %v: %v after %v, want unavailable after %v", told, err, ended, want)
			}
		})
	}
}

// fakeSpool records the calls.
type fakeSpool struct {
	mu     sync.Mutex
	asked  []string // the types of the parameters
	err    error
	behind bool
}

func (s *fakeSpool) Behind(Site) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

func (s *fakeSpool) change(by func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by()
}

// Settled: nothing is, so that each request of a round is asked for in the ordinary way.
func (s *fakeSpool) Settled(Site) bool { return false }

func (s *fakeSpool) Settle(ctx context.Context, _ Site, p protocol.Params) error {
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("a request may wait for the spool for ever")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, strings.TrimPrefix(fmt.Sprintf("%T", p), "*protocol."))
	return s.err
}

func (*fakeSpool) Status(Site) protocol.SpoolStatus { return protocol.SpoolStatus{Files: 3, Bad: 1} }

func (*fakeSpool) Warnings(Site) []string { return []string{"look at bad/"} }

// Every request that reads or changes tickets waits for the spool; ping and status do not.
func TestSpoolComesFirst(t *testing.T) {
	t.Parallel()
	var set atomic.Int64
	spool := &fakeSpool{}
	r := newRig(t, rigOptions{spool: spool, site: &fakeSite{hook: func(_ context.Context, id int64) error {
		set.Store(id)
		return nil
	}}})
	c, ctx := r.client(t), t.Context()
	fields := []protocol.Field{{Name: "status", Value: protocol.Text("open")}}
	for what, call := range map[string]struct {
		do   func() error
		want []string
	}{
		"ping":   {func() error { _, err := c.Ping(ctx); return err }, nil},
		"create": {func() error { _, err := c.Create(ctx, fields, ""); return err }, []string{"CreateParams"}},
		"set":    {func() error { _, err := c.Set(ctx, protocol.SetParams{ID: 1, Fields: fields}); return err }, []string{"SetParams"}},
		"set_many": {func() error {
			_, err := c.SetMany(ctx, []protocol.TicketFields{{ID: 1, Fields: fields}}, "")
			return err
		}, []string{"SetManyParams"}},
		"check": {func() error {
			_, err := c.Check(ctx, []protocol.CheckEntry{{ID: 1, Fields: fields}})
			return err
		}, []string{"CheckParams"}},
		"delete": {func() error { _, err := c.Delete(ctx, 1, ""); return err }, []string{"DeleteParams"}},
		"get":    {func() error { _, err := c.Get(ctx, 1); return err }, []string{"GetParams"}},
		"list":   {func() error { _, err := c.List(ctx, protocol.ListParams{}); return err }, []string{"ListParams"}},
		"flush":  {func() error { _, err := c.Flush(ctx, nil, nil); return err }, []string{"FlushParams"}},
	} {
		spool.change(func() { spool.asked = nil })
		err := call.do()
		var asked []string
		spool.change(func() { asked = spool.asked })
		if err != nil || !reflect.DeepEqual(asked, call.want) {
			t.Errorf("%s: %v; the spool was asked %v, want %v", what, err, asked, call.want)
		}
	}
	spool.change(func() { spool.err = protocol.Errorf(protocol.CodeUnavailable, "older changes wait") })
	_, err := c.Set(ctx, protocol.SetParams{ID: 9, Fields: fields})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) || set.Load() != 1 {
		t.Errorf("a change overtook the spool: %v", err)
	}
	if _, err := c.Flush(ctx, nil, nil); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("a flush says nothing of what the spool still holds: %v", err)
	}
	status, err := c.Status(ctx)
	if err != nil || status.Spool != (protocol.SpoolStatus{Files: 3, Bad: 1}) || len(status.Warnings) != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
}

// While a site cannot take changes from the spool, its answers are marked stale, and an unknown ticket is answered
// unavailable, not not-found.
func TestReadsSayThatTheSpoolWaits(t *testing.T) {
	t.Parallel()
	spool := &fakeSpool{}
	r := newRig(t, rigOptions{spool: spool})
	c, ctx := r.client(t), t.Context()
	for _, behind := range []bool{true, false} {
		spool.change(func() { spool.behind = behind })
		got, err := c.Get(ctx, 1)
		if err != nil || got.Stale != behind {
			t.Errorf("get: stale %v, want %v (%v)", got.Stale, behind, err)
		}
		list, err := c.List(ctx, protocol.ListParams{})
		if err != nil || list.Stale != behind {
			t.Errorf("list: stale %v, want %v (%v)", list.Stale, behind, err)
		}
		want := protocol.CodeNotFound
		if behind {
			want = protocol.CodeUnavailable
		}
		if _, err := c.Get(ctx, absent); !errors.Is(err, &protocol.Error{Code: want}) {
			t.Errorf("get of what is not there: %v, want %s", err, want)
		}
	}
}
