package daemon

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Every test runs twice: with a site whose requests are served by connections alone, and with one whose small requests are
// answered in rounds of the event loop.
func TestMain(m *testing.M) { goleak.VerifyTestMain(fronts{m}) }

type fronts struct{ *testing.M }

// inRounds has the rigs' sites answer small requests in rounds.
var inRounds bool

func (f fronts) Run() int {
	inRounds = false
	code := f.M.Run()
	inRounds = true
	return max(code, f.M.Run())
}

// hotFake is a fakeSite that answers in rounds what it answers otherwise.
type hotFake struct{ *fakeSite }

func (s hotFake) Hot() Hot { return &fakeBatch{site: s.fakeSite} }

type fakeBatch struct {
	site  *fakeSite
	calls []func(ctx context.Context) (protocol.Result, error)
	done  []func() (protocol.Result, error)
}

func (b *fakeBatch) add(call func(ctx context.Context) (protocol.Result, error)) bool {
	b.calls = append(b.calls, call)
	return true
}

func (b *fakeBatch) Create(p *protocol.CreateParams) bool {
	return b.add(func(ctx context.Context) (protocol.Result, error) {
		result, err := b.site.Create(ctx, p)
		return &result, err
	})
}

func (b *fakeBatch) Set(p *protocol.SetParams) bool {
	return b.add(func(ctx context.Context) (protocol.Result, error) {
		result, err := b.site.Set(ctx, p)
		return &result, err
	})
}

func (b *fakeBatch) SetMany(p *protocol.SetManyParams) bool {
	return b.add(func(ctx context.Context) (protocol.Result, error) {
		result, err := b.site.SetMany(ctx, p)
		return &result, err
	})
}

func (b *fakeBatch) Get(p *protocol.GetParams) bool {
	return b.add(func(ctx context.Context) (protocol.Result, error) {
		result, err := b.site.Get(ctx, p)
		return &result, err
	})
}

func (b *fakeBatch) GetMany(p *protocol.GetManyParams) bool {
	return b.add(func(ctx context.Context) (protocol.Result, error) {
		result, err := b.site.GetMany(ctx, p)
		return &result, err
	})
}

func (b *fakeBatch) Waiting(p *protocol.WaitingParams) bool {
	return b.add(func(ctx context.Context) (protocol.Result, error) {
		result, err := b.site.Waiting(ctx, p)
		return &result, err
	})
}

func (b *fakeBatch) Run(ctx context.Context) {
	for _, call := range b.calls {
		result, err := call(ctx)
		b.done = append(b.done, func() (protocol.Result, error) { return result, err })
	}
}

func (b *fakeBatch) Answer(i int) Answer {
	result, err := b.done[i]()
	return Answer{Result: result, Err: err}
}

// absent is the id of a ticket that no fakeSite has.
const absent = 404

// fakeSite answers every method; hook, if set, receives the ticket id of each set first and may refuse the set.
type fakeSite struct {
	hook  func(ctx context.Context, id int64) error
	flush func(ctx context.Context, progress func(done, total int64)) error
	// refusal, if set, is the outcome of every pair of a set_many.
	refusal *protocol.Error
}

func (s *fakeSite) Create(context.Context, *protocol.CreateParams) (protocol.CreateResult, error) {
	return protocol.CreateResult{ID: 1, Revision: 1}, nil
}

func (s *fakeSite) Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error) {
	if s.hook != nil {
		if err := s.hook(ctx, p.ID); err != nil {
			return protocol.RevisionResult{}, err
		}
	}
	return protocol.RevisionResult{Revision: p.ID}, nil // lets a test recognize its own reply
}

func (s *fakeSite) SetMany(_ context.Context, p *protocol.SetManyParams) (protocol.SetManyResult, error) {
	outcomes := make([]protocol.SetOutcome, len(p.Tickets))
	for i := range outcomes {
		outcomes[i].Err = s.refusal
	}
	return protocol.SetManyResult{Outcomes: outcomes}, nil
}

func (s *fakeSite) Check(_ context.Context, p *protocol.CheckParams) (protocol.CheckResult, error) {
	return protocol.CheckResult{Outcomes: make([]protocol.CheckOutcome, len(p.Entries))}, nil
}

