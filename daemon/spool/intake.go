package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/protocol"
)

// all stands for no bound on the files that are ingested at a time.
const all = -1

// intake ingests the files of one site, from all lanes that may hold some, by order of their names. No site waits for another
// one's.
type intake struct {
	turn chan struct{} // held by whoever ingests files

	moves *moves.Register // the creates that got another id than their clients were told

	// For the holder of [Spool.mu].
	lanes   []*lane
	pending bool // files wait that a look has found
	busy    bool // they are being ingested
	hold    *hold
}

// hold is a site that cannot take its files now.
type hold struct {
	err   error
	pause time.Duration
	until time.Time
}

func (in *intake) take(ctx context.Context) error {
	select {
	case in.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (in *intake) give() { <-in.turn }

// settled says that no file waits. It is called with the spool's mu held.
func (in *intake) settled(now func() time.Time) bool {
	if in.pending || in.busy || in.hold != nil {
		return false
	}
	for _, l := range in.lanes {
		if l.busy || (l.unseen && l.due(now())) || (l.crowded.Load() && !l.isShared()) {
			return false
		}
	}
	return true
}

// waits says whether there is something to do; clock is the system's, the zero time where quiet lanes are looked at, too. It is
// called with the spool's mu held.
func (in *intake) waits(now, clock time.Time) bool {
	if in.pending || in.hold != nil {
		return true
	}
	return slices.ContainsFunc(in.lanes, func(l *lane) bool {
		return l.due(now) && (clock.IsZero() || !clock.Before(l.quietUntil))
	})
}

// crowded is a user's lane that has more files than are looked at: the order of its files cannot be kept.
func (in *intake) crowded() *lane {
	for _, l := range in.lanes {
		if l.crowded.Load() && !l.isShared() {
			return l
		}
	}
	return nil
}

// intakes are those for which the condition holds.
func (s *Spool) intakes(wanted func(*intake) bool) []*intake {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*intake
	for _, in := range s.sites {
		if wanted(in) {
			found = append(found, in)
		}
	}
	return found
}

// tell notes for which sites files wait.
func (s *Spool) tell(sites map[daemon.Site]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for site := range sites {
		if in := s.sites[site]; in != nil {
			in.pending = true
		}
	}
}

// takeSite ingests at most so many files of a site; during the site's pause it does nothing. The caller holds the site's turn.
// The error says that takeSite did not come to an end.
func (s *Spool) takeSite(ctx context.Context, site daemon.Site, in *intake, most int) error {
	began := s.opts.Now()
	lanes, due := s.begin(in)
	if lanes == nil {
		return nil
	}
	left := true // stays so after a panic too, which is the handling of one request's
	defer func() { s.end(in, left) }()
	for _, l := range due {
		if err := l.look(ctx); err != nil {
			return err
		}
	}
	queue := s.waiting(in, lanes, site)
	for i, f := range queue {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i == most {
			return nil
		}
		of := &origin{spool: s, site: site, in: in, at: acknowledged(f.name), upTo: acknowledged(queue[len(queue)-1].name)}
		if goOn, err := s.takeFile(ctx, f, of); err != nil || !goOn {
			left = err != nil
			return err
		}
	}
	s.resume(in) // nothing is left, or its files were removed
	in.moves.Settled(began)
	left = false
	return nil
}

// begin returns the site's lanes, and those that must be looked at, or nothing where there is nothing to do.
func (s *Spool) begin(in *intake) (lanes, due []*lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	now := s.opts.Now()
	if in.hold != nil && now.Before(in.hold.until) {
		return nil, nil
	}
	for _, l := range in.lanes {
		if l.busy || l.due(now) { // who looks at it now has done so when look returns
			due = append(due, l)
		}
	}
	in.busy = true
	return in.lanes, due
}

// end ends the turn that begin started; left says that files remain that were not tried.
func (s *Spool) end(in *intake, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.busy = false
	in.pending = in.pending || left // a look may have set it meanwhile
}

// queued is one file of a site's.
type queued struct {
	lane *lane
	name string
}

// waiting are a site's files that looks have found so far, by order of their names.
func (s *Spool) waiting(in *intake, lanes []*lane, site daemon.Site) []queued {
	s.mu.Lock()
	in.pending = false // a look that finds more says so again
	s.mu.Unlock()
	var queue []queued
	for _, l := range lanes {
		l.mu.Lock()
		for name, f := range l.files {
			if f.site == site {
				queue = append(queue, queued{l, name})
			}
		}
		l.mu.Unlock()
	}
	slices.SortFunc(queue, func(a, b queued) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.lane.name, b.lane.name))
	})
	return queue
}

