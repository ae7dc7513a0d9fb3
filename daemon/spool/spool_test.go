package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// A request sees each file renamed into place before the request, without a tick or a look at the folder. Without the
// kernel's queue in Settle the file stays.
func TestSettleTakesInWhatCameBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.takeIn(t) // from here on only the kernel's reports cause a look
	for i := range 20 {
		value := strconv.Itoa(i)
		r.set(t, "main", 1, value, "r"+value)
		if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
			t.Fatal(err)
		}
		r.site.want(t, fmt.Sprintf("set 1 %s r%s", value, value))
		r.site.calls = nil
	}
}

// A request waits for an intake under way, at most until its deadline.
func TestSettleWaitsForAnIntake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(t, "main", 1, "a", "1")
	began, finish := make(chan struct{}), make(chan struct{})
	r.site.block = func(context.Context) error { close(began); <-finish; return nil }
	taken := make(chan error)
	go func() { taken <- r.TakeIn(context.Background()) }()
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Settle(ctx, r.site, &protocol.GetParams{}); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("a request whose time is over: %v", err)
	}
	if err := r.Settle(t.Context(), r.next, &protocol.FlushParams{}); err != nil { // hangs if sites wait for each other
		t.Errorf("another site: %v", err)
	}
	settled := make(chan error)
	go func() { settled <- r.Settle(context.Background(), r.site, &protocol.FlushParams{}) }()
	close(finish)
	if err := errors.Join(<-taken, <-settled); err != nil {
		t.Fatal(err)
	}
	r.site.want(t, "set 1 a 1")
}

// Without requests, the background ingests files; a look at the folder finds a file that arrived without a rename.
func TestBackground(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	changed := make(chan struct{}, 2)
	r.site.block = func(context.Context) error { changed <- struct{}{}; return nil }
	r.Start(t.Context())
	r.set(t, "main", 1, "a", "1")
	await(t, changed)
	content := frame(t, protocol.MethodSet, setParams("main", 1, "b", "2"))
	check(t, os.WriteFile(filepath.Join(r.path, r.name(1)), content, 0o600))
	r.advance(rescanEvery)
	await(t, changed)
}

func await(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("the file was not ingested")
	}
}

// If the folder is removed while the daemon runs, the daemon makes the folder again, and the log says so.
func TestFolderGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.takeIn(t)
	check(t, os.RemoveAll(r.path))
	r.takeIn(t)
	r.wantLogged(t, 1, "the spool's folder is gone")
	r.set(t, "main", 1, "a", "1")
	if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
		t.Fatal(err)
	}
	r.site.want(t, "set 1 a 1")
}

// The daemon's cost per request while the spool is empty.
func BenchmarkSettle(b *testing.B) {
	r := &rig{site: &fakeSite{}, next: &fakeSite{}}
	path := filepath.Join(b.TempDir(), "spool")
	s := New(Options{Path: path, GID: -1, Sites: r, Timeout: time.Second, LookEvery: time.Millisecond})
	b.Cleanup(func() { _ = s.Stop(context.Background()) })
	if err := s.TakeIn(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Settle(b.Context(), r.site, &protocol.FlushParams{}); err != nil {
			b.Fatal(err)
		}
	}
}

// A new folder gets its group and mode through its descriptor: a link put at the path meanwhile is not used, and its target
// stays unchanged.
func TestFolderReplacedByALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "spool")
	check(t, os.Mkdir(target, 0o700))
	check(t, os.Symlink(target, path))
	if _, err := openBase(path, os.Getgid()); err == nil || !strings.Contains(err.Error(), "a link") {
		t.Errorf("error %v, want one that says that it is a link", err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the target's mode is %v (%v)", info.Mode(), err)
	}
}
