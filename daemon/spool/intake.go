package spool

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// stuck is a file that stays although nothing is left to be done with it: it was taken in and cannot be removed, or it cannot be
// used and cannot be moved away.
type stuck struct {
	taken bool
	why   *protocol.Error
}

// takeNew takes in what nobody has looked at yet, and what sites held up whose pause is over. It is called with the turn
// held; the error says that it did not come to an end.
func (s *Spool) takeNew(ctx context.Context) error {
	f, skip := s.begin()
	if f == nil {
		return nil
	}
	all := false // stays so after a panic too, which is the handling of one request's
	defer func() { s.end(all) }()
	err := s.takeAll(ctx, f, skip)
	all = err == nil
	if ctx.Err() == nil {
		s.report(err)
	}
	return err
}

// report tells the log once what keeps the spool from being taken in.
func (s *Spool) report(err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	if trouble != "" && trouble != s.trouble {
		s.opts.Log.Error().Err(err).Msg("the spool cannot be taken in now; it is tried again")
	}
	s.trouble = trouble
}

// begin returns the folder where there is something to do in it, and the sites to be passed over: their pause is not over.
// Which they are is decided for the whole pass, as a later file must not overtake an earlier one.
func (s *Spool) begin() (*folder, map[daemon.Site]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	now, skip := s.opts.Now(), map[daemon.Site]bool{}
	for site, h := range s.holds {
		if skip[site] = now.Before(h.until); !skip[site] {
			s.unseen = true
		}
	}
	if s.folder == nil || !s.unseen {
		return nil, nil
	}
	s.unseen, s.busy = false, true
	return s.folder, skip
}

