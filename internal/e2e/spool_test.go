package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// spooler puts files into a daemon's spool like a client that cannot reach the daemon.
type spooler struct {
	dir  string
	sent int
}

func (s *spooler) name(id int64) string {
	s.sent++
	return fmt.Sprintf("%016d-%d-%016x.frame", time.Now().UnixMicro(), id, s.sent)
}

func (s *spooler) write(t *testing.T, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(s.dir, name)
	tmp := filepath.Join(s.dir, ".tmp-"+name)
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *spooler) put(t *testing.T, m protocol.Method, id int64, p protocol.Params) (path string) {
	t.Helper()
	return s.write(t, s.name(id), requestFrame(t, m, p))
}

func (s *spooler) set(t *testing.T, id int64, name, value, requestID string) (path string) {
	t.Helper()
	p := set(id, name, value)
	p.RequestID, p.Remember = requestID, 10*time.Minute
	return s.put(t, protocol.MethodSet, id, &p)
}

func requestFrame(t *testing.T, m protocol.Method, p protocol.Params) []byte {
	t.Helper()
	var enc protocol.Encoder
	frame, err := enc.Request(1, m, p)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(frame)
}

// Changes that were spooled while the daemon was down are in MySQL after its start, in order and once each; unusable files
// are set aside and delay nothing.
func TestSpoolOfADaemonThatWasDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	if _, err := r.dial(t).Set(t.Context(), withRequest(set(1, "status", "before"), "known")); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	s := &spooler{dir: r.spool()}
	s.put(t, protocol.MethodCreate, 900, &protocol.CreateParams{
		Change: protocol.Change{RequestID: "c"},
		ID:     900, Fields: []protocol.Field{{Name: "subject", Value: protocol.Text("Where is my order?")}},
	})
	bad := s.unusable(t)
	s.set(t, 900, "status", "pending", "s1")
	s.set(t, 900, "status", "solved", "s2")
	s.set(t, 900, "status", "pending", "s1") // the client did not know that it had spooled the change already
	s.set(t, 1, "status", "before", "known")
	reused := s.set(t, 1, "status", "another's", "known")
	s.set(t, 2, "status", "open", "s3")
	s.put(t, protocol.MethodDelete, 2, &protocol.DeleteParams{Change: protocol.Change{RequestID: "d"}, ID: 2})
	s.set(t, 2, "status", "too late", "s4")
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.dial(t)
	status, err := c.Status(t.Context())
	if err != nil || status.Spool.Files != 0 || status.Spool.Taken != 8 || status.Spool.Bad != int64(bad+1) {
		t.Fatalf("spool %+v (%v), want 8 ingested and %d bad before the first request", status.Spool, err, bad+1)
	}
	reason, err := os.ReadFile(filepath.Join(s.dir, "bad", filepath.Base(reused)+".reason"))
	if err != nil || !strings.Contains(string(reason), "field: request_id") {
		t.Errorf("reason %q (%v), want the request id", reason, err)
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		id          int64
		name, value string
	}{{900, "subject", "Where is my order?"}, {900, "status", "solved"}, {1, "status", "before"}, {2, "status", "open"}} {
		if got := column(t, r.db, want.name, want.id); got != want.value {
			t.Errorf("%s of ticket %d is %q, want %q", want.name, want.id, got, want.value)
		}
	}
	if column(t, r.db, "deleted_at", 2) == "" {
		t.Error("ticket 2 is not deleted")
	}
}

func withRequest(p protocol.SetParams, requestID string) protocol.SetParams {
	p.RequestID = requestID
	return p
}

// unusable puts files into the spool that the daemon must set aside, and returns how many.
func (s *spooler) unusable(t *testing.T) int {
	t.Helper()
	content := requestFrame(t, protocol.MethodSet, &protocol.SetParams{
		Change: protocol.Change{RequestID: "never"}, ID: 900, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("never")}},
	})
	other := filepath.Join(filepath.Dir(s.dir), "other")
	if err := os.WriteFile(other, content, 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(name string) error { return os.Link(other, filepath.Join(s.dir, name)) }
	symlink := func(name string) error { return os.Symlink(other, filepath.Join(s.dir, name)) }
	pipe := func(name string) error { return unix.Mkfifo(filepath.Join(s.dir, name), 0o600) }
	for _, put := range []func(name string) error{link, symlink, pipe} {
		if err := put(s.name(900)); err != nil {
			t.Fatal(err)
		}
	}
	s.write(t, s.name(900), content[:len(content)-1])
	s.write(t, s.name(900), make([]byte, protocol.MaxPayload+protocol.HeaderBytes+1))
	s.write(t, "README", content)
	long := set(900, "status", string(bytes.Repeat([]byte{'x'}, 33))) // longer than the column
	long.RequestID = "long"
	s.put(t, protocol.MethodSet, 900, &long)
	bad := 7
	if os.Geteuid() == 0 { // no other user can give a file away
		if err := os.Chown(s.write(t, s.name(900), content), 4242, 4242); err != nil {
			t.Fatal(err)
		}
		bad++
	}
	return bad
}

// A change that was in the spool before a request is made before it: seen by a read, replaced by a write.
func TestSpoolOfADaemonThatRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c, s := r.dial(t), &spooler{dir: r.spool()}
	for i := range 50 {
		s.set(t, 7, "status", fmt.Sprintf("spooled %d", i), fmt.Sprintf("a%d", i))
		s.set(t, 7, "category", fmt.Sprintf("spooled %d", i), fmt.Sprintf("b%d", i))
		direct := fmt.Sprintf("direct %d", i)
		if _, err := c.Set(t.Context(), set(7, "status", direct)); err != nil {
			t.Fatal(err)
		}
		ticket, err := c.Get(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		if got := field(ticket.Fields, "status").Text(); got != direct {
			t.Fatalf("the older change was made last: %q, want %q", got, direct)
		}
		if got := field(ticket.Fields, "category").Text(); got != fmt.Sprintf("spooled %d", i) {
			t.Fatalf("a read does not see the spooled change %d: %q", i, got)
		}
	}
	s.set(t, 8, "status", "nobody asks", "c")
	testenv.Eventually(t, 5*time.Second, "a spooled change is in MySQL without any request", func() bool {
		return column(t, r.db, "status", 8) == "nobody asks"
	})
}
