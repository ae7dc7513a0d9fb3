package spool

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toMain is the target of requests to the site main.
var toMain = protocol.Target{Site: "main"}

// fakeSite records each call in a line, and answers with fail, if set.
type fakeSite struct {
	daemon.Site // nil: the spool never calls its methods

	mu    sync.Mutex
	calls []string
	fail  func(requestID string) error
	// block, if set, is called in every change.
	block func(ctx context.Context) error
	// made has the tickets of earlier creates, by request id.
	made map[string]int64
	// taken is an id that creates cannot get; a create without an id gets 100.
	taken    int64
	accepted time.Time // of the last change
	get      func(id int64) (protocol.Ticket, error)
}

func (s *fakeSite) call(
	ctx context.Context, requestID string, remember time.Duration, ack protocol.Ack, format string, args ...any,
) error {
	if s.block != nil {
		if err := s.block(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(requestID); err != nil {
			return err
		}
	}
	if remember != 0 {
		format = "forgets after a while: " + format
	}
	if ack != protocol.AckRedis {
		format = "asks no Redis: " + format
	}
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	return nil
}

func (s *fakeSite) Create(ctx context.Context, p *protocol.CreateParams) (protocol.CreateResult, error) {
	err := s.call(ctx, p.RequestID, p.Remember, p.Ack, "create %d %s", p.ID, p.RequestID)
	s.accepted = p.Accepted
	if err == nil && p.ID != 0 && p.ID == s.taken {
		return protocol.CreateResult{}, protocol.Errorf(protocol.CodeExists, "taken")
	}
	if p.ID == 0 {
		return protocol.CreateResult{ID: 100, Revision: 1}, err
	}
	if id, there := s.made[p.RequestID]; there {
		return protocol.CreateResult{ID: id, Revision: 5}, err
	}
	return protocol.CreateResult{ID: p.ID, Revision: 1}, err
}

func (s *fakeSite) Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error) {
	err := s.call(ctx, p.RequestID, p.Remember, p.Ack, "set %d %s %s%s", p.ID, p.Fields[0].Value.Text(), p.RequestID,
		of(p.ID, p.Named))
	s.accepted = p.Accepted
	return protocol.RevisionResult{Revision: 1}, err
}

func (s *fakeSite) Delete(ctx context.Context, p *protocol.DeleteParams) (protocol.RevisionResult, error) {
	err := s.call(ctx, p.RequestID, p.Remember, p.Ack, "delete %d %s%s", p.ID, p.RequestID, of(p.ID, p.Named))
	s.accepted = p.Accepted
	return protocol.RevisionResult{Revision: 1}, err
}

// of returns the id under which a request is known, if different from the ticket's.
func of(id, named int64) string {
	if named == 0 || named == id {
		return ""
	}
	return fmt.Sprintf(" (of %d)", named)
}

func (s *fakeSite) Get(_ context.Context, p *protocol.GetParams) (protocol.Ticket, error) {
	return s.get(p.ID)
}

func (s *fakeSite) setFail(fail func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *fakeSite) want(t *testing.T, calls ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, want := strings.Join(s.calls, "\n"), strings.Join(calls, "\n"); got != want {
		t.Errorf("the site was asked for\n%s\nwant\n%s", got, want)
	}
}

// rig is a spool with two sites. Only calls ingest files.
type rig struct {
	*Spool
	path       string
	site, next *fakeSite // named main and next
	log        *testenv.Buffer
	mu         sync.Mutex
	now        time.Time
	sequence   int
	denied     bool   // no owner may use any site
	moves      string // the file of the moves
}

// For decides like the daemon's table: this process' user may use the two sites.
func (r *rig) For(p daemon.Peer, of protocol.Params) (daemon.Site, error) {
	if r.denied || int(p.UID) != os.Geteuid() {
		return nil, protocol.Errorf(protocol.CodeForbidden, "user %d may not use this site", p.UID)
	}
	switch of.Wants().Site {
	case "main":
		return r.site, nil
	case "next":
		return r.next, nil
	default:
		return nil, protocol.Invalid("site", "name one of the sites")
	}
}

// Of decides the same way; root may use all sites.
func (r *rig) Of(p daemon.Peer) []daemon.Site {
	if p.UID != 0 && int(p.UID) != os.Geteuid() {
		return nil
	}
	return []daemon.Site{r.site, r.next}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		path: filepath.Join(t.TempDir(), "spool"), site: &fakeSite{}, next: &fakeSite{}, log: &testenv.Buffer{},
		now: time.UnixMicro(1_764_000_000_000_000), moves: filepath.Join(t.TempDir(), "moves"),
	}
	r.open(t)
	return r
}

// open opens the spool, again if the spool was open before.
func (r *rig) open(t *testing.T) {
	t.Helper()
	if r.Spool != nil {
		r.close(t)
	}
	of := map[daemon.Site]*moves.Register{}
	for site, file := range map[daemon.Site]string{r.site: r.moves, r.next: r.moves + "-next"} {
		register, err := moves.Open(moves.Options{Path: file, Log: zerolog.New(r.log)})
		if err != nil {
			t.Fatal(err)
		}
		of[site] = register
	}
	r.Spool = New(Options{
		Path: r.path, GID: -1, Sites: r, Timeout: 10 * time.Second, Log: zerolog.New(r.log), Now: r.clock,
		Moves: func(site daemon.Site) *moves.Register { return of[site] },
	})
	t.Cleanup(func() { r.close(t) })
}

func (r *rig) close(t *testing.T) {
	t.Helper()
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// takeIn looks at the whole folder.
func (r *rig) takeIn(t *testing.T) {
	t.Helper()
	r.advance(rescanEvery)
	if err := r.TakeIn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// name returns the next file's name; later names sort behind.
func (r *rig) name(id int64) string {
	r.sequence++
	return fmt.Sprintf("%016d-%d-%016x.frame", 1_764_000_000_000_000+r.sequence, id, r.sequence)
}

// write puts content into the spool in a client's way.
func (r *rig) write(t *testing.T, name string, content []byte) {
	t.Helper()
	tmp := filepath.Join(r.path, ".tmp-"+name)
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(r.path, name)); err != nil {
		t.Fatal(err)
	}
}

// set puts a set of a field of ticket id into the spool.
func (r *rig) set(t *testing.T, site string, id int64, value, requestID string) (name string) {
	t.Helper()
	name = r.name(id)
	r.write(t, name, frame(t, protocol.MethodSet, setParams(site, id, value, requestID)))
	return name
}

func setParams(site string, id int64, value, requestID string) *protocol.SetParams {
	return &protocol.SetParams{
		Change: protocol.Change{Target: protocol.Target{Site: site}, RequestID: requestID, Remember: 10 * time.Minute},
		ID:     id, Fields: []protocol.Field{{Name: "status", Value: protocol.Text(value)}},
	}
}

func frame(t testing.TB, m protocol.Method, p protocol.Params) []byte {
	t.Helper()
	var enc protocol.Encoder
	f, err := enc.Request(1, m, p)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(f)
}

// wantFiles requires the given files in the spool or, with dir "bad", set aside, without their reasons.
func (r *rig) wantFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.path, dir))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Name() != badName && !strings.HasSuffix(e.Name(), reasonSuffix) {
			got = append(got, e.Name())
		}
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("in %q: %q, want %q", dir, got, names)
	}
}

func (r *rig) wantLogged(t *testing.T, times int, text string) {
	t.Helper()
	if n := strings.Count(r.log.String(), text); n != times {
		t.Errorf("the log says %d times %q, want %d:\n%s", n, text, times, r.log)
	}
}
