package spool

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

// Files are ingested by name, in whatever order they arrived, each once; fails without the sort.
func TestTakenInByName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second, third := r.name(7), r.name(7), r.name(7)
	r.write(t, third, frame(t, protocol.MethodDelete, &protocol.DeleteParams{
		Change: protocol.Change{Target: toMain, RequestID: "c"}, ID: 7,
	}))
	r.write(t, second, frame(t, protocol.MethodSet, setParams("main", 7, "closed", "b")))
	r.write(t, first, frame(t, protocol.MethodCreate, &protocol.CreateParams{
		Change: protocol.Change{Target: toMain, RequestID: "a", Remember: time.Minute},
		ID:     7, Fields: setParams("", 7, "open", "").Fields,
	}))
	if status := r.Status(nil); status.Files != 3 || status.Bytes == 0 || status.Taken != 0 {
		t.Errorf("status %+v, want 3 files", status)
	}
	r.advance(time.Second)
	if status := r.Status(nil); status.OldestMS != 999 { // the first file's name is 1 µs after the rig's clock
		t.Errorf("the oldest is %d ms old, want 999", status.OldestMS)
	}
	r.takeIn(t)
	r.site.want(t, "create 7 a", "set 7 closed b", "delete 7 c")
	r.wantFiles(t, "")
	if status := r.Status(nil); status != (protocol.SpoolStatus{Taken: 3}) {
		t.Errorf("status %+v, want 3 taken", status)
	}
}

// Without a free descriptor to read the folder, no newer change overtakes the waiting files, and the folder stays.
func TestNoDescriptorLeft(t *testing.T) { //nolint:paralleltest // uses up the descriptors of the whole process
	r := newRig(t)
	r.write(t, r.name(7), frame(t, protocol.MethodSet, setParams("main", 7, "older", "a")))
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	err := r.Settle(t.Context(), r.site, &protocol.GetParams{})
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if !errors.Is(err, errBusy) {
		t.Errorf("without a descriptor: %v, want it to be busy", err)
	}
	check(t, r.Settle(t.Context(), r.site, &protocol.GetParams{}))
	r.site.want(t, "set 7 older a")
}

