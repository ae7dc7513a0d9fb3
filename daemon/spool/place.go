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

// place is what stands at a path: a client writes into the folder that it finds there, whichever folder is open here. Two places
// that are equal are the same folder, open to the same users.
type place struct {
	errno    unix.Errno // why nothing is seen there; of the rest nothing is known then
	dev, ino uint64
	mode     uint32
	uid, gid uint32
	changed  unix.Timespec // when any of these was set last; only where the folder could not be opened
}

// placeAt looks at a path: the kernel's queue reports neither a mount nor the move of a folder further up.
func placeAt(path string) place { return placeIn(unix.AT_FDCWD, path) }

// placeIn looks at a name in an open folder.
func placeIn(dir int, name string) place {
	var stat unix.Stat_t
	err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		var errno unix.Errno
		errors.As(err, &errno) // the only kind that there is
		return place{errno: errno}
	}
	return place{dev: stat.Dev, ino: stat.Ino, mode: stat.Mode, uid: stat.Uid, gid: stat.Gid, changed: stat.Ctim}
}

// opened is the place without the time of its last change: that of an open folder changes with each file.
func (p place) opened() place {
	p.changed = unix.Timespec{}
	return p
}

// isEmpty says that nothing stands there, so that no client can write there either.
func (p place) isEmpty() bool { return p.errno == unix.ENOENT || p.errno == unix.ENOTDIR }

// is says whether the folder that is open stands there.
func (p place) is(dir *os.File) bool {
	var stat unix.Stat_t
	return p.errno == 0 && unix.Fstat(int(dir.Fd()), &stat) == nil && stat.Dev == p.dev && stat.Ino == p.ino
}

// isRemoved says that an open folder stands at no path any more, so that nothing can be in it.
func isRemoved(dir *os.File) bool {
	var stat unix.Stat_t
	return unix.Fstat(int(dir.Fd()), &stat) == nil && stat.Nlink == 0
}

// follow looks whether the folders of a site stand where they stood, and as they did, and opens what stands there where not; nil
// stands for all sites. A site's look counts for a while: that costs what a look costs once in that time, however many requests
// come, and a folder is neither put into another one's place nor written into faster than that.
func (s *Spool) follow(site daemon.Site) {
	s.mu.Lock()
	isDue := !s.stopped
	if in := s.sites[site]; site != nil && isDue {
		now := time.Now()
		isDue = in != nil && (now.Sub(in.looked) >= s.opts.LookEvery || s.newcomer || s.hidden(in) != nil)
		if isDue {
			in.looked = now
		}
	}
	moved := isDue && s.moved(site)
	s.mu.Unlock()
	if moved {
		s.Refresh()
	}
}

// moved is called with the spool's mu held.
func (s *Spool) moved(site daemon.Site) bool {
	if placeAt(s.opts.Path).isOther(s.at, s.base != nil) {
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
		return s.newcomer
	}
	return s.newcomer || slices.ContainsFunc(s.sites[site].lanes, (*lane).isMoved)
}

// isMoved is called with the spool's mu held, while there is a base.
func (l *lane) isMoved() bool {
	if l.former || (l.isShared() && !l.blind) { // the shared lane is the base, which is looked at anyway
		return false
	}
	return placeIn(int(l.s.base.Fd()), l.name).isOther(l.at, !l.blind)
}

// isOther says whether the place is another one than it was when the folder was opened, or could not be.
func (p place) isOther(was place, isOpen bool) bool {
	if isOpen {
		p = p.opened()
	}
	return p != was
}

// hidden says why changes of a site may wait that cannot be read; nil where all folders can be read. A folder that is not there
// hides none. It is called with the spool's mu held.
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

// pathOf is the path of a lane's folder.
func (s *Spool) pathOf(name string) string { return filepath.Join(s.opts.Path, name) }
