package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/protocol"
)

// all is no bound on the number of files.
const all = -1

// intake ingests the files of a site, from all lanes that may hold some, in order of their names. Sites do not wait for each
// other.
type intake struct {
	turn chan struct{} // held while files are ingested

	moves *moves.Register // creates that got another id than their clients received
	// refused is the number of tickets held, in this pass, since the last ingested file.
	refused int
	// version is the version of the folders in this pass, see [Spool].
	version int
	// makers are the tickets that waiting files may make.
	makers map[int64]bool

	// The holder of [Spool.mu] may use:
	lanes   []*lane
	looked  time.Time // last look at the lanes' paths, by the system's clock
	pending bool      // a look has found files that wait
	busy    bool      // files are being ingested
	hold    *hold
	tickets map[int64]*hold // held tickets, while the site takes other tickets' files
}

// maxRefused is the number of tickets in a row that are held alone. After so many refusals the whole site is held.
const maxRefused = 3

// hold is a site, or a ticket, whose files cannot be ingested now.
type hold struct {
	meets bool // of a ticket: no create with an id from the daemon can meet the held changes
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

// waits returns whether the site has work; clock is the system's clock, or zero to include quiet lanes. The caller holds the
// spool's mu.
func (in *intake) waits(now, clock time.Time) bool {
	if in.pending || in.held() {
		return true
	}
	return slices.ContainsFunc(in.lanes, func(l *lane) bool {
		return l.due(now) && (clock.IsZero() || !clock.Before(l.quietUntil))
	})
}

// held returns whether the site or a ticket of the site is held. The caller holds the spool's mu.
func (in *intake) held() bool { return in.hold != nil || len(in.tickets) > 0 }

// takeSite ingests at most so many files of a site; during the site's pause takeSite does nothing. The caller holds the
// site's turn. With an error the pass is incomplete.
func (s *Spool) takeSite(ctx context.Context, site daemon.Site, in *intake, most int) error {
	began := s.opts.Now()
	due, isTime := s.begin(in)
	if !isTime {
		return nil
	}
	left := true // stays true after a panic, which the handler of the request recovers
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
		if i == most || s.isCut(in) {
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
		rests[f.ticket] = s.isHeld(in, f.ticket) // for the whole pass: the ticket's later files must not overtake the held file
	}
	if s.isCut(in) {
		return nil
	}
	if s.finish(in, queue) { // no file is left, or the files were taken away
		in.moves.Settled(began)
	}
	left = false
	return nil
}

// isCut returns whether the pass must end before its next file: files of the pass may have another lane now, or be hidden, and
// later files must not overtake them.
func (s *Spool) isCut(in *intake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return in.version != s.version || s.hidden(in) != nil
}

// begin returns the site's lanes that need a look, and whether the site has work now.
func (s *Spool) begin(in *intake) (due []*lane, isTime bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	in.version = s.assigned
	now := s.opts.Now()
	if s.hidden(in) != nil || (in.hold != nil && now.Before(in.hold.until)) {
		return nil, false
	}
	for _, l := range in.lanes {
		if l.busy || l.due(now) { // look waits for a look that is under way
			due = append(due, l)
		}
	}
	if len(due) == 0 && !in.pending && in.hold == nil && !in.isDue(now) {
		return nil, false // only tickets are held, and all pause
	}
	in.busy, in.refused = true, 0
	return due, true
}

// isDue returns whether the pause of a held ticket is over. The caller holds the spool's mu.
func (in *intake) isDue(now time.Time) bool {
	for _, h := range in.tickets {
		if !now.Before(h.until) {
			return true
		}
	}
	return false
}

// resting returns the held tickets whose pause is not over. The queue must have all files of a ticket: they decide its hold's
// meets.
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

// end ends a pass; left: untried files remain.
func (s *Spool) end(in *intake, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.busy = false
	in.pending = in.pending || left // a look may have set pending meanwhile
}

// queued is a file of a site.
type queued struct {
	lane   *lane
	name   string
	ticket int64
	at     time.Time // see [acknowledged]
	meets  bool      // see [change]
}

// waiting returns the site's files that looks have found so far, in order of their names.
func (s *Spool) waiting(in *intake, site daemon.Site) []queued {
	s.mu.Lock()
	in.pending = false // a look that finds more files sets pending again, and so does a new lane of the site
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

// takeFile ingests a file and returns whether the next file may follow. An error means that the file was not handled.
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
		return false, err // an unknown file: files behind it must not overtake it
	}
	if err != nil && ctx.Err() != nil {
		return false, context.Cause(ctx) // the change may be made: the next try has the same request id
	}
	return s.judge(f, err, of.in), nil
}