// Unusable files are set aside with the reason, and other files go on.
func TestUnusableFilesAreSetAside(t *testing.T) {
	t.Parallel()
	set := func(t *testing.T) []byte { return frame(t, protocol.MethodSet, setParams("main", 1, "x", "r")) }
	content := func(f func(t *testing.T) []byte) func(*testing.T, *rig, string) {
		return func(t *testing.T, r *rig, name string) { r.write(t, name, f(t)) }
	}
	params := func(m protocol.Method, p protocol.Params) func(*testing.T, *rig, string) {
		return content(func(t *testing.T) []byte { return frame(t, m, p) })
	}
	conditional, unnamed := setParams("main", 1, "x", "r"), setParams("main", 1, "x", "")
	conditional.IfRevision, unnamed.Remember = 5, 0
	several := &protocol.SetManyParams{
		Change: protocol.Change{Target: toMain, RequestID: "r"}, Tickets: []protocol.TicketFields{{ID: 1, Fields: conditional.Fields}},
	}
	unnumbered := &protocol.CreateParams{Change: protocol.Change{Target: toMain, RequestID: "r"}, Fields: conditional.Fields}
	for what, c := range map[string]struct {
		make   func(t *testing.T, r *rig, name string)
		reason string
	}{
		"torn":           {content(func(t *testing.T) []byte { f := set(t); return f[:len(f)-1] }), "ends before"},
		"empty":          {content(func(*testing.T) []byte { return nil }), "ends before"},
		"two frames":     {content(func(t *testing.T) []byte { return append(set(t), set(t)...) }), "follow the frame"},
		"another format": {content(func(*testing.T) []byte { return []byte("HTTP/1.1") }), "code: version"},
		"no request":     {content(func(*testing.T) []byte { return []byte("\x01\x00\x00\x01\xc0") }), "code: malformed"},
		"huge":           {content(func(*testing.T) []byte { return make([]byte, maxFile+1) }), "code: too_large"},
		"a link": {func(t *testing.T, r *rig, name string) {
			target := filepath.Join(t.TempDir(), "target")
			check(t, os.WriteFile(target, set(t), 0o600))
			check(t, os.Symlink(target, filepath.Join(r.path, name)))
		}, "not a regular file"},
		"two names": {func(t *testing.T, r *rig, name string) {
			other := filepath.Join(filepath.Dir(r.path), "other")
			check(t, os.WriteFile(other, set(t), 0o600))
			check(t, os.Link(other, filepath.Join(r.path, name)))
		}, "2 names"},
		"a pipe": {func(t *testing.T, r *rig, name string) {
			check(t, unix.Mkfifo(filepath.Join(r.path, name), 0o600))
		}, "not a regular file"},
		"a socket": {func(t *testing.T, r *rig, name string) {
			short, err := os.MkdirTemp("", "s") //nolint:usetesting // a socket's path must be short; the socket is moved here
			check(t, err)
			t.Cleanup(func() { check(t, os.RemoveAll(short)) })
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, "s"), Net: "unix"})
			check(t, err)
			l.SetUnlinkOnClose(false)
			check(t, l.Close())
			check(t, os.Rename(filepath.Join(short, "s"), filepath.Join(r.path, name)))
		}, "not a regular file"},
		"a link to a device": {func(t *testing.T, r *rig, name string) {
			check(t, os.Symlink("/dev/zero", filepath.Join(r.path, name)))
		}, "not a regular file"},
		"a link to itself": {func(t *testing.T, r *rig, name string) {
			check(t, os.Symlink(name, filepath.Join(r.path, name)))
		}, "not a regular file"},
		"a link into /proc": {func(t *testing.T, r *rig, name string) {
			check(t, os.Symlink("/proc/self/environ", filepath.Join(r.path, name)))
		}, "not a regular file"},
		"a hole": {func(t *testing.T, r *rig, name string) {
			path := filepath.Join(r.path, name)
			check(t, os.WriteFile(path, nil, 0o600))
			check(t, os.Truncate(path, 1<<40))
		}, "code: too_large"},
		"a folder": {func(t *testing.T, r *rig, name string) {
			check(t, os.Mkdir(filepath.Join(r.path, name), 0o700))
		}, "not a regular file"},
		"a read":          {params(protocol.MethodGet, &protocol.GetParams{Target: toMain, ID: 1}), "code: unknown_method"},
		"several":         {params(protocol.MethodSetMany, several), "code: unknown_method"},
		"a condition":     {params(protocol.MethodSet, conditional), "field: if_revision"},
		"no request id":   {params(protocol.MethodSet, unnamed), "field: request_id"},
		"a create, no id": {params(protocol.MethodCreate, unnumbered), "field: id"},
		"a delete, no id": {params(protocol.MethodDelete, &protocol.DeleteParams{
			Change: protocol.Change{Target: toMain, RequestID: "r"},
		}), "field: id"},
		"no site":          {params(protocol.MethodSet, setParams("", 1, "x", "r")), "field: site"},
		"refused":          {params(protocol.MethodSet, setParams("main", 1, "x", "refuse")), "field: status\nmessage: too long"},
		"another's id":     {params(protocol.MethodSet, setParams("main", 1, "x", "reused")), "field: request_id\nmessage: it belongs"},
		"a fault":          {params(protocol.MethodSet, setParams("main", 1, "x", "fault")), "code: internal"},
		"a panic":          {params(protocol.MethodSet, setParams("main", 1, "x", "panic")), "code: internal"},
		"somebody else's":  {func(t *testing.T, r *rig, name string) { r.denied = true; r.write(t, name, set(t)) }, "code: forbidden"},
		"an unknown table": {params(protocol.MethodSet, setParams("main", 1, "x", "conflict")), "code: conflict"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.site.fail = func(requestID string) error {
				switch requestID {
				case "refuse":
					return protocol.Invalid("status", "too long")
				case "reused":
					return protocol.Invalid("request_id", "it belongs to another request")
				case "fault":
					return errors.New("a key holds no hash")
				case "conflict":
					return protocol.Errorf(protocol.CodeConflict, "the ticket is at revision 5")
				case "panic":
					panic("a bug")
				default:
					return nil
				}
			}
			r.set(t, "next", 1, "before", "1")
			name := r.name(1)
			c.make(t, r, name)
			r.takeIn(t)
			r.denied = false
			r.set(t, "next", 1, "after", "2")
			r.takeIn(t)
			if what == "somebody else's" {
				r.next.want(t, "set 1 after 2")
				r.site.want(t)
				return
			}
			r.next.want(t, "set 1 before 1", "set 1 after 2")
			r.wantFiles(t, "")
			r.wantFiles(t, badName, name)
			reason, err := os.ReadFile(filepath.Join(r.path, badName, name+reasonSuffix))
			if err != nil || !strings.Contains(string(reason), c.reason) || !strings.Contains(string(reason), name) {
				t.Errorf("reason %q (%v), want the file's name and %q", reason, err, c.reason)
			}
			if status := r.Status(nil); status.Bad != 1 || status.Taken != 2 || len(r.Warnings(nil)) != 1 {
				t.Errorf("status %+v, warnings %q", status, r.Warnings(nil))
			}
			r.wantLogged(t, 1, "set aside")
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Files with foreign names are set aside, too, except names that begin with a dot.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	frame := frame(t, protocol.MethodSet, setParams("main", 1, "x", "r"))
	long := strings.Repeat("n", 250)
	for _, name := range []string{"README", "1-1-0.frame", long, ".breaker"} {
		check(t, os.WriteFile(filepath.Join(r.path, name), frame, 0o600))
	}
	r.takeIn(t)
	r.site.want(t)
	r.wantFiles(t, "", ".breaker")
	r.wantFiles(t, badName, "1-1-0.frame", "README", long[:maxBadName])
	check(t, os.WriteFile(filepath.Join(r.path, "README"), frame, 0o600))
	r.takeIn(t)
	r.wantFiles(t, badName, "1-1-0.frame", "README", "README.1", long[:maxBadName])
}