// takeFile does with one file what can be done, and says whether the next one may follow. The error means that nothing became
// of it.
func (s *Spool) takeFile(ctx context.Context, f queued, of *origin) (goOn bool, err error) {
	c, err := f.read(of.site)
	var refusal *protocol.Error
	switch {
	case c == nil && err == nil:
		return true, nil
	case err == nil:
		err = s.apply(ctx, c, of)
	case !errors.As(err, &refusal):
		return false, err // nothing is known of the file: files behind it must not overtake it
	}
	if err != nil && ctx.Err() != nil {
		return false, context.Cause(ctx) // whatever became of the change: it is made again under its request id
	}
	return s.judge(f, err, of.in), nil
}

// read reads the file again. There is nothing to do if it is gone or was replaced by another site's file.
func (f queued) read(site daemon.Site) (change, error) {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	if f.lane.folder == nil || f.lane.files[f.name].site != site {
		return nil, nil //nolint:nilnil // neither is what is said
	}
	c, of, err := f.lane.load(f.name)
	switch {
	case errors.Is(err, errGone), err == nil && of != site:
		delete(f.lane.files, f.name)
		f.lane.again(0)
		return nil, nil //nolint:nilnil // likewise
	case errors.Is(err, errLeased), errors.Is(err, errStranger):
		delete(f.lane.files, f.name)
		f.lane.again(tick)
		return nil, nil //nolint:nilnil // likewise
	default:
		return c, err
	}
}

// apply makes the change within the time of one request. A panic becomes the error of this one file.
func (s *Spool) apply(ctx context.Context, c change, f *origin) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	return c.apply(ctx, f)
}

// judge decides by an error what becomes of a file, and says whether the next one may follow.
func (s *Spool) judge(f queued, err error, in *intake) (goOn bool) {
	var refusal *protocol.Error
	switch {
	case err == nil:
		s.resume(in)
		s.done.Add(1)
		f.finish(stuck{taken: true})
		return true
	case errors.Is(err, context.DeadlineExceeded):
		refusal = protocol.Errorf(protocol.CodeUnavailable, "it was not made within %v", s.opts.Timeout)
	case errors.As(err, &refusal):
	default:
		s.opts.Log.Error().Err(err).Str("file", f.name).Msg("a change from the spool failed")
		refusal = protocol.Errorf(protocol.CodeInternal, "a fault in ticketd: see its log")
	}
	switch {
	case refusal.Retryable:
		s.postpone(in, refusal)
		return false
	case refusal.Code == protocol.CodeNotFound:
		// The ticket was deleted meanwhile, and stays so: what the file wanted of it can neither be done nor be missed.
		s.resume(in)
		s.done.Add(1)
		s.opts.Log.Info().Str("file", f.name).Msg("a change from the spool came after its ticket was deleted; the deletion stands")
		f.finish(stuck{taken: true})
	case refusal == daemon.ErrNotMeant: // this one, not any refusal of a field of that name
		s.resume(in)
		f.leave()
	default:
		f.finish(stuck{why: refusal})
	}
	return true
}

// leave lets the file lie: which table its site serves was not known yet when the lane was looked at, and it is another one.
func (f queued) leave() {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	if f.lane.folder != nil {
		f.lane.leave(f.name)
		f.lane.count(f.lane.crowded.Load())
	}
}

func (f queued) finish(known stuck) {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	if f.lane.folder != nil {
		f.lane.finish(f.name, known)
	}
}

// postpone puts a site's files off; the log hears of it once.
func (s *Spool) postpone(in *intake, why *protocol.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := in.hold
	if h == nil {
		h = &hold{pause: firstPause / 2}
		in.hold = h
		s.opts.Log.Warn().Err(why).Msg("a site's changes wait in the spool until they can be made")
	}
	h.err, h.pause = why, min(2*h.pause, maxPause)
	h.until = s.opts.Now().Add(h.pause)
}

// resume says that a site takes its files again.
func (s *Spool) resume(in *intake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.hold != nil {
		in.hold = nil
		s.opts.Log.Info().Msg("a site's changes are ingested from the spool again")
	}
}
