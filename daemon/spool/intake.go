package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// all stands for no bound on the files that are ingested at a time.
const all = -1

// intake ingests the files of one site, from all lanes that may hold some, by order of their names. No site waits for another
// one's.
type intake struct {
	turn chan struct{} // held by whoever ingests files

	moves *moves.Register // the creates that got another id than their clients were told
	// refused is how many tickets were held since the last file that was taken in, in one pass.
	refused int
	// makers are the tickets that the files found so far may make.
	makers map[int64]bool

	// For the holder of [Spool.mu].
	lanes   []*lane
	looked  time.Time // at the lanes' paths, by the system's clock
	pending bool      // files wait that a look has found
	busy    bool      // they are being ingested
	hold    *hold
	tickets map[int64]*hold // tickets that are held by themselves, while the site takes other tickets' files
}

// maxRefused is how many tickets one after another may be held by themselves: then it is the site that cannot take its files.
const maxRefused = 3

// hold is a site, or a ticket, whose files cannot be taken in now.
type hold struct {
	meets bool // of a ticket: no create that is given an id can meet what is held
	taken bool // the id belonged to a ticket

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
	if in.pending || in.busy || in.held() {
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
	if in.pending || in.held() {
		return true
	}
	return slices.ContainsFunc(in.lanes, func(l *lane) bool {
		return l.due(now) && (clock.IsZero() || !clock.Before(l.quietUntil))
	})
}

// held says that something of the site is. It is called with the spool's mu held.
func (in *intake) held() bool { return in.hold != nil || len(in.tickets) > 0 }

// holds returns what holds changes up that a request needs. It is called with the spool's mu and the site's turn held.
func (in *intake) holds(p protocol.Params) *hold {
	if in.hold != nil {
		return in.hold
	}
	c, is := p.(*protocol.CreateParams)
	isGiven := is && c.ID == 0 // an id that no ticket has or had, and no change has named
	for id, h := range in.tickets {
		if isGiven && (h.meets || h.taken) {
			continue
		}
		moved := func(to ticket.ID) bool { return needs(p, int64(to)) }
		if needs(p, id) || slices.ContainsFunc(in.moves.Targets(ticket.ID(id)), moved) {
			return h
		}
	}
	return nil
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
	due, isTime := s.begin(in)
	if !isTime {
		return nil
	}
	left := true // stays so after a panic too, which is the handling of one request's
	defer func() { s.end(in, left) }()
	for _, l := range due {
		if err := l.look(ctx); err != nil {
			return err
		}
	}
	queue := s.waiting(in, site)
	rests := s.resting(in, queue)
	var upTo time.Time
	for _, f := range queue {
		if f.at.After(upTo) {
			upTo = f.at
		}
	}
	for i, f := range queue {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i == most {
			return nil
		}
		if rests[f.ticket] {
			continue
		}
		of := &origin{spool: s, site: site, in: in, upTo: upTo}
		if goOn, err := s.takeFile(ctx, f, of); err != nil || !goOn {
			left = err != nil
			return err
		}
		rests[f.ticket] = s.isHeld(in, f.ticket) // for the whole pass: its later files must not overtake this one
	}
	if s.finish(in, queue) { // nothing is left, or somebody took the files away
		in.moves.Settled(began)
	}
	left = false
	return nil
}

// begin returns the site's lanes that must be looked at, and whether there is anything to do.
func (s *Spool) begin(in *intake) (due []*lane, isTime bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	now := s.opts.Now()
	if s.hidden(in) != nil || (in.hold != nil && now.Before(in.hold.until)) {
		return nil, false
	}
	for _, l := range in.lanes {
		if l.busy || l.due(now) { // who looks at it now has done so when look returns
			due = append(due, l)
		}
	}
	if len(due) == 0 && !in.pending && in.hold == nil && !in.isDue(now) {
		return nil, false // only tickets are held, and it is not their time
	}
	in.busy, in.refused = true, 0
	return due, true
}

// isDue says whether it is time to try a ticket that is held once more. It is called with the spool's mu held.
func (in *intake) isDue(now time.Time) bool {
	for _, h := range in.tickets {
		if !now.Before(h.until) {
			return true
		}
	}
	return false
}

// resting are the tickets that are held and whose pause is not over. All files of a ticket count for what its hold concerns.
func (s *Spool) resting(in *intake, queue []queued) map[int64]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.makers = map[int64]bool{}
	for _, f := range queue {
		if !f.meets {
			in.makers[f.ticket] = true
		}
	}
	rests, now := map[int64]bool{}, s.opts.Now()
	for id, h := range in.tickets {
		rests[id] = now.Before(h.until)
		h.meets = !in.makers[id]
	}
	return rests
}

func (s *Spool) isHeld(in *intake, ticket int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return in.tickets[ticket] != nil
}

// end says whether files are left that nobody has tried.
func (s *Spool) end(in *intake, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.busy = false
	in.pending = in.pending || left // a look may have set it meanwhile
}

// queued is one file of a site's.
type queued struct {
	lane   *lane
	name   string
	ticket int64
	at     time.Time // see acknowledged
	meets  bool      // see [change]
}

