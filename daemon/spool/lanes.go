package spool

import (
	"context"
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
	base := s.openBase()
	if base == nil {
		return
	}
	names := s.users(base)
	for _, name := range names {
		s.lane(name)
	}
	for _, l := range s.all() {
		if !slices.Contains(names, l.name) && l.gone(base) {
			s.drop(l)
			continue
		}
		l.tidy(base)
	}
	s.assign()
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

// openBase opens the base, or finds that it is another folder than before; the log hears of a new reason why not once.
func (s *Spool) openBase() *os.File {
	s.mu.Lock()
	base, stopped := s.base, s.stopped
	s.mu.Unlock()
	if stopped {
		return nil
	}
	if base != nil {
		if present(base.Name(), base) {
			return base
		}
		err := fmt.Errorf("daemon.spool_dir: %s is gone, or is another folder than before", base.Name())
		s.opts.Log.Error().Err(err).Msg("the spool can no longer be used")
		s.shut(err)
	}
	base, err := openBase(s.opts.Path, s.opts.GID)
	var queue *news
	if err == nil {
		if queue, err = newNews(); err != nil {
			_ = base.Close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.why == nil || s.why.Error() != err.Error() {
			s.opts.Log.Error().Err(err).Msg("the spool cannot be used; changes that clients cannot deliver fail there")
		}
		s.why = err
		return nil
	}
	if s.why != nil {
		s.opts.Log.Info().Str("spool", s.opts.Path).Msg("the spool can be used")
	}
	s.base, s.news, s.why = base, queue, nil
	return base
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
		s.news.close()
	}
	s.base, s.news, s.why = nil, nil, why
	s.watches, s.lanes, s.sites = map[int]*lane{}, map[string]*lane{}, map[daemon.Site]*intake{}
}

// users names the lanes that there may be: the base itself, those who may have a folder, and those who have one.
func (s *Spool) users(base *os.File) []string {
	names := []string{shared}
	for _, uid := range s.opts.Users() {
		names = append(names, strconv.FormatUint(uint64(uid), 10))
	}
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
	lanes := make([]*lane, 0, len(s.lanes))
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

// gone says whether the lane's folder is there no more; it is closed then.
func (l *lane) gone(base *os.File) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder != nil && present(l.folder.path, l.folder.dir) {
		return false
	}
	if _, err := os.Lstat(filepath.Join(base.Name(), l.name)); err == nil {
		return false
	}
	if l.folder != nil {
		l.lose(fmt.Errorf("%s is gone", l.folder.path))
	}
	return true
}

// tidy opens the lane's folder, or looks after it: is it still there, what do operators and failed writers leave.
func (l *lane) tidy(base *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = map[uint32]uint32{}
	if !l.isShared() {
		l.peer = daemon.Peer{UID: l.user, GID: primaryGroup(l.user)}
	}
	if l.folder != nil && !l.isShared() && !present(l.folder.path, l.folder.dir) {
		l.lose(fmt.Errorf("%s is gone, or is another folder than before", l.folder.path))
	}
	if l.folder == nil {
		l.open(base)
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
		peer := l.peer
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
