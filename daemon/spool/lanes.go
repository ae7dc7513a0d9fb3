package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ticketd/ticketd/daemon"
)

// Refresh looks which folders there are, and whose changes each may hold. It is called when that may have changed.
func (s *Spool) Refresh() {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	s.scanned = s.opts.Now()
	base, err := s.openBase()
	if err != nil && !errors.Is(err, errNoFolder) {
		s.assign() // what is open stays open: it may be hidden for a moment
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
	s.assign()
	if base != nil && s.isSettledIn() {
		s.remember(base)
	}
}

// tidy is Refresh, now and then.
func (s *Spool) tidy() {
	s.tidying.Lock()
	isTime := s.opts.Now().Sub(s.scanned) >= rescanEvery
	s.tidying.Unlock()
	if isTime {
		s.Refresh()
	}
}

// errNoFolder means that no folder stands at the path and none can be made: no client can leave anything there.
var errNoFolder = errors.New("there is no such folder")

// openBase returns the base. It opens what stands at its path where that is another folder than before, or open to others than
// before; the log hears of a new reason why not once. Without an error there is one.
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
				Msg("the spool's folder is gone, or is another one than before; what waits in the former one is ingested from there")
		}
		_ = s.base.Close() // nothing was written through it
		s.base = nil
	}
	base, err := s.open()
	if err == nil {
		if s.why != nil {
			s.opts.Log.Info().Str("spool", s.opts.Path).Msg("the spool can be used")
		}
		s.base, s.why, s.blind, s.at = base, nil, false, placeAt(s.opts.Path).opened()
		if !s.at.is(base) {
			s.at = place{} // it was replaced meanwhile: the next request finds that out
		}
		return base, nil
	}
	isMissing := at.isEmpty() && placeAt(s.opts.Path).isEmpty()
	if another := s.recognize(nil); isMissing && another != nil {
		err, isMissing = another, false
	}
	s.at, s.blind = at, !isMissing
	if passing(err) {
		s.at = place{} // it is tried again at the next request
	}
	if s.why == nil || s.why.Error() != err.Error() {
		s.opts.Log.Error().Err(err).Bool("changes_wait", !isMissing).
			Msg("the spool cannot be used; changes that clients cannot deliver fail there, and while some may wait there, newer ones too")
	}
	s.why = err
	if isMissing {
		err = fmt.Errorf("%w: %w", errNoFolder, err)
	}
	return nil, err
}

// open opens what stands at the base's path, and the kernel's queue. It is called with mu held.
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

// shut closes everything. It is called with tidying held.
func (s *Spool) shut(why error) {
	for _, l := range s.all() {
		l.mu.Lock()
		l.shut(why)
		l.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base != nil {
		_ = s.base.Close() // nothing was written through it
	}
	if s.news != nil {
		s.news.close()
	}
	s.base, s.news, s.why, s.stopped = nil, nil, why, true
	s.watches, s.lanes, s.sites, s.former = map[int]*lane{}, map[string]*lane{}, map[daemon.Site]*intake{}, nil
}

// dropFormer closes former folders in which nothing waits any more, or that stand at their paths again, where they are opened
// anew.
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

// isSettledIn says that no former folder holds changes, so that only the base that is open does.
func (s *Spool) isSettledIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.former) == 0
}

// users names the lanes that there may be: the base itself, those who may have a folder, and those who have one.
func (s *Spool) users(base *os.File) []string {
	names := []string{shared}
	for _, uid := range s.opts.Users() {
		names = append(names, strconv.FormatUint(uint64(uid), 10))
	}
	s.mu.Lock()
	s.newcomer = false
	s.mu.Unlock()
	there, err := list(int(base.Fd()), maxNames)
	if err != nil {
		s.opts.Log.Warn().Err(err).Msg("the spool's folders cannot be listed; it is tried again")
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

// all are the lanes, in no order.
func (s *Spool) all() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := slices.Clone(s.former)
	for _, l := range s.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}

// lane makes the lane of this name unless it exists.
func (s *Spool) lane(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes[name] != nil {
		return
	}
	l := &lane{s: s, name: name}
	if !l.isShared() {
		uid, _ := strconv.ParseUint(name, 10, 32) // as isUser has found
		l.user = uint32(uid)
	}
	s.lanes[name] = l
}

func (s *Spool) drop(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, l.name)
}

// isGone says that the lane has no folder and that nothing hides one.
func (l *lane) isGone() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return !l.blind && l.at.isEmpty()
}

// tidy opens the folder that stands at the lane's path, where that is another one than before, or looks after it: what do
// operators and failed writers leave. base is nil while there is none.
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
		l.s.opts.Log.Warn().Err(err).Str("folder", l.folder.path).Msg("the spool's bad/ cannot be counted")
	}
	l.folder.sweep(l.s.opts.Now())
	for name, f := range l.files {
		if f.stranger {
			delete(l.files, name) // its owner may have changed
		}
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.unseen = true
}

// assign gives each site the lanes that may hold changes of it.
func (s *Spool) assign() {
	lanes := map[daemon.Site][]*lane{}
	root := s.opts.Sites.Of(daemon.Peer{}) // user 0 may use all
	for _, l := range s.all() {
		l.mu.Lock()
		peer := l.peer // of a former one as it was then
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
	for _, site := range root {
		if s.sites[site] == nil {
			s.sites[site] = &intake{turn: make(chan struct{}, 1), moves: s.opts.Moves(site)}
		}
	}
	for site, in := range s.sites {
		for _, l := range lanes[site] {
			// A look at the lane before it was the site's has told what it found, and nothing came of that.
			in.pending = in.pending || !slices.Contains(in.lanes, l)
		}
		in.lanes = lanes[site]
	}
}

// lookElsewhere looks at lanes that no site has: their users may use none any more, and their files are set aside.
func (s *Spool) lookElsewhere(ctx context.Context) {
	s.mu.Lock()
	s.hear()
	left := map[*lane]bool{}
	for _, l := range s.lanes {
		left[l] = l.due(s.opts.Now())
	}
	for _, l := range s.former {
		left[l] = l.due(s.opts.Now())
	}
	for _, in := range s.sites {
		for _, l := range in.lanes {
			delete(left, l)
		}
	}
	s.mu.Unlock()
	for l, due := range left {
		if due {
			_ = l.look(ctx) // logged, and tried again
		}
	}
}
