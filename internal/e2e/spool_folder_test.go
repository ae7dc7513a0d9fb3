package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// ofAnOrdinaryUser makes the modes of folders count for root's daemon, as for any other user's.
//
//nolint:gochecknoglobals // a constant
var ofAnOrdinaryUser = []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}

// folderRig is a daemon whose spool folders are changed while it runs.
type folderRig struct {
	*rig
	spooler

	c *protocol.Client
}

func newFolderRig(t *testing.T, o rigOptions) *folderRig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can change a folder that is no longer its own")
	}
	o.under = ofAnOrdinaryUser
	r := &folderRig{rig: newRig(t, o)}
	r.dir = filepath.Join(r.spool(), strconv.Itoa(os.Geteuid()))
	r.c = r.dial(t)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spooled leaves a change of ticket 7 in the user's folder.
func (r *folderRig) spooled(t *testing.T, value string) {
	t.Helper()
	r.set(t, 7, "status", value, value)
}

// wantRefused demands that a newer change of the ticket is refused, and that a read is marked stale.
func (r *folderRig) wantRefused(t *testing.T) {
	t.Helper()
	_, err := r.c.Set(t.Context(), set(7, "status", "overtakes"))
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("a change past a folder that cannot be read: %v, want it unavailable", err)
	}
	ticket, err := r.c.Get(t.Context(), 7)
	if err == nil && !ticket.Stale || err != nil && !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("a read past it: %+v, %v, want it stale or unavailable", ticket, err)
	}
}

// wantNewest makes a change after those in the spool and demands that it stays.
func (r *folderRig) wantNewest(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, "the site takes changes again", func() bool {
		_, err := r.c.Set(t.Context(), set(7, "status", "newest"))
		return err == nil
	})
	testenv.Eventually(t, 20*time.Second, "the spool is empty", func() bool {
		status, err := r.c.Status(t.Context())
		return err == nil && status.Spool.Files == 0 && status.Spool.Taken > 0
	})
	var ticket protocol.Ticket
	testenv.Eventually(t, 20*time.Second, "the ticket can be read", func() (done bool) { // MySQL may have hung just now
		got, err := r.c.Get(t.Context(), 7)
		ticket = got
		return err == nil
	})
	if ticket.Stale || field(ticket.Fields, "status").Text() != "newest" {
		t.Errorf("the ticket is %+v: an older change was ingested over a newer one", ticket)
	}
}

// The user's folder cannot be read for a while, with pending changes in it.
func TestSpoolFolderLosesItsMode(t *testing.T) {
	t.Parallel()
	r := newFolderRig(t, rigOptions{})
	must(t, os.Chmod(r.dir, 0))
	r.spooled(t, "older")
	r.wantRefused(t)
	must(t, os.Chmod(r.dir, 0o770))
	r.wantNewest(t)
}

// A site cannot ingest a file; then its folder cannot be read, which must not free the site.
func TestSpoolFolderOfAHeldSiteLosesItsMode(t *testing.T) {
	t.Parallel()
	r := newFolderRig(t, rigOptions{noRedis: true, site: "max_dirty = 1"})
	r.proxy.Hold()
	if _, err := r.c.Set(t.Context(), set(1, "status", "fills up the site")); err != nil {
		t.Fatal(err)
	}
	r.spooled(t, "older")
	r.wantRefused(t)
	must(t, os.Chmod(r.dir, 0))
	r.proxy.Release()
	testenv.Eventually(t, 20*time.Second, "there is room again", func() bool {
		status, err := r.c.Status(t.Context())
		return err == nil && status.Dirty == 0
	})
	r.wantRefused(t)
	must(t, os.Chmod(r.dir, 0o770))
	r.wantNewest(t)
}

// The daemon starts while a folder that holds changes cannot be read.
func TestSpoolFolderUnreadableAtTheStart(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ spoil, mend func(r *folderRig) error }{
		"mode 0000": {
			func(r *folderRig) error { return os.Chmod(r.dir, 0) },
			func(r *folderRig) error { return os.Chmod(r.dir, 0o770) },
		},
		"wrong owner": {
			func(r *folderRig) error { return os.Chown(r.spool(), stranger, -1) },
			func(r *folderRig) error { return os.Chown(r.spool(), 0, -1) },
		},
		"mounted late": {
			func(r *folderRig) error { return os.Rename(r.spool(), r.spool()+"-away") },
			func(r *folderRig) error {
				return errors.Join(os.RemoveAll(r.spool()), os.Rename(r.spool()+"-away", r.spool()))
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newFolderRig(t, rigOptions{})
			r.Kill()
			r.spooled(t, "older")
			must(t, c.spoil(r))
			must(t, r.Restart(t.Context()))
			r.c = r.dial(t)
			r.wantRefused(t)
			must(t, c.mend(r))
			r.wantNewest(t)
		})
	}
}

// A folder with older changes replaces the folder that the daemon has open: the next request comes after the changes. The
// replaced folder holds changes, too.
func TestSpoolFolderIsReplaced(t *testing.T) {
	t.Parallel()
	for what, all := range map[string]bool{"a user's": false, "everybody's": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newFolderRig(t, rigOptions{})
			path, own := r.dir, r.dir
			if all {
				path = r.spool()
			}
			next := r.spool() + "-next"
			r.dir = next
			if all {
				must(t, os.Mkdir(next, 0o711))
				r.dir = filepath.Join(next, filepath.Base(own))
			}
			must(t, os.Mkdir(r.dir, 0o770))
			r.spooled(t, "next")
			r.dir = own
			r.spooled(t, "former")
			must(t, unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE))
			r.wantNewest(t)
			status, err := r.c.Status(t.Context())
			if err != nil || status.Spool.Taken != 2 {
				t.Errorf("%+v (%v), want both changes taken in", status.Spool, err)
			}
			if left, err := os.ReadDir(filepath.Join(next, map[bool]string{true: filepath.Base(own)}[all])); err != nil ||
				fmt.Sprint(left) != "[d bad/]" {
				t.Errorf("in the former folder: %v (%v)", left, err)
			}
		})
	}
}
