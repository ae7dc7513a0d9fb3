package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Each folder gets the user, the daemon's group and a mode that excludes other users; a correct folder stays unchanged.
func TestPrepare(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := Preparation{Base: h.path, SharedGID: -1, UID: 0, GID: groupOfBob, Users: []uint32{alice, bob}, Say: t.Logf}
	check(t, os.Chmod(h.folder(alice), 0o700))
	check(t, p.Run())
	for _, user := range p.Users {
		var stat unix.Stat_t
		check(t, unix.Lstat(h.folder(user), &stat))
		if stat.Uid != user || stat.Gid != groupOfBob || stat.Mode != unix.S_IFDIR|0o2770 {
			t.Errorf("user %d, group %d, mode %o", stat.Uid, stat.Gid, stat.Mode)
		}
	}
	p.Say = func(format string, args ...any) { t.Errorf("the second time: "+format, args...) }
	check(t, p.Run())
}

// A folder that a group may write to, as older versions made it, keeps the group's members from moving other users' folders.
func TestPrepareTheFolderOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	check(t, os.Chmod(h.path, os.ModeSetgid|0o770))
	h.prepare(t, alice)
	info, err := os.Stat(h.path)
	check(t, err)
	if info.Mode() != os.ModeDir|os.ModeSetgid|os.ModeSticky|0o771 {
		t.Errorf("mode %v", info.Mode())
	}
}

// A file of another user in the place of a folder is named and stays unchanged.
func TestPrepareRefusesWhatIsSomebodyElses(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(path string) error{
		"another's": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, bob, -1)) },
		"a link":    func(path string) error { return os.Symlink("/tmp", path) },
		"a file":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"root's, and something in it": func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Mkdir(filepath.Join(path, "x"), 0o700))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			check(t, os.RemoveAll(h.folder(alice)))
			check(t, spoil(h.folder(alice)))
			p := Preparation{Base: h.path, SharedGID: -1, Users: []uint32{alice, carol}, Say: t.Logf}
			if err := p.Run(); err == nil || !strings.Contains(err.Error(), h.folder(alice)) {
				t.Errorf("error %v", err)
			}
			if info, err := os.Stat(h.folder(carol)); err != nil || info.Mode().Perm() != 0o770 {
				t.Errorf("the other folder: %v, %v", info, err)
			}
		})
	}
}
