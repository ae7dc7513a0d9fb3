package spool

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// replace moves alice's folder away and makes another one.
func (h *host) replace(t *testing.T, suffix string) {
	t.Helper()
	check(t, os.Rename(h.folder(alice), h.path+suffix))
	h.prepare(t, alice)
}

// restore moves alice's first folder back.
func (h *host) restore(t *testing.T, suffix string) {
	t.Helper()
	check(t, os.RemoveAll(h.folder(alice)))
	check(t, os.Rename(h.path+suffix, h.folder(alice)))
}

// During the first change of a pass the folder with the pass's files is let go of; Refresh runs after each step, as in the
// spool's own round. The request of the pass waits for the other files, wherever they are, and another user's file does not
// overtake them. Without isCut in the loop of takeSite the pass takes files for removed; without the version in settle the
// request is answered before the files are ingested.
func TestFolderIsLetGoOfDuringAPass(t *testing.T) {
	t.Parallel()
	for what, steps := range map[string][]func(*testing.T, *host){
		"moved away": {func(t *testing.T, h *host) { h.replace(t, "-old") }},
		"two moved away": {
			func(t *testing.T, h *host) { h.replace(t, "-old") },
			func(t *testing.T, h *host) { h.put(t, alice, alice, "main", "5"); h.replace(t, "-newer") },
		},
		"moved away and back": {
			func(t *testing.T, h *host) { h.replace(t, "-old") },
			func(t *testing.T, h *host) { h.restore(t, "-old") },
		},
		"of another mode": {func(t *testing.T, h *host) { check(t, os.Chmod(h.folder(alice), 0o700)) }},
		"another user's for a while": {
			func(t *testing.T, h *host) { check(t, os.Chown(h.folder(alice), carol, -1)) },
			func(t *testing.T, h *host) { check(t, os.Chown(h.folder(alice), alice, -1)) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			for _, file := range []struct {
				user  uint32
				value string
			}{{alice, "1"}, {alice, "2"}, {carol, "3"}, {alice, "4"}} {
				h.put(t, file.user, file.user, "main", file.value)
			}
			h.site.block = func(context.Context) error {
				h.site.block = nil
				for _, step := range steps {
					step(t, h)
					h.Refresh()
				}
				return nil
			}
			check(t, h.Settle(t.Context(), h.site, &protocol.GetParams{ID: 1}))
			want := []string{"set 1 1 1", "set 1 2 2", "set 1 3 3", "set 1 4 4"}
			if what == "moved away" || what == "two moved away" { // as after a crash: under the request id that it had
				want = append([]string{"set 1 1 1"}, want...)
			}
			if what == "two moved away" {
				want = append(want, "set 1 5 5")
			}
			h.site.want(t, want...)
		})
	}
}

// During a pass a folder with files of the pass gets another owner: newer files of other folders wait until the folder is
// readable.
func TestFolderIsHiddenDuringAPass(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.put(t, alice, alice, "main", "1")
	h.put(t, alice, alice, "main", "2")
	h.put(t, carol, carol, "main", "3")
	h.site.block = func(context.Context) error {
		h.site.block = nil
		check(t, os.Chown(h.folder(alice), carol, -1))
		h.Refresh()
		return nil
	}
	h.wantHidden(t, h.site, "belongs to user")
	h.site.want(t, "set 1 1 1")
	check(t, os.Chown(h.folder(alice), alice, -1))
	h.settle(t, h.site)
	h.site.want(t, "set 1 1 1", "set 1 1 1", "set 1 2 2", "set 1 3 3")
}

// Before assign, files may wait in a lane that their site does not have: a folder was moved away, came back, or is a
// newcomer's. No request goes ahead, also after a pass, and the site stays held. Without the version in lane the newcomer's file
// is overlooked; without isCut at the end of takeSite the pass ends the hold, and reads do not say stale.
func TestRequestWhileFoldersAreSortedOut(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*testing.T, *host){
		"moved away": func(t *testing.T, h *host) { h.replace(t, "-old") },
		"back": func(t *testing.T, h *host) {
			h.replace(t, "-old")
			h.takeIn(t)
			h.restore(t, "-old")
		},
		"a newcomer's": func(t *testing.T, h *host) {
			check(t, os.Rename(h.folder(carol), h.path+"-carol"))
			h.takeIn(t)
			h.takeIn(t)
			check(t, os.Rename(h.path+"-carol", h.folder(carol)))
			h.put(t, carol, carol, "main", "1")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.opts.Users = func() []uint32 { return []uint32{alice} }
			h.refuse(t, errAway)
			if what != "a newcomer's" {
				h.put(t, alice, alice, "main", "1")
				h.takeIn(t)
			}
			change(t, h)
			h.refuse(t, nil)
			asked := false
			h.opts.Sites = &hooked{Sites: h.opts.Sites, hook: func() {
				asked = true
				h.wantUnsettled(t)
				h.pass(t)
				h.wantUnsettled(t)
				if what != "a newcomer's" && !h.Behind(h.site) {
					t.Error("reads do not say that changes wait")
				}
			}}
			h.Refresh()
			if !asked {
				t.Error("no folder was sorted out")
			}
			check(t, h.Settle(t.Context(), h.site, &protocol.GetParams{ID: 1}))
			h.site.want(t, "set 1 1 1")
		})
	}
}

