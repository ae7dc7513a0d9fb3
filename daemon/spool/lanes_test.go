package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Users that no machine has.
const (
	alice, bob, carol = 64121, 64122, 64123
	groupOfBob        = 64132
)

// host is a spool of several users: alice and carol may use site main, bob and his group site next.
type host struct {
	rig
}

func (h *host) For(p daemon.Peer, of protocol.Params) (daemon.Site, error) {
	for _, site := range h.Of(p) {
		if (site == h.site) == (of.Wants().Site == "main") {
			return site, nil
		}
	}
	return nil, protocol.Errorf(protocol.CodeForbidden, "user %d may not use this site", p.UID)
}

func (h *host) Of(p daemon.Peer) []daemon.Site {
	switch {
	case p.UID == 0:
		return []daemon.Site{h.site, h.next}
	case p.UID == alice, p.UID == carol:
		return []daemon.Site{h.site}
	case p.UID == bob, p.GID == groupOfBob:
		return []daemon.Site{h.next}
	default:
		return nil
	}
}

func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make the folders of other users")
	}
	h := &host{rig{
		path: filepath.Join(t.TempDir(), "spool"), site: &fakeSite{}, next: &fakeSite{}, log: &testenv.Buffer{},
		now: time.UnixMicro(1_764_000_000_000_000),
	}}
	h.prepare(t, alice, bob, carol)
	h.Spool = New(Options{
		Path: h.path, GID: -1, Sites: h, Users: func() []uint32 { return []uint32{alice, bob, carol} },
		Timeout: 10 * time.Second, Log: zerolog.New(h.log), Now: h.clock,
	})
	t.Cleanup(func() { h.close(t) })
	h.takeIn(t)
	return h
}

func (h *host) prepare(t *testing.T, users ...uint32) (said []string) {
	t.Helper()
	p := Preparation{Base: h.path, SharedGID: -1, Users: users, Say: func(format string, args ...any) {
		said = append(said, fmt.Sprintf(format, args...))
	}}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return said
}

func (h *host) folder(user uint32) string { return filepath.Join(h.path, strconv.Itoa(int(user))) }

// put puts a set into a user's folder, as a file of the owner.
func (h *host) put(t *testing.T, user, owner uint32, site, value string) (path string) {
	t.Helper()
	name := h.name(1)
	path = filepath.Join(h.folder(user), name)
	tmp := filepath.Join(h.folder(user), ".tmp-"+name)
	check(t, os.WriteFile(tmp, frame(t, protocol.MethodSet, setParams(site, 1, value, value)), 0o640))
	check(t, os.Chown(tmp, int(owner), -1))
	check(t, os.Rename(tmp, path))
	return path
}

func (h *host) settle(t *testing.T, site daemon.Site) {
	t.Helper()
	check(t, h.Settle(t.Context(), site, &protocol.FlushParams{}))
}

// The files of all users of a site are ingested in order of their names, before a request and in the background.
func TestUsersOfOneSite(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for i, user := range []uint32{alice, carol, carol, alice} {
		h.put(t, user, user, "main", strconv.Itoa(i))
	}
	h.put(t, bob, bob, "next", "bob's")
	h.settle(t, h.site)
	h.site.want(t, "set 1 0 0", "set 1 1 1", "set 1 2 2", "set 1 3 3")
	h.next.want(t)
	h.settle(t, h.next)
	h.next.want(t, "set 1 bob's bob's")
	h.put(t, bob, bob, "next", "again")
	h.takeIn(t)
	h.next.want(t, "set 1 bob's bob's", "set 1 again again")
}

// A user's folder has only that user's rights: a change of a site that the user may not use is set aside there.
func TestUserOfAnotherSite(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := h.put(t, bob, bob, "main", "stolen")
	h.takeIn(t)
	h.site.want(t)
	reason, err := os.ReadFile(filepath.Join(filepath.Dir(path), badName, filepath.Base(path)+reasonSuffix))
	if err != nil || !strings.Contains(string(reason), "code: forbidden") {
		t.Errorf("reason %q, %v", reason, err)
	}
}

