package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// wantHidden requires that changes of the site are refused, for this reason, and that reads are marked stale.
func (r *rig) wantHidden(t *testing.T, site daemon.Site, why string) {
	t.Helper()
	err := r.Settle(t.Context(), site, &protocol.FlushParams{})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) || !strings.Contains(err.Error(), why) {
		t.Errorf("a change past a folder that cannot be read: %v, want it unavailable as %q", err, why)
	}
	if err := r.Settle(t.Context(), site, &protocol.GetParams{}); err != nil || !r.Behind(site) {
		t.Errorf("a read past it: %v, behind %v, want true", err, r.Behind(site))
	}
}

// refuse makes site main refuse changes from the spool, until a call with nil.
func (h *host) refuse(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		h.site.setFail(nil)
	} else {
		h.site.setFail(func(string) error { return err })
	}
	h.advance(maxPause)
}

// errAway is the refusal of a site that is unavailable now.
var errAway = &protocol.Error{Code: protocol.CodeUnavailable, Message: "away", Retryable: true}

// A folder with changes is moved away, and at once another folder stands in its place: the former folder's changes are made
// before changes in the new folder, and before any request. The folder may have been seen or not, its site may be held or
// not, and the base may be the moved folder. Without the check of the path in Settle the former folder's change is made too
// late.
func TestFolderIsReplaced(t *testing.T) {
	t.Parallel()
	for what, all := range map[string]bool{"a user's": false, "everybody's": true} {
		for how, held := range map[string]bool{"unseen": false, "held": true} {
			t.Run(what+", "+how, func(t *testing.T) {
				t.Parallel()
				h := newHost(t)
				h.settle(t, h.site)
				if held {
					h.refuse(t, errAway)
				}
				h.put(t, alice, alice, "main", "older")
				if held {
					h.takeIn(t)
				}
				moved := h.folder(alice)
				if all {
					moved = h.path
				}
				check(t, os.Rename(moved, moved+"-old"))
				h.prepare(t, alice, bob, carol)
				h.put(t, alice, alice, "main", "newer")
				if held {
					if err := h.Settle(t.Context(), h.site, &protocol.FlushParams{}); err == nil {
						t.Error("a change overtakes what is held in the former folder")
					}
					h.refuse(t, nil)
				}
				h.settle(t, h.site)
				h.site.want(t, "set 1 older older", "set 1 newer newer")
				h.takeIn(t)
				h.takeIn(t)
				if n := len(h.former); n != 0 {
					t.Errorf("%d former folders are kept although nothing waits in them", n)
				}
			})
		}
	}
}

// hooked calls hook once, when the spool asks which sites may use a folder.
type hooked struct {
	Sites

	hook func()
}

func (h *hooked) Of(p daemon.Peer) []daemon.Site {
	if hook := h.hook; hook != nil {
		h.hook = nil
		hook()
	}
	return h.Sites.Of(p)
}

// unsure cannot find a change's site while why is set.
type unsure struct {
	Sites

	why error
}

func (u *unsure) For(p daemon.Peer, of protocol.Params) (daemon.Site, error) {
	if u.why != nil {
		return nil, u.why
	}
	return u.Sites.For(p, of)
}

// A change waits while the table of a possible site is unknown; a change for the table of no site stays in place. Neither
// delays other requests: the known sites do not have the change's table.
func TestWhichSiteIsNotKnown(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	sites := &unsure{Sites: h.opts.Sites, why: protocol.Errorf(protocol.CodeUnavailable, "not known yet")}
	h.opts.Sites = sites
	h.put(t, alice, alice, "main", "older")
	h.settle(t, h.site)
	h.site.want(t)
	sites.why = nil
	h.advance(tick)
	h.settle(t, h.site)
	h.site.want(t, "set 1 older older")
	sites.why = daemon.ErrNotMeant
	h.put(t, alice, alice, "main", "theirs")
	h.settle(t, h.site)
	h.site.want(t, "set 1 older older")
	if status := h.Status(h.site); status.Bad != 0 || len(h.Warnings(h.site)) != 1 {
		t.Errorf("%+v, warnings %q; want the file where it was", status, h.Warnings(h.site))
	}
}

// A folder is moved away, and the spool's own round looks at the former folder before the site has its lane: the next round
// ingests the changes there. Without isCut at the end of takeSite and the mark in assign they stay.
func TestFolderIsReplacedDuringARound(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.settle(t, h.site)
	h.put(t, alice, alice, "main", "older")
	check(t, os.Rename(h.folder(alice), h.folder(alice)+"-old"))
	h.prepare(t, alice)
	h.opts.Sites = &hooked{Sites: h.opts.Sites, hook: func() {
		h.lookElsewhere(t.Context())
		in := h.sites[h.site]
		check(t, in.take(t.Context()))
		defer in.give()
		check(t, h.takeSite(t.Context(), h.site, in, all))
	}}
	h.Refresh()
	if err := h.TakeIn(t.Context()); err != nil { // at once: the next Refresh is not due
		t.Fatal(err)
	}
	h.site.want(t, "set 1 older older")
}

// A folder that was moved away comes back with pending changes: each is made once, before newer changes.
func TestFolderComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.refuse(t, errAway)
	h.put(t, alice, alice, "main", "older")
	h.takeIn(t)
	check(t, os.Rename(h.path, h.path+"-old"))
	h.takeIn(t)
	check(t, os.RemoveAll(h.path))
	check(t, os.Rename(h.path+"-old", h.path))
	h.put(t, alice, alice, "main", "newer")
	h.refuse(t, nil)
	h.settle(t, h.site)
	h.site.want(t, "set 1 older older", "set 1 newer newer")
	h.takeIn(t)
	if w := h.Warnings(nil); len(w) != 0 || len(h.former) != 0 {
		t.Errorf("warnings %q, %d former folders", w, len(h.former))
	}
}