// pass is a pass of site main.
func (h *host) pass(t *testing.T) {
	t.Helper()
	in := h.sites[h.site]
	check(t, in.take(t.Context()))
	defer in.give()
	check(t, h.takeSite(t.Context(), h.site, in, all))
}

// wantUnsettled demands that no request of site main goes ahead.
func (h *host) wantUnsettled(t *testing.T) {
	t.Helper()
	if h.unsettled(h.site) == nil {
		t.Error("a request goes ahead")
	}
}

// As soon as the spool lets go of a folder no request goes ahead, although the lane has no other folder yet. Without the version
// in unsettled a request does.
func TestRequestAfterAFolderIsLetGoOf(t *testing.T) {
	t.Parallel()
	for what, let := range map[string]func(l *lane){
		"moved away": func(l *lane) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.part(place{errno: unix.ENOENT})
		},
		"back": func(l *lane) { l.isDone() },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.settle(t, h.site)
			if h.unsettled(h.site) != nil {
				t.Error("a request waits for nothing")
			}
			let(h.lanes[filepath.Base(h.folder(alice))])
			h.wantUnsettled(t)
		})
	}
}

// A pass cannot list a folder: files of other folders wait, too. Without hidden in isCut they overtake the files of the folder.
func TestFolderThatAPassCannotList(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.put(t, alice, alice, "main", "1")
	h.put(t, carol, carol, "main", "2")
	check(t, h.lanes[filepath.Base(h.folder(alice))].folder.dir.Close())
	check(t, h.Settle(t.Context(), h.site, &protocol.GetParams{ID: 1}))
	h.site.want(t)
	if !h.Behind(h.site) {
		t.Error("reads do not say that changes wait")
	}
	h.settle(t, h.site)
	h.site.want(t, "set 1 1 1", "set 1 2 2")
}

// barred gives no site alice's lane while bar is set.
type barred struct {
	Sites

	bar bool
}

func (b *barred) Of(p daemon.Peer) []daemon.Site {
	if b.bar && p.UID == alice {
		return nil
	}
	return b.Sites.Of(p)
}

// A look finds a change before its site has the lane, and a pass of the site does not find the change: the next round ingests
// the change. Without the mark in assign the change stays until another change arrives.
func TestSiteGetsALaneThatWasLookedAt(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	sites := &barred{Sites: h.opts.Sites, bar: true}
	h.opts.Sites = sites
	h.Refresh()
	h.put(t, alice, alice, "main", "1")
	h.opts.Sites = &hooked{Sites: sites, hook: func() {
		h.lookElsewhere(t.Context())
		h.pass(t)
		sites.bar = false
	}}
	h.Refresh()
	check(t, h.TakeIn(t.Context())) // at once: the next look at all folders is not due
	h.site.want(t, "set 1 1 1")
}

// A newcomer's folder appears between users and assign: the next request runs Refresh again, although its site's last check of
// the paths still counts. Without the version in follow the request waits for ever; if assign takes the newest version, the
// newcomer's file is overlooked.
func TestNewcomerWhileFoldersAreSortedOut(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.opts.Users = func() []uint32 { return []uint32{alice} }
	check(t, os.Rename(h.folder(carol), h.path+"-carol"))
	h.takeIn(t)
	h.takeIn(t)
	h.settle(t, h.site)
	h.opts.LookEvery = time.Hour
	h.opts.Sites = &hooked{Sites: h.opts.Sites, hook: func() {
		check(t, os.Rename(h.path+"-carol", h.folder(carol)))
		h.put(t, carol, carol, "main", "1")
		h.wantUnsettled(t) // this reads the kernel's queue
		check(t, h.lanes[shared].look(t.Context()))
	}}
	h.Refresh()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	check(t, h.Settle(ctx, h.site, &protocol.FlushParams{}))
	h.site.want(t, "set 1 1 1")
}

// A request finds another folder at the path: the check counts for no other request until the folder is open.
func TestLookThatFindsAnotherFolder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.opts.LookEvery = time.Hour
	h.replace(t, "-old")
	users := h.opts.Users
	h.opts.Users = func() []uint32 {
		if !h.sites[h.site].looked.IsZero() {
			t.Error("other requests go ahead meanwhile")
		}
		return users()
	}
	h.put(t, alice, alice, "main", "1")
	h.settle(t, h.site)
	h.site.want(t, "set 1 1 1")
}