// read reads the file again. The result is empty if the file is gone, or replaced by another file.
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

// apply makes the change within the time of a request. A panic becomes the error of this file alone.
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

// judge decides by the error how to finish a file, and returns whether the next file may follow.
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
		refusal = protocol.Errorf(protocol.CodeUnavailable, "the change was not made within %v", s.opts.Timeout)
	case errors.As(err, &refusal):
	default:
		s.opts.Log.Error().Err(err).Str("file", f.name).Msg("a change from the spool failed")
		refusal = protocol.Errorf(protocol.CodeInternal, "a fault in ticketd: see its log")
	}
	switch {
	case refusal.Retryable:
		return s.postpone(in, f.ticket, refusal, isHanging)
	case refusal.Code == protocol.CodeNotFound:
		// The ticket was deleted meanwhile (the site has looked that up) and stays deleted: the file's change is void.
		s.resume(in, f.ticket)
		s.done.Add(1)
		s.opts.Log.Info().Str("file", f.name).Msg("a change from the spool came after its ticket was deleted; the deletion stands")
		f.finish(stuck{taken: true})
	case refusal == daemon.ErrNotMeant: // this error only, not any refusal of the field
		s.resume(in, f.ticket)
		f.leave()
	default:
		f.finish(stuck{why: refusal})
	}
	return true
}

// leave lets the file lie: the site's table, unknown at the look, is not the table of the file.
func (f queued) leave() {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	if f.lane.folder != nil {
		f.lane.leave(f.name, daemon.ErrNotMeant)
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

// postpone holds the ticket's files and returns whether the next file may follow. If several tickets in a row are refused, or
// the site hangs, postpone holds the whole site. The log gets a line for each new hold.
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

// putOff holds the files of a ticket whose existence is unknown. Other tickets go on, however many tickets are in this state:
// the store has answered.
func (s *Spool) putOff(in *intake, ticket int64, undecided *daemon.UndecidedError) {
	why := undecided.Refusal
	if !why.Retryable {
		why = protocol.Errorf(protocol.CodeUnavailable,
			"ticket %d counts as deleted, and MySQL, which may disagree, is unreachable", ticket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdTicket(in, ticket, why, undecided.Taken)
}

// holdTicket needs the spool's mu.
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

// put plans the next try, after a pause that doubles up to maxPause.
func (h *hold) put(why *protocol.Error, now time.Time) {
	h.err, h.pause = why, min(2*h.pause, maxPause)
	h.until = now.Add(h.pause)
}

// resume releases the site and the ticket after an ingested file.
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

// release needs the spool's mu.
func (in *intake) release(ticket int64, log zerolog.Logger) {
	if in.tickets[ticket] != nil {
		delete(in.tickets, ticket)
		log.Info().Int64("ticket", ticket).Msg("a ticket's changes are ingested from the spool again")
	}
}

// finish ends a complete pass: a hold without files is released. The result is whether no file is left.
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

// predates returns whether put has set aside a file of this name because of [daemon.ErrPredates], so that an operator must
// have moved the file back. No other refusal of a set or a deletion has that code.
func (b *badFolder) predates(name string) bool {
	fd, err := unix.Openat(b.fd(), name+reasonSuffix, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(fd), name+reasonSuffix)
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxReason))
	return err == nil && strings.Contains(string(text), "\ncode: "+string(daemon.ErrPredates.Code)+"\n")
}
