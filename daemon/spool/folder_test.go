package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

// bad/ is bounded: a file beyond the bound stays in place, the log says so, and the file moves when bad/ has room.
func TestBadIsFull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range maxBadFiles {
		check(t, os.WriteFile(filepath.Join(r.path, badName, strconv.Itoa(i)), nil, 0o600))
	}
	name := r.name(1)
	r.write(t, name, nil)
	r.set(t, "main", 1, "a", "1")
	r.takeIn(t)
	r.takeIn(t)
	r.site.want(t, "set 1 a 1")
	r.wantFiles(t, "", name)
	r.wantLogged(t, 1, "bad/ is full")
	if w := r.Warnings(nil); len(w) != 2 || !strings.Contains(w[1], "full") {
		t.Errorf("warnings %q", w)
	}
	check(t, os.RemoveAll(filepath.Join(r.path, badName, "7")))
	r.takeIn(t)
	r.wantFiles(t, "")
	if w := r.Warnings(nil); len(w) != 1 {
		t.Errorf("warnings %q", w)
	}
}

func TestBadIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	big, err := os.Create(filepath.Join(r.path, badName, "big"))
	check(t, err)
	check(t, unix.Fallocate(int(big.Fd()), 0, 0, maxBadBytes)) // a hole would use no disk
	check(t, big.Close())
	name := r.name(1)
	r.write(t, name, []byte("no frame"))
	r.takeIn(t)
	r.wantFiles(t, "", name)
}

// Unfinished files are removed after an hour; the client's breaker file stays.
func TestUnfinishedFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, age := range map[string]time.Duration{
		".tmp-old": tmpAge + time.Minute, ".tmp-new": time.Minute, ".breaker": 24 * time.Hour,
	} {
		path := filepath.Join(r.path, name)
		check(t, os.WriteFile(path, nil, 0o600))
		check(t, os.Chtimes(path, time.Time{}, r.clock().Add(-age)))
	}
	r.takeIn(t)
	r.wantFiles(t, "", ".breaker", ".tmp-new")
}

func TestFolderIsMade(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	info, err := os.Stat(r.path)
	if err != nil || info.Mode() != os.ModeDir|baseMode {
		t.Errorf("mode %v (%v), want 0711", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(r.path, badName)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("bad/ has mode %v (%v), want 0700", info.Mode(), err)
	}
}

// A folder open to other users is not used until an operator has corrected the folder. Until then newer changes are refused,
// because older changes may wait there, and reads are stale.
func TestFolderThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		spoil func(path string) error
		why   string
		right func(path string) error
	}{
		"open to everybody": {
			func(path string) error { return os.Chmod(path, 0o777) }, "chmod o-rw",
			func(path string) error { return os.Chmod(path, 0o771) },
		},
		"readable by everybody": {
			func(path string) error { return os.Chmod(path, 0o775) }, "chmod o-rw",
			func(path string) error { return os.Chmod(path, 0o771) },
		},
		"a link": {
			func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) }, "a link",
			func(path string) error { return errors.Join(os.Remove(path), os.Rename(path+"2", path)) },
		},
		"a file": {
			func(path string) error { return errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)) }, "not a folder",
			os.Remove,
		},
		"bad/ is a link": {
			func(path string) error {
				bad := filepath.Join(path, badName)
				return errors.Join(os.Remove(bad), os.Symlink(path, bad))
			}, "a link",
			func(path string) error { return os.Remove(filepath.Join(path, badName)) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.close(t)
			check(t, c.spoil(r.path))
			r.open(t)
			w := r.Warnings(nil)
			if len(w) != 1 || !strings.Contains(w[0], c.why) || !strings.Contains(w[0], r.path) {
				t.Fatalf("warnings %q, want %q", w, c.why)
			}
			r.wantHidden(t, r.site, c.why)
			r.takeIn(t)
			r.wantLogged(t, 1, "the spool is unusable")
			check(t, c.right(r.path))
			check(t, r.Settle(t.Context(), r.site, &protocol.FlushParams{}))
			if w := r.Warnings(nil); len(w) != 0 {
				t.Errorf("put right, it still warns: %q", w)
			}
			r.set(t, "main", 1, "a", "1")
			if err := r.Settle(t.Context(), r.site, &protocol.FlushParams{}); err != nil {
				t.Fatal(err)
			}
			r.site.want(t, "set 1 a 1")
		})
	}
}

// A folder of another user is refused; root can give the folder away.
func TestFolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	path := "/" // root's
	if os.Geteuid() == 0 {
		path = t.TempDir()
		check(t, os.Chown(path, 4242, -1))
	}
	if _, err := openBase(path, -1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("error %v, want one that names the owner", err)
	}
}

func TestFolderOfAnotherDaemon(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if f, err := openFolder(r.base, shared, os.Geteuid()); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("got %v, error %v, want a refusal", f, err)
	}
}

// Device files, which only root can make, are set aside as well, unread.
func TestDeviceIsSetAside(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a device file")
	}
	r := newRig(t)
	name := r.name(1)
	const zero = 1<<8 | 5
	if err := unix.Mknod(filepath.Join(r.path, name), unix.S_IFCHR|0o600, zero); errors.Is(err, unix.EPERM) {
		t.Skip("this container may make no device files")
	} else if err != nil {
		t.Fatal(err)
	}
	r.takeIn(t)
	r.wantFiles(t, badName, name)
	r.site.want(t)
}
