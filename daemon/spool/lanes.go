package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
)

// Refresh finds the folders and gives each site the lanes that may hold its changes. Call Refresh when folders or sites may
// have changed.
func (s *Spool) Refresh() {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	s.scanned = s.opts.Now()
	s.mu.Lock()
	version := s.version // a folder that is found or let go of from here on needs another Refresh
	s.mu.Unlock()
	base, err := s.openBase()
	if err != nil && !errors.Is(err, errNoFolder) {
		s.assign(version) // open folders stay open: the base may be hidden for a moment
		return
	}
	s.dropFormer()
	names := []string{shared}
	if base != nil {
		names = s.users(base)
	}
	for _, name := range names {
		s.lane(name)
	}
	for _, l := range s.all() {
		if l.former {
			continue
		}
		l.tidy(base)
		if !slices.Contains(names, l.name) && l.isGone() {
			s.drop(l)
		}
	}
	s.assign(version)
	if base != nil && s.isSettledIn() {
		s.remember(base)
	}
}

// tidy calls Refresh every rescanEvery.
func (s *Spool) tidy() {
	s.tidying.Lock()
	isTime := s.opts.Now().Sub(s.scanned) >= rescanEvery
	s.tidying.Unlock()
	if isTime {
		s.Refresh()
	}
}

// errNoFolder: no folder stands at the path and none can be made, so no client can leave files there.
var errNoFolder = errors.New("no such folder")

// openBase returns the base; without an error the base is never nil. openBase opens the folder at the path if the folder is
// another than before, or open to other users than before. The log gets a line for each new reason why not.
func (s *Spool) openBase() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, s.why
	}
	at := placeAt(s.opts.Path)
	if s.base != nil {
		if at.opened() == s.at {
			return s.base, nil
		}
		if !at.is(s.base) {
			s.opts.Log.Error().Str("spool", s.opts.Path).
				Msg("the spool's folder is gone, or is another folder than before; pending changes are ingested from the former folder")
		}
		_ = s.base.Close() // no write went through the descriptor
		s.base = nil
	}
	base, err := s.open()
	if err == nil {
		if s.why != nil {
			s.opts.Log.Info().Str("spool", s.opts.Path).Msg("the spool is usable again")
		}
		s.base, s.why, s.blind, s.at = base, nil, false, placeAt(s.opts.Path).opened()
		if !s.at.is(base) {
			s.at = place{} // replaced meanwhile: the next request sees the change
		}
		return base, nil
	}
	isMissing := at.isEmpty() && placeAt(s.opts.Path).isEmpty()
	if another := s.recognize(nil); isMissing && another != nil {
		err, isMissing = another, false
	}
	s.at, s.blind = at, !isMissing
	if passing(err) {
		s.at = place{} // the next request retries
	}
	if s.why == nil || s.why.Error() != err.Error() {
		s.opts.Log.Error().Err(err).Bool("changes_wait", !isMissing).
			Msg("the spool is unusable: undelivered changes fail, and newer changes, too, while older changes may wait in the spool")
	}
	s.why = err
	if isMissing {
		err = fmt.Errorf("%w: %w", errNoFolder, err)
	}
	return nil, err
}

// open opens the folder at the base's path, and the kernel's queue. The caller holds mu.
func (s *Spool) open() (*os.File, error) {
	if s.news == nil {
		queue, err := newNews()
		if err != nil {
			return nil, err
		}
		s.news = queue
	}
	base, err := openBase(s.opts.Path, s.opts.GID)
	if err != nil {
		return nil, err
	}
	if err := s.recognize(base); err != nil {
		return nil, errors.Join(err, base.Close())
	}
	return base, nil
}

// shut closes all folders. The caller holds tidying.
func (s *Spool) shut(why error) {
	for _, l := range s.all() {
		l.mu.Lock()
		l.shut(why)
		l.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base != nil {
		_ = s.base.Close() // no write went through the descriptor
	}
	if s.news != nil {
		s.news.close()
	}
	s.base, s.news, s.why, s.stopped = nil, nil, why, true
	s.watches, s.lanes, s.sites, s.former = map[int]*lane{}, map[string]*lane{}, map[daemon.Site]*intake{}, nil
}

// dropFormer closes the former folders that are done.
func (s *Spool) dropFormer() {
	s.mu.Lock()
	former := slices.Clone(s.former)
	s.mu.Unlock()
	for _, l := range former {
		if !l.isDone() {
			continue
		}
		s.mu.Lock()
		s.former = slices.DeleteFunc(s.former, func(of *lane) bool { return of == l })
		s.mu.Unlock()
	}
}

// isDone returns whether a former folder is obsolete, and closes such a folder: no file waits in the folder, or the folder
// was removed, or the folder stands at its path again and is opened anew.
func (l *lane) isDone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := false
	for _, f := range l.files {
		waits = waits || f.site != nil
	}
	l.s.mu.Lock()
	l.s.hear()
	waits = waits || l.unseen || l.busy
	l.s.mu.Unlock()
	if waits && !isRemoved(l.folder.dir) && !placeAt(l.s.pathOf(l.name)).is(l.folder.dir) {
		return false
	}
	l.s.renew()
	l.shut(nil)
	return true
}