// end says whether everything was looked at that was there at the beginning.
func (s *Spool) end(all bool) {
	waits := map[daemon.Site]bool{}
	for _, site := range s.waiting {
		waits[site] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.stays = false, len(s.stuck)
	if !all {
		s.unseen = true
		return
	}
	for site := range s.holds {
		if !waits[site] { // somebody took its files away
			delete(s.holds, site)
		}
	}
}

func (s *Spool) takeAll(ctx context.Context, f *folder, skip map[daemon.Site]bool) error {
	names, err := f.names()
	switch {
	case passing(err): // what waits there must not be overtaken meanwhile
		return err
	case err != nil:
		s.lose(err)
		return nil
	}
	s.forget(names)
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.takeFile(ctx, f, name, skip); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is known of files that are gone.
func (s *Spool) forget(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 && len(s.stuck) == 0 && len(s.strangers) == 0 {
		return
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for name := range s.waiting {
		if !there[name] {
			delete(s.waiting, name)
		}
	}
	for name := range s.stuck {
		if !there[name] {
			delete(s.stuck, name)
		}
	}
	for name := range s.strangers {
		if !there[name] {
			delete(s.strangers, name)
		}
	}
}

func (s *Spool) isStranger(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.strangers[name]
	return there
}

// leave passes over a file that is meant for another table than its site's: the configuration, or PHP's, names another one since
// it was written. It holds up nobody, as no file for this table depends on it. Which table a site serves does not change while
// the daemon runs, so the file is not read again before the next start.
func (s *Spool) leave(name string, site daemon.Site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.strangers) == 0 {
		s.opts.Log.Error().Str("file", name).Msg("a change in the spool is meant for another table than its site's: it is left where " +
			"it is")
	}
	s.strangers[name] = site
}

// takeFile does with one file what can be done. The error means that the pass must end here.
func (s *Spool) takeFile(ctx context.Context, f *folder, name string, skip map[daemon.Site]bool) error {
	if known, there := s.stuck[name]; there {
		s.finish(f, name, known)
		return nil
	}
	if site, there := s.waiting[name]; there && skip[site] {
		return nil
	}
	if s.isStranger(name) {
		return nil
	}
	c, site, err := s.load(f, name)
	if err == nil && !daemon.Meant(c, site) {
		s.leave(name, site)
		return nil
	}
	if err == nil && skip[site] {
		s.waiting[name] = site
		return nil
	}
	if err == nil {
		err = s.apply(ctx, c, site)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // whatever became of the change: it is made again under its request id
	}
	return s.judge(f, name, site, err, skip)
}

// load reads a file and finds its site.
func (s *Spool) load(f *folder, name string) (change, daemon.Site, error) {
	if !validName(name) {
		return nil, nil, protocol.Errorf(protocol.CodeMalformed, "its name is not one of the spool")
	}
	content, owner, err := f.read(name)
	if err != nil {
		return nil, nil, err
	}
	c, err := parse(content)
	if err != nil {
		return nil, nil, err
	}
	site, err := s.opts.Sites.For(owner, c.SiteName())
	return c, site, err
}

// apply makes the change within the time of one request. A panic becomes the error of this one file.
func (s *Spool) apply(ctx context.Context, c change, site daemon.Site) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	return c.apply(ctx, site)
}

// judge decides by an error what becomes of a file.
func (s *Spool) judge(f *folder, name string, site daemon.Site, err error, skip map[daemon.Site]bool) error {
	var refusal *protocol.Error
	switch {
	case err == nil:
		s.resume(site)
		s.done.Add(1)
		s.finish(f, name, stuck{taken: true})
		return nil
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		refusal = protocol.Errorf(protocol.CodeUnavailable, "it was not made within %v", s.opts.Timeout)
	case errors.As(err, &refusal):
	case site == nil:
		return err // nothing is known of the file: files behind it must not overtake it
	default:
		s.opts.Log.Error().Err(err).Str("file", name).Msg("a change from the spool failed")
		refusal = protocol.Errorf(protocol.CodeInternal, "a fault in ticketd: see its log")
	}
	switch {
	case refusal.Retryable && site != nil:
		s.hold(site, refusal)
		skip[site] = true
		s.waiting[name] = site
	case refusal.Code == protocol.CodeNotFound:
		// The ticket was deleted meanwhile, and stays so: what the file wanted of it can neither be done nor be missed.
		s.resume(site)
		s.done.Add(1)
		s.opts.Log.Info().Str("file", name).Msg("a change from the spool came after its ticket was deleted; the deletion stands")
		s.finish(f, name, stuck{taken: true})
	default:
		s.finish(f, name, stuck{why: refusal})
	}
	return nil
}

// finish takes the file out of the way: removes it, or sets it aside. Where that fails, it is tried again at the next pass.
func (s *Spool) finish(f *folder, name string, known stuck) {
	_, again := s.stuck[name]
	delete(s.waiting, name)
	var err error
	if known.taken {
		err = f.remove(name)
	} else {
		err = f.bad.put(f.fd(), name, known.why)
	}
	switch {
	case errors.Is(err, errNoRoom):
		s.stuck[name] = known
		if !s.noRoom {
			s.opts.Log.Error().Msg("the spool's bad/ is full: files that cannot be used stay where they are; look at them and remove them")
		}
		s.noRoom = true
		return
	case err != nil:
		s.stuck[name] = known
		if !again {
			s.opts.Log.Error().Err(err).Str("file", name).Msg("a file of the spool is done with and cannot be moved out of the way")
		}
		return
	case !known.taken:
		s.noRoom = false
		s.opts.Log.Warn().Err(known.why).Str("file", name).
			Msg("a file of the spool cannot be used; it is set aside in bad/, beside the reason")
	}
	delete(s.stuck, name)
}

// hold puts a site's files off; the log hears of it once.
func (s *Spool) hold(site daemon.Site, why *protocol.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holds[site]
	if h == nil {
		h = &hold{pause: firstPause / 2}
		s.holds[site] = h
		s.opts.Log.Warn().Err(why).Msg("a site's changes wait in the spool until they can be made")
	}
	h.err, h.pause = why, min(2*h.pause, maxPause)
	h.until = s.opts.Now().Add(h.pause)
}

// resume says that a site takes its files again.
func (s *Spool) resume(site daemon.Site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds[site] != nil {
		delete(s.holds, site)
		s.opts.Log.Info().Msg("a site's changes are taken in from the spool again")
	}
}
