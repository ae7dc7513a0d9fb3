package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// tick is the interval of looks at the folders without a request.
	tick = 250 * time.Millisecond
	// rescanEvery is the interval of scans of all folders, whatever the kernel has reported.
	rescanEvery = 5 * time.Second
	// firstPause and maxPause bound the growing pause before a held site is retried.
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
	// filesPerTurn bounds the files of a site ingested in a turn without a request; then the next site has its turn.
	filesPerTurn = 1000
)

// Sites judges the owner of a folder as the peer of a connection.
type Sites interface {
	daemon.Sites
	// Of returns the sites that the peer may use.
	Of(peer daemon.Peer) []daemon.Site
}

// Options say where the spool is and which sites take its changes.
type Options struct {
	// Path is the base, the folder of all users' folders. A missing base is made.
	Path string
	// State is the file that records the base's identity (see [Spool.recognize]); empty: no record.
	State string
	// GID is the group that may put files straight into a new base; -1 is none.
	GID   int
	Sites Sites
	// Users are the users that may have a folder; nil: only users that have one.
	Users func() []uint32
	// Timeout bounds the work on a file.
	Timeout time.Duration
	Log     zerolog.Logger
	// LookEvery is how long a check of the folders' paths counts for the requests of a site; 0: each request checks. The
	// kernel's reports on an open folder count at once.
	LookEvery time.Duration
	// Moves returns the register of a site's creates that got another id than their clients received; nil keeps a register in
	// memory.
	Moves func(site daemon.Site) *moves.Register
	// Now is the clock for pauses and ages; nil stands for time.Now.
	Now func() time.Time
}

// Spool ingests the folders of all users. All methods are safe for concurrent use.
//
// Order of locks: tidying, a site's turn, a lane's mu, the spool's mu.
type Spool struct {
	opts Options
	loop lifecycle.Loop
	done atomic.Int64 // files ingested

	repeats zerolog.Logger // limited, for messages that any ticket may cause

	tidying sync.Mutex // held while lanes are opened or closed
	scanned time.Time  // time of the last Refresh

	mu       sync.Mutex
	base     *os.File // nil without a usable base
	why      error    // why the base is unusable
	blind    bool     // the unusable base exists, or existed, and may hold changes
	at       place    // the path's state when base was opened, or failed to open
	recorded bool     // base is the folder in the state file
	news     *news
	watches  map[int]*lane    // by the watch's number
	lanes    map[string]*lane // by name
	former   []*lane          // their folders no longer stand at their paths; kept until no file waits there
	sites    map[daemon.Site]*intake
	stopped  bool

	// version counts the folders that were found or let go of; the sites' lanes are those of the assigned version. While the two
	// differ, files may wait in a lane that its sites do not have.
	version, assigned int
}

// The log names at most maxRepeats tickets in each repeatPeriod.
const (
	maxRepeats   = 20
	repeatPeriod = 10 * time.Second
)

// New opens the spool. An unusable folder is no error: the log and [Spool.Warnings] give the reason.
func New(opts Options) *Spool {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Users == nil {
		opts.Users = func() []uint32 { return nil }
	}
	if opts.Moves == nil {
		opts.Moves = func(daemon.Site) *moves.Register { return moves.New(moves.Options{}) }
	}
	s := &Spool{opts: opts, watches: map[int]*lane{}, lanes: map[string]*lane{}, sites: map[daemon.Site]*intake{}}
	s.repeats = logs.Limited(opts.Log, maxRepeats, repeatPeriod)
	s.Refresh()
	return s
}

// Start begins to ingest files in the background.
func (s *Spool) Start(ctx context.Context) {
	s.loop.StartEvery(ctx, tick, func(ctx context.Context) {
		_ = s.takeIn(ctx, filesPerTurn) // already logged, or the end of ctx
	})
}

// Stop ends the background work and closes the folders. The next start ingests the files that remain.
func (s *Spool) Stop(ctx context.Context) error {
	if err := s.loop.Stop(ctx, "spool"); err != nil {
		return err
	}
	s.tidying.Lock()
	defer s.tidying.Unlock()
	for _, in := range s.intakes() {
		if err := in.take(ctx); err != nil {
			return fmt.Errorf("stopping the spool: still busy: %w", err)
		}
		defer in.give()
	}
	s.shut(errors.New("the daemon stops"))
	return nil
}

func (s *Spool) intakes() []*intake {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.sites))
}

// Settle implements [daemon.Spool]: Settle returns when every file in place before the call, in a folder whose user may use
// the site, has been ingested. The error says that ctx ended first, that the request needs a held file, or that the request
// needs the files of a folder that cannot be read.
//
// Without waiting files the cost is a system call for the kernel's queue, 0.2 to 0.4 µs, and at intervals a system call per
// folder, see [Spool.follow] (BenchmarkSettle).
func (s *Spool) Settle(ctx context.Context, site daemon.Site, p protocol.Params) error {
	for {
		s.follow(site)
		in := s.unsettled(site)
		if in == nil {
			return nil
		}
		again, err := s.settle(ctx, site, in, p)
		if err != nil || !again {
			return err
		}
	}
}

// Settled implements [daemon.Spool].
func (s *Spool) Settled(site daemon.Site) bool {
	s.follow(site)
	return s.unsettled(site) == nil
}