func (s *fakeSite) Get(_ context.Context, p *protocol.GetParams) (protocol.Ticket, error) {
	if p.ID == absent {
		return protocol.Ticket{}, protocol.Errorf(protocol.CodeNotFound, "no such ticket")
	}
	text := protocol.Text(string(bytes.Repeat([]byte{'x'}, int(p.ID)))) // the id is the size of the reply
	return protocol.Ticket{ID: p.ID, Revision: 1, Fields: []protocol.Field{{Name: "a", Value: text}}}, nil
}

func (s *fakeSite) GetMany(_ context.Context, p *protocol.GetManyParams) (protocol.GetManyResult, error) {
	return protocol.GetManyResult{Tickets: make([]*protocol.Ticket, len(p.IDs))}, nil
}

func (s *fakeSite) Waiting(_ context.Context, p *protocol.WaitingParams) (protocol.WaitingResult, error) {
	return protocol.WaitingResult{Tickets: make([]*protocol.WaitingTicket, len(p.IDs))}, nil
}

func (s *fakeSite) Features() []string { return []string{protocol.FeatureBy} }

func (s *fakeSite) FeedRead(context.Context, *protocol.FeedReadParams) (protocol.FeedReadResult, error) {
	return protocol.FeedReadResult{Events: []protocol.FeedEvent{}}, nil
}

func (s *fakeSite) FeedAck(context.Context, *protocol.FeedAckParams) (protocol.FeedAckResult, error) {
	return protocol.FeedAckResult{}, nil
}

func (s *fakeSite) Describe(context.Context, *protocol.SiteParams) (protocol.DescribeResult, error) {
	return protocol.DescribeResult{Kind: protocol.KindTable}, nil
}

func (s *fakeSite) Delete(context.Context, *protocol.DeleteParams) (protocol.RevisionResult, error) {
	return protocol.RevisionResult{Revision: 1}, nil
}

func (s *fakeSite) Flush(
	ctx context.Context, _ *protocol.FlushParams, progress func(done, total int64),
) (protocol.FlushResult, error) {
	if s.flush != nil {
		if err := s.flush(ctx, progress); err != nil {
			return protocol.FlushResult{}, err
		}
	}
	return protocol.FlushResult{Flushed: 1}, nil
}

func (s *fakeSite) List(context.Context, *protocol.ListParams) (protocol.ListResult, error) {
	return protocol.ListResult{Tickets: []*protocol.Ticket{}}, nil
}

func (s *fakeSite) Count(context.Context, *protocol.CountParams) (protocol.CountResult, error) {
	return protocol.CountResult{Count: 1}, nil
}

func (s *fakeSite) DeadList(context.Context, *protocol.DeadListParams) (protocol.DeadListResult, error) {
	return protocol.DeadListResult{Letters: []protocol.Letter{}}, nil
}

func (s *fakeSite) DeadRetry(context.Context, *protocol.DeadParams) (protocol.CountResult, error) {
	return protocol.CountResult{Count: 1}, nil
}

func (s *fakeSite) DeadDrop(context.Context, *protocol.DeadParams) (protocol.CountResult, error) {
	return protocol.CountResult{Count: 1}, nil
}

func (s *fakeSite) Status(context.Context, bool) (protocol.SiteStatus, error) {
	up := protocol.Place{State: protocol.StateUp}
	return protocol.SiteStatus{Site: "main", Strategy: "event", Store: up, Sink: up}, nil
}

// rig is a server on its own socket, for a site that every peer with the id of self may use.
type rig struct {
	server *Server
	site   *fakeSite
	table  *AccessList
	path   string
	log    *testenv.Buffer
}

var self = Peer{UID: 4242, GID: 4242, PID: 1}

