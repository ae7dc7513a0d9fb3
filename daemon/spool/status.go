package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// Status implements [daemon.Spool]: Status counts the files in the folders now.
func (s *Spool) Status(site daemon.Site) protocol.SpoolStatus {
	status := protocol.SpoolStatus{Taken: s.done.Load()}
	for _, l := range s.of(site) {
		l.status(&status)
	}
	return status
}

// of returns the lanes that may hold changes of a site, in order of their names; nil stands for all sites.
func (s *Spool) of(site daemon.Site) []*lane {
	lanes := s.all()
	if site != nil {
		s.mu.Lock()
		if in := s.sites[site]; in != nil {
			lanes = slices.Clone(in.lanes)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(lanes, func(a, b *lane) int { return cmp.Compare(a.name, b.name) })
	return lanes
}

func (l *lane) status(status *protocol.SpoolStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder == nil {
		return
	}
	names, _, _, err := l.folder.names(l.isShared())
	if err != nil {
		return // the next look reports the error, too
	}
	status.Files += int64(len(names))
	for _, name := range names {
		status.Bytes += sizeOf(l.folder.fd(), name)
	}
	for _, name := range names {
		if validName(name) { // the first name is the oldest
			status.OldestMS = max(status.OldestMS, l.s.opts.Now().Sub(timeOf(name)).Milliseconds())
			break
		}
	}
	status.Bad += l.folder.bad.count()
}

// sizeOf returns a file's size in bytes; 0 for a missing file.
func sizeOf(at int, name string) int64 {
	var stat unix.Stat_t
	if err := unix.Fstatat(at, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0
	}
	return stat.Size
}

// Warnings implements [daemon.Spool].
func (s *Spool) Warnings(site daemon.Site) []string {
	s.mu.Lock()
	why, base, blind := s.why, s.base, s.blind
	s.mu.Unlock()
	if blind {
		return []string{fmt.Sprintf("cannot read the spool: all changes are refused, because older changes may wait there: %s", why)}
	}
	if base == nil {
		return []string{fmt.Sprintf("the spool is unusable; undelivered changes fail: %s", why)}
	}
	var warnings []string
	for _, l := range s.of(site) {
		warnings = append(warnings, l.warnings()...)
	}
	return warnings
}

func (l *lane) warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.folder == nil && errors.Is(l.why, fs.ErrNotExist):
		if l.user == 0 || int(l.user) == os.Geteuid() {
			return nil // an administrator sees its own changes fail
		}
		return []string{fmt.Sprintf("user %d has no folder in the spool, so its changes fail while the daemon is unreachable: "+
			"run 'ticketd spool prepare' as root", l.user)}
	case l.folder == nil:
		return []string{fmt.Sprintf("cannot read a folder of the spool: newer changes of its user's sites are refused, because older "+
			"changes may wait there: %s", l.why)}
	}
	var warnings []string
	if n := l.folder.bad.count(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files of the spool are unusable: read the reasons in %s/%s, "+
			"move back the files to retry, and remove the rest", n, l.folder.path, badName))
	}
	if n := l.stays.Load(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d finished files in %s cannot be removed: "+
			"bad/ is full, or see the log", n, l.folder.path))
	}
	if n := l.strangers.Load(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files in %s belong to other users than the folder and stay untouched: "+
			"find out which program puts them there, and remove them", n, l.folder.path))
	}
	if n := l.elsewhere.Load(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files in %s are for another table than their site's and stay there: "+
			"restore the site's former dsn and table and restart, to ingest the files; or run "+
			"'ticketd identity move' if that table has moved here; or remove the files", n, l.folder.path))
	}
	if l.crowded.Load() {
		warnings = append(warnings, fmt.Sprintf("%s holds more files than the daemon reads (%d names, %d unusable): "+
			"remove the unusable files", l.folder.path, maxNames, maxUseless))
	}
	return warnings
}