// isSettledIn returns whether no former folder holds changes: only the open base does.
func (s *Spool) isSettledIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.former) == 0
}

// users returns the names of all possible lanes: the base, the users that may have a folder, and the users that have one.
func (s *Spool) users(base *os.File) []string {
	names := []string{shared}
	for _, uid := range s.opts.Users() {
		names = append(names, strconv.FormatUint(uint64(uid), 10))
	}
	there, err := list(int(base.Fd()), maxNames)
	if err != nil {
		s.opts.Log.Warn().Err(err).Msg("cannot list the spool's folders; the daemon retries")
	}
	for _, name := range there {
		if !isUser(name) {
			continue
		}
		if info, err := os.Lstat(filepath.Join(base.Name(), name)); err == nil && info.IsDir() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// all returns the lanes, in no order.
func (s *Spool) all() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := slices.Clone(s.former)
	for _, l := range s.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}

// lane makes the lane of this name unless the lane exists.
func (s *Spool) lane(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes[name] != nil {
		return
	}
	l := &lane{s: s, name: name}
	if !l.isShared() {
		uid, _ := strconv.ParseUint(name, 10, 32) // isUser has checked the number
		l.user = uint32(uid)
	}
	s.lanes[name] = l
	s.version++
}

func (s *Spool) drop(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, l.name)
}

// isGone returns whether the lane has no folder, not even a hidden folder.
func (l *lane) isGone() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return !l.blind && l.at.isEmpty()
}