// settle ingests the waiting files; again: some folders had no look yet.
func (s *Spool) settle(ctx context.Context, site daemon.Site, in *intake, p protocol.Params) (again bool, err error) {
	if err := in.take(ctx); err != nil {
		return false, errBusy
	}
	defer in.give()
	if err := s.takeSite(ctx, site, in, all); err != nil {
		return false, errBusy
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case in.version != s.version:
		return true, nil
	case !needsOlder(p):
		return false, nil
	case s.hidden(in) != nil:
		return false, protocol.Errorf(protocol.CodeUnavailable,
			"cannot read the spool (%s), and older changes may wait in the spool: the request was not executed", s.hidden(in))
	case in.holds(p) != nil:
		return false, protocol.Errorf(protocol.CodeUnavailable,
			"older changes wait in the spool and cannot be made yet (%s): the request was not executed", in.holds(p).err)
	case in.crowded() != nil:
		return false, protocol.Errorf(protocol.CodeUnavailable,
			"the spool folder of user %d holds too many files: remove the unusable files; the request was not executed", in.crowded().user)
	}
	return false, nil
}

// needsOlder returns whether a request needs any older changes.
func needsOlder(p protocol.Params) bool {
	switch p.(type) {
	case *protocol.CreateParams, *protocol.FlushParams, *protocol.SetParams, *protocol.DeleteParams, *protocol.SetManyParams,
		*protocol.CheckParams:
		return true
	default:
		return false
	}
}

// holds returns the hold of the changes that a request needs. The caller holds the spool's mu and the site's turn.
func (in *intake) holds(p protocol.Params) *hold {
	if in.hold != nil {
		return in.hold
	}
	c, is := p.(*protocol.CreateParams)
	isGiven := is && c.ID == 0 // the daemon gives an id that no ticket has or had, and no change names
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

// needs returns whether a request must wait for older changes of a ticket: a newer change of the ticket must not overtake
// them, a create may get any id, and a flush promises that all changes are in MySQL.
func needs(p protocol.Params, ticket int64) bool {
	switch p := p.(type) {
	case *protocol.CreateParams, *protocol.FlushParams:
		return true
	case *protocol.SetParams:
		return p.ID == ticket
	case *protocol.DeleteParams:
		return p.ID == ticket
	case *protocol.SetManyParams:
		return slices.ContainsFunc(p.Tickets, func(t protocol.TicketFields) bool { return t.ID == ticket })
	case *protocol.CheckParams: // as the changes that are judged would have to wait
		return slices.ContainsFunc(p.Entries, func(e protocol.CheckEntry) bool { return e.ID == 0 || e.ID == ticket })
	default:
		return false
	}
}

// crowded returns a user's lane with more files than a look reads, whose files therefore have no known order; nil without
// such a lane.
func (in *intake) crowded() *lane {
	for _, l := range in.lanes {
		if l.crowded.Load() && !l.isShared() {
			return l
		}
	}
	return nil
}

// Behind implements [daemon.Spool].
func (s *Spool) Behind(site daemon.Site) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.sites[site]
	return in != nil && (in.held() || s.hidden(in) != nil)
}

var errBusy = protocol.Errorf(protocol.CodeUnavailable,
	"older changes are being ingested from the spool: the request was not executed; try again later")

// TakeIn ingests all present files, until ctx ends.
func (s *Spool) TakeIn(ctx context.Context) error { return s.takeIn(ctx, all) }

// takeIn ingests at most so many files of each site. Sites run concurrently and do not wait for each other.
func (s *Spool) takeIn(ctx context.Context, most int) error {
	s.tidy()
	s.follow(nil)
	s.lookElsewhere(ctx)
	s.mu.Lock()
	s.hear()
	now, clock := s.opts.Now(), time.Time{}
	if most != all {
		clock = time.Now()
	}
	sites := map[daemon.Site]*intake{}
	for site, in := range s.sites {
		if in.waits(now, clock) {
			sites[site] = in
		}
	}
	s.mu.Unlock()
	var working sync.WaitGroup
	errs := make(chan error, len(sites))
	for site, in := range sites {
		working.Go(func() {
			if err := in.take(ctx); err != nil {
				errs <- err
				return
			}
			defer in.give()
			errs <- s.takeSite(ctx, site, in, most)
		})
	}
	working.Wait()
	close(errs)
	var failed error
	for err := range errs {
		failed = errors.Join(failed, err)
	}
	return failed
}

// lookElsewhere looks at the lanes without a site: their users may no longer use any site, and their files are set aside.
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
			_ = l.look(ctx) // logged, and retried
		}
	}
}

// unsettled returns the site's intake if a file from before the call may wait.
func (s *Spool) unsettled(site daemon.Site) *intake {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	in := s.sites[site]
	if in == nil || (s.hidden(in) == nil && s.version == s.assigned && in.settled(s.opts.Now)) {
		return nil
	}
	return in
}

// settled returns whether no file waits. The caller holds the spool's mu.
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

// hear reads the kernel's queue. The caller holds mu.
func (s *Spool) hear() {
	if s.news == nil {
		return
	}
	s.news.hear(func(wd int) {
		if l := s.watches[wd]; l != nil {
			l.unseen, l.watch = true, 0
			delete(s.watches, wd)
		}
	})
}
