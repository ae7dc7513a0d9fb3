package spool

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

// tmpAge is after how long a file that is still being written has been given up by its writer.
const tmpAge = time.Hour

// stampDigits are how many digits of a name are the time of the file, in µs since 1970.
const stampDigits = 16

var frameName = regexp.MustCompile(`^[0-9]{16}-[1-9][0-9]{0,18}-[0-9a-f]{16}` + regexp.QuoteMeta(suffix) + `$`)

func validName(name string) bool { return frameName.MatchString(name) }

// Status implements [daemon.Spool]: it counts what is in the folder now.
func (s *Spool) Status() protocol.SpoolStatus {
	status := protocol.SpoolStatus{Taken: s.done.Load()}
	s.life.RLock()
	defer s.life.RUnlock()
	s.mu.Lock()
	f := s.folder
	s.mu.Unlock()
	if f == nil {
		return status
	}
	names, err := f.names()
	if err != nil {
		return status // the next pass finds that out, too
	}
	status.Files = int64(len(names))
	for _, name := range names {
		status.Bytes += sizeOf(f.fd(), name)
	}
	for _, name := range names {
		if validName(name) { // the first is the oldest
			micros, _ := strconv.ParseInt(name[:stampDigits], 10, 64) // digits, as checked
			status.OldestMS = max(s.opts.Now().Sub(time.UnixMicro(micros)).Milliseconds(), 0)
			break
		}
	}
	status.Bad = f.bad.count()
	return status
}

// Warnings implements [daemon.Spool].
func (s *Spool) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder == nil {
		return []string{fmt.Sprintf("the spool cannot be used; changes that clients cannot deliver fail there: %s", s.why)}
	}
	var warnings []string
	if n := s.folder.bad.count(); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files of the spool could not be used: see the reasons in %s/%s, "+
			"move back what shall be tried again, and remove the rest", n, s.folder.path, badName))
	}
	if n := len(s.strangers); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files of the spool in %s are meant for another table than their site's and are "+
			"left "+
			"there: put the site's dsn and table back as they were and restart, so that they are taken in; or run 'ticketd identity "+
			"move' where that table has moved here; or remove them", n, s.folder.path))
	}
	if s.stays > 0 {
		warnings = append(warnings, fmt.Sprintf("%d files of the spool are done with and cannot be moved out of the way: "+
			"bad/ is full, or the log says why", s.stays))
	}
	return warnings
}

// tidy looks at the whole folder, whatever the kernel has told of it: is it still there, what do operators and failed
// writers leave. It is called with the turn held.
func (s *Spool) tidy() {
	s.scanned = s.opts.Now()
	s.mu.Lock()
	f := s.folder
	s.mu.Unlock()
	switch {
	case f == nil:
		s.open()
		return
	case !f.present():
		s.lose(fmt.Errorf("daemon.spool_dir: %s is gone, or is another folder than before", f.path))
		s.open()
		return
	}
	if err := f.bad.measure(); err != nil {
		s.opts.Log.Warn().Err(err).Msg("the spool's bad/ cannot be counted")
	}
	f.sweep(s.opts.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unseen = true
}

// sweep removes files that were never finished.
func (f *folder) sweep(now time.Time) {
	all, err := list(f.fd())
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