// A file of another user is not ingested, opened or moved; the file is counted and holds up no other file.
func TestStrangersFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	forged := h.put(t, alice, bob, "main", "forged")
	pipe := filepath.Join(h.folder(alice), h.name(1))
	check(t, unix.Mkfifo(pipe, 0o666))
	check(t, os.Lchown(pipe, bob, -1))
	link := filepath.Join(h.folder(alice), h.name(1))
	check(t, os.Symlink("/dev/zero", link)) // root owns the link
	h.put(t, alice, alice, "main", "hers")
	h.settle(t, h.site)
	h.site.want(t, "set 1 hers hers")
	h.takeIn(t)
	for _, path := range []string{forged, pipe, link} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	w := h.Warnings(h.site)
	if len(w) != 1 || !strings.HasPrefix(w[0], "3 files in ") {
		t.Errorf("warnings %q", w)
	}
	if w := h.Warnings(h.next); len(w) != 0 {
		t.Errorf("the other site is warned of %q", w)
	}
	check(t, os.Chown(forged, alice, -1))
	h.takeIn(t)
	h.site.want(t, "set 1 hers hers", "set 1 forged forged")
}

// The group of a file proves nothing: folders pass on their own group, and newgrp gives any. As for a connection, only the
// user's group in the machine's list of users counts.
func TestGroupOfAFileProvesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const stranger = 64129
	name := h.name(1)
	path := filepath.Join(h.path, name)
	check(t, os.WriteFile(path, frame(t, protocol.MethodSet, setParams("next", 1, "x", "r")), 0o640))
	check(t, os.Chown(path, stranger, groupOfBob))
	h.takeIn(t)
	h.next.want(t)
	h.wantFiles(t, badName, name)
}

// A user's unusable files fill only that user's bad/.
func TestBadOfAnotherUserIsFull(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for i := range maxBadFiles {
		check(t, os.WriteFile(filepath.Join(h.folder(bob), badName, strconv.Itoa(i)), nil, 0o600))
	}
	stays, goes := h.put(t, bob, bob, "main", "useless"), h.put(t, alice, alice, "next", "useless")
	h.takeIn(t)
	if _, err := os.Lstat(stays); err != nil {
		t.Error("bob's bad/ took one too many:", err)
	}
	if _, err := os.Lstat(goes); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("alice's useless file is not set aside: %v", err)
	}
}

// uselessFiles is the number of files that a hostile user puts there.
const uselessFiles = 20_000

// A user who fills the own folder with unusable files and renames them all the time costs other sites no time: their calls do
// not look at that folder, and the kernel reports a single rename, not each.
func TestFloodOfAnotherUser(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.flood(t, bob)
	h.takeIn(t)
	h.put(t, alice, alice, "main", "hers")
	h.settle(t, h.site)
	h.site.want(t, "set 1 hers hers")
	l := h.lanes[strconv.Itoa(bob)]
	if l.watch == 0 {
		t.Fatal("the folder is not watched")
	}
	h.rename(t, bob, uselessFiles)
	told := 0
	h.Spool.mu.Lock()
	h.news.hear(func(int) {
		told++
		l.unseen = true
	})
	h.Spool.mu.Unlock()
	if told > 2 { // the rename, and the end of the watch
		t.Errorf("the kernel told of %d renames, want one", told)
	}
	h.settle(t, h.site)
	if !l.unseen {
		t.Error("another site's call looked at the folder")
	}
	h.put(t, bob, bob, "next", "his")
	h.settle(t, h.next)
	h.next.want(t, "set 1 his his")
}

func (h *host) flood(t testing.TB, user uint32) {
	t.Helper()
	for i := range uselessFiles {
		path := filepath.Join(h.folder(user), "useless"+strconv.Itoa(i))
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, int(user), -1)); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *host) rename(t testing.TB, user uint32, times int) {
	t.Helper()
	a, b := filepath.Join(h.folder(user), "a"), filepath.Join(h.folder(user), "b")
	if err := os.WriteFile(a, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range times {
		if err := os.Rename(a, b); err != nil {
			t.Fatal(err)
		}
		a, b = b, a
	}
}

// Beyond a bound no call waits for the files of older clients in the shared folder.
func TestFloodOfTheSharedFolder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for i := range maxBadFiles + maxUseless + 1 {
		check(t, os.WriteFile(filepath.Join(h.path, "useless"+strconv.Itoa(i)), nil, 0o600))
	}
	h.takeIn(t)
	h.wantLogged(t, 1, "more files than the daemon reads")
	check(t, os.Rename(filepath.Join(h.path, "useless1999"), filepath.Join(h.path, "useless")))
	h.settle(t, h.site)
	if l := h.lanes[shared]; !l.unseen {
		t.Error("a call looked at the folder")
	}
	h.set(t, "main", 1, "older client", "1")
	h.takeIn(t)
	h.site.want(t, "set 1 older client 1")
}