// While a site cannot take its files the files wait, in order, with growing pauses, and the site's changes are refused; other
// sites and reads go on.
func TestSiteThatCannotTakeItsFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var tries []time.Duration
	start := r.clock().Add(rescanEvery)
	r.site.fail = func(string) error {
		tries = append(tries, r.clock().Sub(start))
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer")
	}
	held := []string{r.set(t, "main", 1, "a", "1"), r.set(t, "main", 1, "b", "2")}
	r.set(t, "next", 1, "c", "3")
	r.takeIn(t)
	r.next.want(t, "set 1 c 3")
	r.wantFiles(t, "", held...)
	err := r.Settle(t.Context(), r.site, &protocol.FlushParams{})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("a newer change may overtake: %v", err)
	}
	for name, err := range map[string]error{
		"a read":                r.Settle(t.Context(), r.site, &protocol.GetParams{}),
		"another site's change": r.Settle(t.Context(), r.next, &protocol.FlushParams{}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 400 {
		r.advance(10 * time.Millisecond)
		_ = r.Settle(t.Context(), r.site, &protocol.FlushParams{})
	}
	if want := []time.Duration{0, 50, 150, 350, 750, 1550, 3150}; len(tries) != len(want) || tries[6] != 3150*time.Millisecond {
		t.Errorf("tries after %v, want %v ms", tries, want)
	}
	if !r.Behind(r.site) || r.Behind(r.next) {
		t.Errorf("behind: %v, the other site %v", r.Behind(r.site), r.Behind(r.next))
	}
	r.site.setFail(nil)
	r.advance(maxPause)
	if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
		t.Errorf("the site works again: %v", err)
	}
	if r.Behind(r.site) {
		t.Error("behind although all was ingested")
	}
	r.site.want(t, "set 1 a 1", "set 1 b 2")
	r.wantFiles(t, "")
	r.wantLogged(t, 1, "wait in the spool until")
	r.wantLogged(t, 1, "ingested from the spool again")
}

// If a site's pause ends in the middle of a pass, the pass does not continue from there: earlier files of the site have been
// skipped.
func TestPauseThatEndsWithinAPass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.fail = func(string) error { return protocol.Errorf(protocol.CodeOverloaded, "Redis is out of memory") }
	r.set(t, "main", 1, "a", "1")
	r.takeIn(t)
	r.site.setFail(nil)
	r.set(t, "next", 1, "b", "2")
	r.set(t, "main", 1, "c", "3")
	r.next.fail = func(string) error { r.advance(maxPause); return nil }
	if err := r.Settle(t.Context(), r.next, &protocol.FlushParams{}); err != nil {
		t.Fatal(err)
	}
	r.site.want(t)
	if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
		t.Fatal(err)
	}
	r.site.want(t, "set 1 a 1", "set 1 c 3")
}