// waiting are a site's files that looks have found so far, by order of their names.
func (s *Spool) waiting(in *intake, site daemon.Site) []queued {
	s.mu.Lock()
	in.pending = false // a look that finds more says so again, and so does another lane of the site
	lanes := in.lanes
	s.mu.Unlock()
	var queue []queued
	for _, l := range lanes {
		l.mu.Lock()
		for name, f := range l.files {
			if f.site == site {
				queue = append(queue, queued{l, name, f.ticket, f.at, f.meets})
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
	w, err := f.read(of.site)
	var refusal *protocol.Error
	switch {
	case w.change == nil && err == nil:
		return true, nil
	case err == nil:
		of.at, of.meant = acknowledged(f.name, w.at), w.meant
		err = s.apply(ctx, w.change, of)
	case !errors.As(err, &refusal):
		return false, err // nothing is known of the file: files behind it must not overtake it
	}
	if err != nil && ctx.Err() != nil {
		return false, context.Cause(ctx) // whatever became of the change: it is made again under its request id
	}
	return s.judge(f, err, of.in), nil
}

// read reads the file again. There is nothing to do where it is gone, or another file by now.
func (f queued) read(site daemon.Site) (w written, err error) {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	if f.lane.folder == nil || f.lane.files[f.name].site != site {
		return w, nil
	}
	w, err = f.lane.load(f.name)
	switch {
	case errors.Is(err, errGone), err == nil && (w.site != site || w.ticket() != f.ticket):
		delete(f.lane.files, f.name)
		f.lane.again(0)
		return written{}, nil
	case errors.Is(err, errLeased), errors.Is(err, errStranger):
		delete(f.lane.files, f.name)
		f.lane.again(tick)
		return written{}, nil
	default:
		w.meant = err == nil && f.lane.folder.bad.predates(f.name)
		return w, err
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
	isHanging := false
	undecided, isUndecided := errors.AsType[*daemon.UndecidedError](err)
	switch {
	case isUndecided:
		s.putOff(in, f.ticket, undecided)
		return true
	case err == nil:
		s.resume(in, f.ticket)
		s.done.Add(1)
		f.finish(stuck{taken: true})
		return true
	case errors.Is(err, context.DeadlineExceeded):
		isHanging = true
		refusal = protocol.Errorf(protocol.CodeUnavailable, "it was not made within %v", s.opts.Timeout)
	case errors.As(err, &refusal):
	default:
		s.opts.Log.Error().Err(err).Str("file", f.name).Msg("a change from the spool failed")
		refusal = protocol.Errorf(protocol.CodeInternal, "a fault in ticketd: see its log")
	}
	switch {
	case refusal.Retryable:
		return s.postpone(in, f.ticket, refusal, isHanging)
	case refusal.Code == protocol.CodeNotFound:
		// The ticket was deleted meanwhile, which was looked up, and stays so: what the file wanted can
		// neither be done nor be missed.
		s.resume(in, f.ticket)
		s.done.Add(1)
		s.opts.Log.Info().Str("file", f.name).Msg("a change from the spool came after its ticket was deleted; the deletion stands")
		f.finish(stuck{taken: true})
	case refusal == daemon.ErrNotMeant: // this one, not any refusal of a field of that name
		s.resume(in, f.ticket)
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

// postpone puts off a ticket's files and says whether the next file may follow. Where several tickets are refused one after
// another, or the site hangs, it puts off the site's. The log hears of each once.
func (s *Spool) postpone(in *intake, ticket int64, why *protocol.Error, isHanging bool) (goOn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.refused++; isHanging || in.refused >= maxRefused || in.hold != nil {
		if in.hold == nil {
			in.hold = &hold{pause: firstPause / 2}
			s.opts.Log.Warn().Err(why).Msg("a site's changes wait in the spool until they can be made")
		}
		in.hold.put(why, s.opts.Now())
		return false
	}
	s.holdTicket(in, ticket, why, false)
	return true
}

// putOff puts off the files of a ticket of which it cannot be told whether it exists. That concerns no other ticket, however many
// such tickets there are: the store has answered.
func (s *Spool) putOff(in *intake, ticket int64, undecided *daemon.UndecidedError) {
	why := undecided.Refusal
	if !why.Retryable {
		why = protocol.Errorf(protocol.CodeUnavailable,
			"ticket %d counts as deleted, and MySQL does not answer, which may know better", ticket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdTicket(in, ticket, why, undecided.Taken)
}

// holdTicket is called with the spool's mu held.
func (s *Spool) holdTicket(in *intake, ticket int64, why *protocol.Error, taken bool) {
	if in.tickets == nil {
		in.tickets = map[int64]*hold{}
	}
	h := in.tickets[ticket]
	if h == nil {
		h = &hold{pause: firstPause / 2, meets: !in.makers[ticket]}
		in.tickets[ticket] = h
		s.repeats.Warn().Err(why).Int64("ticket", ticket).Msg("a ticket's changes wait in the spool until they can be made")
	}
	h.taken = taken
	h.put(why, s.opts.Now())
}

// put puts off the next try, each time for longer.
func (h *hold) put(why *protocol.Error, now time.Time) {
	h.err, h.pause = why, min(2*h.pause, maxPause)
	h.until = now.Add(h.pause)
}

// resume says that a site takes its files again, and those of a ticket.
func (s *Spool) resume(in *intake, ticket int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.refused = 0
	if in.hold != nil {
		in.hold = nil
		s.opts.Log.Info().Msg("a site's changes are ingested from the spool again")
	}
	in.release(ticket, s.repeats)
}

// release is called with the spool's mu held.
func (in *intake) release(ticket int64, log zerolog.Logger) {
	if in.tickets[ticket] != nil {
		delete(in.tickets, ticket)
		log.Info().Int64("ticket", ticket).Msg("a ticket's changes are ingested from the spool again")
	}
}

// finish ends a pass that has come to its end: nothing is held of which no file is left. It says whether no file is.
func (s *Spool) finish(in *intake, queue []queued) (done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.hold != nil {
		in.hold = nil
		s.opts.Log.Info().Msg("a site's changes are ingested from the spool again")
	}
	if !in.held() {
		return true
	}
	left := map[int64]bool{}
	for _, f := range queue {
		left[f.ticket] = true
	}
	for id := range in.tickets {
		if !left[id] {
			in.release(id, s.repeats)
		}
	}
	return !in.held()
}
