package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// tmpAge is after how long a file that is still being written has been given up by its writer.
const tmpAge = time.Hour

// stampDigits are how many digits of a name are the time of the file, in µs since 1970.
const stampDigits = 16

var frameName = regexp.MustCompile(`^[0-9]{16}-[1-9][0-9]{0,18}-[0-9a-f]{16}` + regexp.QuoteMeta(suffix) + `$`)

func validName(name string) bool { return frameName.MatchString(name) }

// Status implements [daemon.Spool]: it counts what is in the folders now.
func (s *Spool) Status(site daemon.Site) protocol.SpoolStatus {
	status := protocol.SpoolStatus{Taken: s.done.Load()}
	for _, l := range s.of(site) {
		l.status(&status)
	}
	return status
}

// of are the lanes that may hold changes of a site, in their order; nil stands for all sites.
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
		return // the next look finds that out, too
	}
	status.Files += int64(len(names))
	for _, name := range names {
		status.Bytes += sizeOf(l.folder.fd(), name)
	}
	for _, name := range names {
		if validName(name) { // the first is the oldest
			micros, _ := strconv.ParseInt(name[:stampDigits], 10, 64) // digits, as checked
			status.OldestMS = max(status.OldestMS, l.s.opts.Now().Sub(time.UnixMicro(micros)).Milliseconds())
			break
		}
	}
	status.Bad += l.folder.bad.count()
}

// Warnings implements [daemon.Spool].
func (s *Spool) Warnings(site daemon.Site) []string {
	s.mu.Lock()
	why, base, blind := s.why, s.base, s.blind
	s.mu.Unlock()
	if blind {
		return []string{fmt.Sprintf("the spool cannot be read: all changes are refused, as older ones may wait there: %s", why)}
	}
	if base == nil {
		return []string{fmt.Sprintf("the spool cannot be used; changes that clients cannot deliver fail there: %s", why)}
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
			return nil // whose changes are an administrator's, who sees them fail
		}
		return []string{fmt.Sprintf("user %d has no folder in the spool, so that its changes fail while the daemon is away: "+
			"run 'ticketd spool prepare' as root", l.user)}
	case l.folder == nil:
		return []string{fmt.Sprintf("a folder of the spool cannot be read: newer changes of its user's sites are refused, as older "+
			"ones may wait there: %s", l.why)}
	}
	var warnings []string
	if n := l.folder.bad.count(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files of the spool could not be used: see the reasons in %s/%s, "+
			"move back what shall be tried again, and remove the rest", n, l.folder.path, badName))
	}
	if n := l.stays.Load(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files in %s are done with and cannot be moved out of the way: "+
			"bad/ is full, or the log says why", n, l.folder.path))
	}
	if n := l.strangers.Load(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files in %s belong to other users than the folder: they are not touched; "+
			"find out who puts them there, and remove them", n, l.folder.path))
	}
	if n := l.elsewhere.Load(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files in %s are meant for another table than their site's and are left there: "+
			"put the site's dsn and table back as they were and restart, so that they are ingested; or run "+
			"'ticketd identity move' where that table has moved here; or remove them", n, l.folder.path))
	}
	if l.crowded.Load() {
		warnings = append(warnings, fmt.Sprintf("%s holds more files than are looked at (%d names, %d that cannot be used): "+
			"remove those that cannot be used", l.folder.path, maxNames, maxUseless))
	}
	return warnings
}

// sweep removes files that were never finished.
func (f *folder) sweep(now time.Time) {
	all, err := list(f.fd(), maxNames)
	if err != nil {
		return // the pass that follows says so
	}
	for _, name := range all {
		var stat unix.Stat_t
		if !strings.HasPrefix(name, unwritten) || unix.Fstatat(f.fd(), name, &stat, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		if now.Sub(time.Unix(stat.Mtim.Unix())) > tmpAge {
			_ = f.remove(name) // tried again at the next sweep
		}
	}
}