// tidy opens the folder at the lane's path if another folder stands there than before. Otherwise tidy counts bad/ anew, which
// operators change, and removes unfinished files. base is nil without a base.
func (l *lane) tidy(base *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = map[uint32]uint32{}
	if !l.isShared() {
		l.peer = daemon.Peer{UID: l.user, GID: primaryGroup(l.user)}
	}
	l.s.mu.Lock()
	was := l.at
	l.s.mu.Unlock()
	at := placeAt(l.s.pathOf(l.name))
	if l.folder != nil && at.opened() != was {
		l.part(at)
	}
	if l.folder == nil {
		l.open(base, at)
		return
	}
	if err := l.folder.bad.measure(); err != nil {
		l.s.opts.Log.Warn().Err(err).Str("folder", l.folder.path).Msg("cannot count the files in the spool's bad/")
	}
	l.folder.sweep(l.s.opts.Now())
	for name, f := range l.files {
		if f.stranger {
			delete(l.files, name) // the file's owner may have changed
		}
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.unseen = true
}

// tmpAge is the age at which an unfinished file counts as abandoned by its writer.
const tmpAge = time.Hour

// sweep removes abandoned unfinished files.
func (f *folder) sweep(now time.Time) {
	all, err := list(f.fd(), maxNames)
	if err != nil {
		return // the next look reports the error
	}
	for _, name := range all {
		var stat unix.Stat_t
		if !strings.HasPrefix(name, unwritten) || unix.Fstatat(f.fd(), name, &stat, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		if now.Sub(time.Unix(stat.Mtim.Unix())) > tmpAge {
			_ = f.remove(name) // the next sweep retries
		}
	}
}

// open opens the folder at the lane's path. The log gets a line for each new reason why not. The caller holds l.mu.
func (l *lane) open(base *os.File, at place) {
	owner := int(l.user)
	if l.isShared() {
		owner = os.Geteuid()
	}
	var f *folder
	err := errNoFolder
	if base != nil {
		f, err = openFolder(base, l.name, owner)
	}
	if err == nil && !at.is(f.dir) {
		f.close()
		err = errors.New("the folder is being replaced by another folder")
		at = place{} // the next request retries
	}
	if err != nil {
		l.hide(err, at)
		return
	}
	if l.why != nil {
		l.s.opts.Log.Info().Str("folder", f.path).Msg("a folder of the spool is usable again")
	}
	l.folder, l.why, l.files = f, nil, map[string]file{}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.unseen, l.later, l.at, l.blind, l.hides = true, time.Time{}, at.opened(), false, nil
}

// part lets go of a folder that no longer stands at its path, or is open to other users than before. A folder that was moved
// away keeps its acknowledged changes: the folder becomes a former lane until no file waits there. The caller holds l.mu.
func (l *lane) part(at place) {
	l.s.renew()
	switch {
	case at.is(l.folder.dir):
		l.shut(nil) // opened again if permitted
		return
	case isRemoved(l.folder.dir):
		l.s.opts.Log.Error().Str("folder", l.folder.path).Msg("a folder of the spool was removed, with its pending changes")
		l.shut(nil)
		return
	}
	l.s.opts.Log.Error().Str("folder", l.folder.path).
		Msg("a folder of the spool was moved away or mounted over; its pending changes are still ingested")
	former := &lane{
		s: l.s, name: l.name, user: l.user, former: true,
		folder: l.folder, peer: l.peer, groups: map[uint32]uint32{}, files: l.files,
	}
	former.strangers.Store(l.strangers.Load())
	former.elsewhere.Store(l.elsewhere.Load())
	former.stays.Store(l.stays.Load())
	l.folder = nil
	l.shut(nil)
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	former.unseen = true // for all files up to now
	l.s.former = append(l.s.former, former)
}

// renew starts a new version of the folders. Whoever lets go of a folder calls renew first.
func (s *Spool) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
}

// assign gives each site the lanes that may hold changes of the site. The lanes are those of this version of the folders.
func (s *Spool) assign(version int) {
	lanes := map[daemon.Site][]*lane{}
	root := s.opts.Sites.Of(daemon.Peer{}) // user 0 may use all
	for _, l := range s.all() {
		l.mu.Lock()
		peer := l.peer // a former lane keeps its peer
		l.mu.Unlock()
		sites := root
		if !l.isShared() {
			sites = s.opts.Sites.Of(peer)
		}
		for _, site := range sites {
			lanes[site] = append(lanes[site], l)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assigned = version
	for _, site := range root {
		if s.sites[site] == nil {
			s.sites[site] = &intake{turn: make(chan struct{}, 1), moves: s.opts.Moves(site)}
		}
	}
	for site, in := range s.sites {
		for _, l := range lanes[site] {
			// A look at the lane before the lane belonged to the site did not set the site's pending.
			in.pending = in.pending || !slices.Contains(in.lanes, l)
		}
		in.lanes = lanes[site]
	}
}

const (
	// markName is the file in the base by which the daemon recognizes the base: 32 hexadecimal digits.
	markName  = ".id"
	markBytes = 16
)

// errAnother: the base is not the base that the daemon used before.
var errAnother = errors.New("another folder")

// recognize refuses a base other than the base in the state file: if a file system is mounted late, or a folder was moved
// away while no daemon ran, older changes may wait in the recorded base. base is nil if no folder stands at the path. A
// running daemon keeps the former folder (see [lane.part]), and the state file follows when no file waits there. The caller
// holds mu.
func (s *Spool) recognize(base *os.File) error {
	if s.opts.State == "" || s.recorded {
		return nil
	}
	known, err := s.known()
	mark := ""
	if err == nil && base != nil {
		mark, err = readMark(base)
	}
	if err != nil {
		return err
	}
	if known != "" && mark != known {
		return fmt.Errorf("%s is %w than before, and changes may wait in the former folder: mount the former folder or put it back; "+
			"if the former folder no longer exists, remove %s", s.opts.Path, errAnother, s.opts.State)
	}
	return nil
}

// known returns the mark in the state file for this path; an empty string without a mark.
func (s *Spool) known() (string, error) {
	record, err := os.ReadFile(s.opts.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read which folder was the spool before: %w", err)
	}
	mark, path, _ := strings.Cut(strings.TrimSuffix(string(record), "\n"), " ")
	if path != s.opts.Path {
		return "", nil
	}
	return mark, nil
}

// remember records in the state file that the base holds the changes. The caller holds tidying.
func (s *Spool) remember(base *os.File) {
	if s.opts.State == "" {
		return
	}
	mark, err := readMark(base)
	if err == nil && mark == "" {
		mark, err = makeMark(base)
	}
	record := mark + " " + s.opts.Path + "\n"
	if was, _ := os.ReadFile(s.opts.State); err == nil && string(was) != record { // an unreadable state file is overwritten
		err = writeRecord(s.opts.State, record)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.recorded {
		return // already logged
	}
	if err != nil {
		s.opts.Log.Warn().Err(err).Msg("cannot record which folder is the spool: the next start would accept another folder")
	}
	s.recorded = true
}

// readMark returns the base's mark; an empty string without a mark.
func readMark(base *os.File) (string, error) {
	fd, err := unix.Openat(int(base.Fd()), markName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(base.Name(), markName), err)
	}
	file := os.NewFile(uintptr(fd), markName)
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, 2*markBytes))
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(base.Name(), markName), err)
	}
	return string(content), nil
}

// makeMark gives the base a mark. Another daemon that starts at the same time may do the same: the first mark stays.
func makeMark(base *os.File) (string, error) {
	var random [markBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	mark, draft := hex.EncodeToString(random[:]), unwritten+markName
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(base.Fd()), draft, flags, 0o600)
	if err != nil {
		return "", fmt.Errorf("marking %s: %w", base.Name(), err)
	}
	file := os.NewFile(uintptr(fd), draft)
	_, err = file.WriteString(mark)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = unix.Renameat2(int(base.Fd()), draft, int(base.Fd()), markName, unix.RENAME_NOREPLACE)
	}
	if errors.Is(err, unix.EEXIST) {
		return readMark(base)
	}
	if err != nil {
		return "", fmt.Errorf("marking %s: %w", base.Name(), err)
	}
	return mark, nil
}

func writeRecord(path, record string) error {
	draft := path + ".new"
	if err := os.WriteFile(draft, []byte(record), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
