package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
)

// place is the state of a path. A client writes into the folder at the path, whichever folder the daemon has open. Two equal
// places are the same folder, open to the same users.
type place struct {
	errno    unix.Errno // why the path cannot be examined; the other fields are then zero
	dev, ino uint64
	mode     uint32
	uid, gid uint32
	changed  unix.Timespec // last change of these fields; set only if the folder could not be opened
}

// placeAt examines a path: the kernel's queue reports neither a mount nor the move of a parent folder.
func placeAt(path string) place { return placeIn(unix.AT_FDCWD, path) }

// placeIn examines a name in an open folder.
func placeIn(dir int, name string) place {
	var stat unix.Stat_t
	err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		var errno unix.Errno
		errors.As(err, &errno) // Fstatat returns no other type
		return place{errno: errno}
	}
	return place{dev: stat.Dev, ino: stat.Ino, mode: stat.Mode, uid: stat.Uid, gid: stat.Gid, changed: stat.Ctim}
}

// opened returns the place without the time of change, which in an open folder changes with each file.
func (p place) opened() place {
	p.changed = unix.Timespec{}
	return p
}

// isEmpty returns whether no folder or file stands at the path, so that no client can write there either.
func (p place) isEmpty() bool { return p.errno == unix.ENOENT || p.errno == unix.ENOTDIR }

// is returns whether the open folder stands at the path.
func (p place) is(dir *os.File) bool {
	var stat unix.Stat_t
	return p.errno == 0 && unix.Fstat(int(dir.Fd()), &stat) == nil && stat.Dev == p.dev && stat.Ino == p.ino
}

// isRemoved returns whether an open folder stands at no path any more, so that the folder is empty.
func isRemoved(dir *os.File) bool {
	var stat unix.Stat_t
	return unix.Fstat(int(dir.Fd()), &stat) == nil && stat.Nlink == 0
}

// follow checks that the folders of a site stand unchanged at their paths, and opens the folders that have changed; nil
// stands for all sites. A check of a site counts for LookEvery, however many requests come: a folder is not replaced and
// written into faster than that.
func (s *Spool) follow(site daemon.Site) {
	s.mu.Lock()
	isDue := !s.stopped
	in, now := s.sites[site], time.Now()
	if site != nil && isDue {
		isDue = in != nil && (now.Sub(in.looked) >= s.opts.LookEvery || s.version != s.assigned || s.hidden(in) != nil)
	}
	moved := isDue && s.moved(site)
	if in != nil && isDue && !moved { // until another folder is open, each request checks, and waits for Refresh
		in.looked = now
	}
	s.mu.Unlock()
	if moved {
		s.Refresh()
	}
}

// moved needs the spool's mu.
func (s *Spool) moved(site daemon.Site) bool {
	if s.version != s.assigned || placeAt(s.opts.Path).isOther(s.at, s.base != nil) {
		return true
	}
	if s.base == nil {
		return false
	}
	if site == nil {
		for _, l := range s.lanes {
			if l.isMoved() {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(s.sites[site].lanes, (*lane).isMoved)
}

// isMoved needs the spool's mu, and a base.
func (l *lane) isMoved() bool {
	if l.former || (l.isShared() && !l.blind) { // the shared lane is the base, which moved checks anyway
		return false
	}
	return placeIn(int(l.s.base.Fd()), l.name).isOther(l.at, !l.blind)
}

// isOther returns whether the place has changed since the folder was opened, or failed to open.
func (p place) isOther(was place, isOpen bool) bool {
	if isOpen {
		p = p.opened()
	}
	return p != was
}

// hidden returns why unreadable changes of a site may exist; nil if all folders are readable. A missing folder hides none.
// The caller holds the spool's mu.
func (s *Spool) hidden(in *intake) error {
	if s.blind {
		return s.why
	}
	for _, l := range in.lanes {
		if l.blind {
			return l.hides
		}
	}
	return nil
}

// pathOf returns the path of a lane's folder.
func (s *Spool) pathOf(name string) string { return filepath.Join(s.opts.Path, name) }