// The warnings name a missing or unusable folder of a user with the remedy, and the daemon uses the folder again after the
// correction. While older changes may wait there, newer changes of the user's sites are refused; other sites go on.
func TestFolderOfAUserIsUnusable(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		spoil func(h *host, path string) error
		why   string
	}{
		"missing":     {func(_ *host, path string) error { return os.RemoveAll(path) }, "ticketd spool prepare"},
		"another's":   {func(_ *host, path string) error { return os.Chown(path, carol, -1) }, "belongs to user"},
		"open to all": {func(_ *host, path string) error { return os.Chmod(path, 0o777) }, "chmod 2770"},
		"a link": {func(h *host, path string) error {
			elsewhere := h.path + "-elsewhere"
			return errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path))
		}, "a link"},
		"a file": {func(_ *host, path string) error {
			return errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600))
		}, "not a folder"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.close(t)
			check(t, c.spoil(h, h.folder(alice)))
			h.Spool = New(h.opts)
			w := h.Warnings(h.site)
			if len(w) != 1 || !strings.Contains(w[0], c.why) {
				t.Errorf("warnings %q, want %q", w, c.why)
			}
			h.put(t, carol, carol, "main", "carol's")
			h.put(t, bob, bob, "next", "bob's")
			h.settle(t, h.next)
			h.next.want(t, "set 1 bob's bob's")
			if what == "missing" {
				h.settle(t, h.site)
				h.site.want(t, "set 1 carol's carol's")
			} else {
				h.wantHidden(t, h.site, c.why)
				h.site.want(t)
			}
			check(t, os.RemoveAll(h.folder(alice)))
			h.prepare(t, alice)
			h.settle(t, h.site)
			if w := h.Warnings(nil); len(w) != 0 {
				t.Errorf("put right, it still warns: %q", w)
			}
			h.put(t, alice, alice, "main", "hers")
			h.settle(t, h.site)
			h.site.want(t, "set 1 carol's carol's", "set 1 hers hers")
		})
	}
}

// A file under its owner's write lease is skipped at once and ingested later; no request waits for the file.
func TestLeasedFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := r.set(t, "main", 1, "leased", "1")
	file, err := os.OpenFile(filepath.Join(r.path, name), os.O_RDWR, 0)
	check(t, err)
	defer func() { _ = file.Close() }()
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	check(t, err)
	r.set(t, "main", 2, "next", "2")
	check(t, r.Settle(t.Context(), r.site, &protocol.FlushParams{}))
	r.site.want(t, "set 2 next 2")
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	check(t, err)
	r.takeIn(t)
	r.site.want(t, "set 2 next 2", "set 1 leased 1")
}

// The cost of a site's call while another user's folder holds 20,000 unusable files, of which some are renamed all the time.
func BenchmarkSettleBesideAFlood(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("only root can make the folders of other users")
	}
	for _, flooded := range []bool{false, true} {
		b.Run(fmt.Sprintf("flooded=%v", flooded), func(b *testing.B) {
			h := &host{rig{path: filepath.Join(b.TempDir(), "spool"), site: &fakeSite{}, next: &fakeSite{}}}
			p := Preparation{Base: h.path, SharedGID: -1, Users: []uint32{alice, bob}, Say: b.Logf}
			if err := p.Run(); err != nil {
				b.Fatal(err)
			}
			h.Spool = New(Options{Path: h.path, GID: -1, Sites: h, Timeout: time.Second, LookEvery: time.Millisecond})
			if flooded {
				h.flood(b, bob)
			}
			if err := h.TakeIn(b.Context()); err != nil {
				b.Fatal(err)
			}
			h.Start(b.Context())
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for flooded {
					h.rename(b, bob, 10)
					time.Sleep(time.Millisecond)
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			for b.Loop() {
				if err := h.Settle(b.Context(), h.site, &protocol.FlushParams{}); err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			<-stopped
			_ = h.Stop(b.Context())
		})
	}
}