// When the files of a held site are taken away, its changes go on.
func TestHeldFilesTakenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.fail = func(string) error { return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer") }
	name := r.set(t, "main", 1, "a", "1")
	r.takeIn(t)
	check(t, os.Remove(filepath.Join(r.path, name)))
	r.takeIn(t)
	if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
		t.Error(err)
	}
}

// A change of a ticket that was deleted meanwhile is finished.
func TestDeletionWins(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.fail = func(string) error { return protocol.Errorf(protocol.CodeNotFound, "it was deleted") }
	r.set(t, "main", 1, "a", "1")
	r.takeIn(t)
	r.wantFiles(t, "")
	r.wantFiles(t, badName)
	r.wantLogged(t, 1, "the deletion stands")
}

// The create had reached the daemon before, and made another ticket than the ticket that the client received. The other
// ticket is removed, unless another client has changed the ticket, or a caller has chosen the request id and may have
// received the ticket's id.
func TestCreateWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		revision int64
		gone     bool
		remember time.Duration
		want     []string
	}{
		{5, false, 10 * time.Minute, []string{"create 7 r", "create 7 r#7", "delete 3 "}},
		{6, false, 10 * time.Minute, []string{"create 7 r", "create 7 r#7"}},
		{0, true, 10 * time.Minute, []string{"create 7 r", "create 7 r#7"}},
		{5, false, 0, []string{"create 7 r", "create 7 r#7"}},
	} {
		r := newRig(t)
		r.site.made = map[string]int64{"r": 3}
		r.site.get = func(id int64) (protocol.Ticket, error) {
			if c.gone {
				return protocol.Ticket{}, protocol.Errorf(protocol.CodeNotFound, "there is no such ticket")
			}
			return protocol.Ticket{ID: id, Revision: c.revision}, nil
		}
		r.write(t, r.name(7), frame(t, protocol.MethodCreate, &protocol.CreateParams{
			Change: protocol.Change{Target: toMain, RequestID: "r", Remember: c.remember},
			ID:     7, Fields: setParams("", 7, "open", "").Fields,
		}))
		r.takeIn(t)
		r.site.want(t, c.want...)
		r.wantFiles(t, "")
	}
}

// While Redis is unreachable the daemon cannot know whether that ticket was changed: the file stays.
func TestCreateWhoseReplyWasLostWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.made = map[string]int64{"r": 3}
	stale := true
	r.site.get = func(id int64) (protocol.Ticket, error) {
		return protocol.Ticket{ID: id, Revision: 5, Stale: stale}, nil
	}
	name := r.name(7)
	r.write(t, name, frame(t, protocol.MethodCreate, &protocol.CreateParams{
		Change: protocol.Change{Target: toMain, RequestID: "r", Remember: time.Minute},
		ID:     7, Fields: setParams("", 7, "open", "").Fields,
	}))
	r.takeIn(t)
	r.wantFiles(t, "", name)
	stale = false
	r.takeIn(t)
	r.wantFiles(t, "")
	r.site.want(t, "create 7 r", "create 7 r#7", "create 7 r", "create 7 r#7", "delete 3 ")
}

// A pass cut off by its caller's deadline continues with the next caller, at the same file.
func TestPassThatIsCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(t, "main", 1, "a", "1")
	r.set(t, "main", 1, "b", "2")
	ctx, cancel := context.WithCancel(t.Context())
	r.site.block = func(ctx context.Context) error { cancel(); return ctx.Err() }
	if err := r.Settle(ctx, r.site, &protocol.FlushParams{}); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("the request goes on: %v", err)
	}
	r.site.block = nil
	if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
		t.Fatal(err)
	}
	r.site.want(t, "set 1 a 1", "set 1 b 2")
	r.wantLogged(t, 0, "wait in the spool until") // the deadline was the request's, not the site's
}

// A site that does not answer within the time of a request holds its files.
func TestSiteThatTakesTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.opts.Timeout = time.Millisecond
	r.site.block = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	name := r.set(t, "main", 1, "a", "1")
	r.takeIn(t)
	r.wantFiles(t, "", name)
	r.wantLogged(t, 1, "wait in the spool until")
}