type rigOptions struct {
	Options
	site  *fakeSite
	limit int
	peer  Peer
	// timeout of requests
	timeout time.Duration
	spool   Spool
}

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	if o.site == nil {
		o.site = &fakeSite{}
	}
	if o.limit == 0 {
		o.limit = 16
	}
	if o.peer == (Peer{}) {
		o.peer = self
	}
	if o.timeout == 0 {
		o.timeout = 10 * time.Second
	}
	if o.DrainGrace == 0 {
		o.DrainGrace = time.Millisecond
	}
	r := &rig{site: o.site, path: filepath.Join(t.TempDir(), "s"), log: &testenv.Buffer{}}
	listener, err := bind(t.Context(), ListenOptions{Path: r.path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	site := Site(o.site)
	if inRounds {
		site = hotFake{o.site}
	}
	table := NewAccessList(1, map[string]SiteAccess{"main": {Site: site, Users: []uint32{self.UID}}})
	connections := NewConnections(o.limit)
	dispatcher := NewDispatcher(table, connections, "test", o.timeout)
	if o.spool != nil {
		dispatcher.UseSpool(o.spool)
	}
	r.table, o.Admit, o.Hot = table, table.Admit, dispatcher
	r.server = NewServer(listener, dispatcher, connections, o.Options, zerolog.New(r.log))
	r.server.peerOf = func(int) (Peer, error) { return o.peer, nil }
	if err := r.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// stop stops the server within a second.
func (r *rig) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return r.server.Stop(ctx)
}

// raw connects without a client, to send bytes that no client would send. Reads and writes of the test end after ten seconds.
func (r *rig) raw(t *testing.T) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (r *rig) client(t *testing.T) *protocol.Client {
	t.Helper()
	c, err := protocol.Dial(t.Context(), r.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// requireServing fails unless another client is served.
func (r *rig) requireServing(t *testing.T) {
	t.Helper()
	c := r.client(t)
	if _, err := c.Ping(t.Context()); err != nil {
		t.Errorf("another client is not served: %v", err)
	}
	_ = c.Close()
}

// setFrame is a request to set the ticket id, with the same number as request id.
func setFrame(t *testing.T, id uint32) []byte {
	t.Helper()
	return requestFrame(t, id, protocol.MethodSet, &protocol.SetParams{
		ID: int64(id), Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}},
	})
}

func requestFrame(t *testing.T, id uint32, m protocol.Method, p protocol.Params) []byte {
	t.Helper()
	var enc protocol.Encoder
	frame, err := enc.Request(id, m, p)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(frame)
}

// readReply reads a message; nil at the end of the connection.
func readReply(t *testing.T, conn net.Conn) *protocol.Reply {
	t.Helper()
	payload, err := protocol.ReadFrame(conn, nil)
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("the daemon neither answered nor closed the connection")
		}
		return nil
	}
	answer, err := protocol.DecodeAnswer(payload)
	if err != nil || answer.Reply == nil {
		t.Fatalf("not a reply: %x: %v", payload, err)
	}
	return answer.Reply
}

func requireError(t *testing.T, reply *protocol.Reply, id uint32, code protocol.Code) {
	t.Helper()
	if reply == nil || reply.Err == nil || reply.Err.Code != code || reply.ID != id {
		t.Fatalf("got %+v, want error %s for request %d", reply, code, id)
	}
}

func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if reply := readReply(t, conn); reply != nil {
		t.Fatalf("got %+v, want a closed connection", reply)
	}
}

func write(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (s *fakeSite) History(context.Context, *protocol.HistoryParams) (protocol.HistoryResult, error) {
	return protocol.HistoryResult{Changes: []protocol.HistoryChange{}}, nil
}

func (s *fakeSite) EraseHistory(context.Context, *protocol.EraseHistoryParams) (protocol.CountResult, error) {
	return protocol.CountResult{}, nil
}

func (s *fakeSite) FeedStatus(context.Context, *protocol.SiteParams) (protocol.FeedStatusResult, error) {
	return protocol.FeedStatusResult{Destinations: []protocol.FeedDestination{}}, nil
}

func (s *fakeSite) FeedControl(context.Context, *protocol.FeedControlParams) (protocol.FeedControlResult, error) {
	return protocol.FeedControlResult{}, nil
}

func (s *fakeSite) FeedDeadList(context.Context, *protocol.FeedDeadListParams) (protocol.FeedDeadListResult, error) {
	return protocol.FeedDeadListResult{Letters: []protocol.FeedLetter{}}, nil
}

func (s *fakeSite) FeedDeadRetry(context.Context, *protocol.FeedDeadParams) (protocol.CountResult, error) {
	return protocol.CountResult{}, nil
}

func (s *fakeSite) FeedDeadDrop(context.Context, *protocol.FeedDeadParams) (protocol.CountResult, error) {
	return protocol.CountResult{}, nil
}