// A folder with changes, seen or held, gets another owner while the daemon runs, as after a restore, and then its own owner
// again: meanwhile newer changes are refused, and the first request afterwards finds the older changes made. Other users'
// sites go on.
func TestFolderGetsAnotherOwner(t *testing.T) {
	t.Parallel()
	for how, held := range map[string]bool{"unseen": false, "held": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			if held {
				h.refuse(t, errAway)
			}
			h.put(t, alice, alice, "main", "older")
			if held {
				h.takeIn(t)
				h.refuse(t, nil)
			}
			check(t, os.Chown(h.folder(alice), carol, -1))
			h.put(t, carol, carol, "main", "newer")
			h.wantHidden(t, h.site, "belongs to user")
			h.settle(t, h.next)
			h.takeIn(t)
			h.wantHidden(t, h.site, "belongs to user")
			h.site.want(t)
			check(t, os.Chown(h.folder(alice), alice, -1))
			h.settle(t, h.site)
			h.site.want(t, "set 1 older older", "set 1 newer newer")
		})
	}
}

// A folder that is made, or moved into place, while the daemon runs is used by the next request: a folder of a user without a
// folder so far, and of a user who is not in Options.Users.
func TestFolderAppears(t *testing.T) {
	t.Parallel()
	for what, user := range map[string]uint32{"of a user": alice, "of a newcomer": carol} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.opts.Users = func() []uint32 { return []uint32{alice} }
			for _, user := range []uint32{alice, carol} {
				check(t, os.Rename(h.folder(user), filepath.Join(filepath.Dir(h.path), strconv.Itoa(int(user)))))
			}
			h.takeIn(t)
			h.takeIn(t)
			check(t, os.Rename(filepath.Join(filepath.Dir(h.path), strconv.Itoa(int(user))), h.folder(user)))
			h.put(t, user, user, "main", "theirs")
			h.settle(t, h.site)
			h.site.want(t, "set 1 theirs theirs")
		})
	}
}

// A file system is mounted over a user's folder while the daemon runs, which the kernel does not report.
func TestFolderIsMountedOver(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.put(t, alice, alice, "main", "older")
	if err := unix.Mount("none", h.folder(alice), "tmpfs", 0, ""); errors.Is(err, unix.EPERM) {
		t.Skip("this container may not mount")
	} else {
		check(t, err)
	}
	t.Cleanup(func() { check(t, unix.Unmount(h.folder(alice), unix.MNT_DETACH)) })
	h.wantHidden(t, h.site, "belongs to user")
	h.prepare(t, alice)
	h.put(t, alice, alice, "main", "newer")
	h.settle(t, h.site)
	h.site.want(t, "set 1 older older", "set 1 newer newer")
}

// A daemon starts before its spool's file system is mounted, and finds another folder: changes are refused until the recorded
// folder is back. If that folder no longer exists, an operator removes the state file.
func TestStartOnAnotherFolder(t *testing.T) {
	t.Parallel()
	for what, there := range map[string]bool{"another folder": true, "no folder": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.opts.State = h.path + ".state"
			restart := func() {
				h.close(t)
				h.Spool = New(h.opts)
			}
			restart()
			h.settle(t, h.site)
			h.put(t, alice, alice, "main", "older")
			h.close(t)
			away := h.path + "-away"
			check(t, os.Rename(h.path, away))
			if there {
				h.prepare(t, alice)
			}
			restart()
			h.wantHidden(t, h.site, "mount the former folder or put it back")
			restart()
			h.wantHidden(t, h.site, "mount the former folder or put it back")
			check(t, os.RemoveAll(h.path))
			check(t, os.Rename(away, h.path))
			h.settle(t, h.site)
			h.site.want(t, "set 1 older older")
			h.close(t)
			check(t, os.RemoveAll(h.path))
			restart()
			h.wantHidden(t, h.site, h.opts.State)
			check(t, os.Remove(h.opts.State))
			h.takeIn(t)
			h.settle(t, h.site)
			restart()
			h.settle(t, h.site)
		})
	}
}

// A running daemon keeps the former folder: the state file follows when no file waits there.
func TestStateFollowsTheFolder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.opts.State = h.path + ".state"
	h.close(t)
	h.Spool = New(h.opts)
	h.refuse(t, errAway)
	h.put(t, alice, alice, "main", "older")
	h.takeIn(t)
	first, err := os.ReadFile(h.opts.State)
	check(t, err)
	check(t, os.Rename(h.path, h.path+"-old"))
	h.prepare(t, alice)
	h.takeIn(t)
	if held, err := os.ReadFile(h.opts.State); err != nil || string(held) != string(first) {
		t.Errorf("the state is %q (%v) while changes wait in the folder of %q", held, err, first)
	}
	h.refuse(t, nil)
	h.settle(t, h.site)
	h.takeIn(t)
	if settled, err := os.ReadFile(h.opts.State); err != nil || string(settled) == string(first) {
		t.Errorf("the state is %q (%v), still of the former folder", settled, err)
	}
}

// Without a watch (fs.inotify.max_user_watches) each request reads the folder.
func TestFolderThatCannotBeWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.news.close()
	r.news.fd = -1
	for i := range 3 {
		r.set(t, "main", 1, strconv.Itoa(i), strconv.Itoa(i))
		check(t, r.Settle(t.Context(), r.site, &protocol.FlushParams{}))
	}
	r.site.want(t, "set 1 0 0", "set 1 1 1", "set 1 2 2")
	r.wantLogged(t, 1, "max_user_watches")
}
