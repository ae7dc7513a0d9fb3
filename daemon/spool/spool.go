package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// tick is how often the folders' news are looked for where no request does.
	tick = 250 * time.Millisecond
	// rescanEvery is how often the folders are looked at, whatever the kernel told of them.
	rescanEvery = 5 * time.Second
	// firstPause and maxPause bound the growing pause before a site is tried again.
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
	// filesPerTurn is how many files of a site are ingested at a time where no request waits for them: then it is the next site's
	// turn.
	filesPerTurn = 1000
)

// Sites judges the owner of a folder as the peer of a connection.
type Sites interface {
	daemon.Sites
	// Of returns the sites that the peer may use.
	Of(peer daemon.Peer) []daemon.Site
}

// Options say where the spool is and where its changes go.
type Options struct {
	// Path is the folder of all users' folders; it is made where it is missing.
	Path string
	// State is the file in which the spool remembers which folder that was; empty: it does not. See [record].
	State string
	// GID is the group that may put files straight into a folder that is made; -1 is none.
	GID   int
	Sites Sites
	// Users are those who may have a folder; nil stands for none but those who have one.
	Users func() []uint32
	// Timeout bounds the work on one file.
	Timeout time.Duration
	Log     zerolog.Logger
	// LookEvery is for how long a look at the folders' paths counts for the requests of a site; 0: each request looks. What the
	// kernel tells of an open folder counts for each request.
	LookEvery time.Duration
	// Moves returns the register of a site's creates that got another id than the one their clients received; nil keeps them as long
	// as the spool is open.
	Moves func(site daemon.Site) *moves.Register
	// Now is the clock for pauses and ages; nil stands for time.Now.
	Now func() time.Time
}

// Spool ingests the folders of all users. It is safe for concurrent use.
//
// Locks are taken in this order: tidying, a site's turn, a lane's mu, the spool's mu.
type Spool struct {
	opts Options
	loop lifecycle.Loop
	done atomic.Int64 // files ingested

	repeats zerolog.Logger // limited, for what may concern each ticket

	tidying sync.Mutex // held by who opens and closes lanes
	scanned time.Time  // when that was done last

	mu       sync.Mutex
	base     *os.File // nil while there is none that can be used
	why      error    // why there is none
	blind    bool     // there is one, or was, and what waits in it cannot be known
	at       place    // what stood at the path when base was opened, or could not be
	recorded bool     // base is the folder that the state names
	news     *news
	watches  map[int]*lane    // by the watch's number
	lanes    map[string]*lane // by name
	former   []*lane          // of folders that no longer stand at their paths, until nothing waits in them
	newcomer bool             // a user has a folder who is no lane yet
	sites    map[daemon.Site]*intake
	stopped  bool
}

// In each repeatPeriod the log tells of so many tickets, at most.
const (
	maxRepeats   = 20
	repeatPeriod = 10 * time.Second
)

// New opens the spool. A folder that cannot be used is no error: the log and [Spool.Warnings] say why.
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

// Start begins to ingest files without being asked.
func (s *Spool) Start(ctx context.Context) {
	s.loop.StartEvery(ctx, tick, func(ctx context.Context) {
		_ = s.takeIn(ctx, filesPerTurn) // what ends it is logged where it happens, or is the end of ctx
	})
}

// Stop ends it and closes the folders. The files that wait in them are ingested at the next start.
func (s *Spool) Stop(ctx context.Context) error {
	if err := s.loop.Stop(ctx, "spool"); err != nil {
		return err
	}
	s.tidying.Lock()
	defer s.tidying.Unlock()
	for _, in := range s.intakes(func(*intake) bool { return true }) {
		if err := in.take(ctx); err != nil {
			return fmt.Errorf("stopping the spool: still busy: %w", err)
		}
		defer in.give()
	}
	s.shut(errors.New("the daemon stops"))
	return nil
}

// Settle implements [daemon.Spool]: it returns when every file that was in place before the call, in a folder whose user may use
// the site, has been taken in. Where that takes longer than ctx, or where files are held up that the request needs, it says so.
//
// A folder that cannot be read may hold such files, so a request that needs them is refused then.
//
// Where nothing waits it costs one system call for the kernel's news, 0.2 to 0.4 µs, and now and then one for each folder, see
// [Spool.follow] (BenchmarkSettle).
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

// settle takes in what waits; again says that there are folders that were not looked at.
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
	case s.newcomer:
		return true, nil
	case !needsOlder(p):
		return false, nil
	case s.hidden(in) != nil:
		return false, protocol.Errorf(protocol.CodeUnavailable,
			"older changes may wait in the spool, which cannot be read (%s): nothing was done", s.hidden(in))
	case in.holds(p) != nil:
		return false, protocol.Errorf(protocol.CodeUnavailable,
			"older changes wait in the spool and cannot be made yet (%s): nothing was done", in.holds(p).err)
	case in.crowded() != nil:
		return false, protocol.Errorf(protocol.CodeUnavailable,
			"the spool folder of user %d holds too many files: remove those that cannot be used; nothing was done", in.crowded().user)
	}
	return false, nil
}

// Behind implements [daemon.Spool].
func (s *Spool) Behind(site daemon.Site) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.sites[site]
	return in != nil && (in.held() || s.hidden(in) != nil)
}

var errBusy = protocol.Errorf(protocol.CodeUnavailable,
	"older changes are being ingested from the spool: nothing was done; try again later")

// TakeIn ingests what is there, until ctx ends.
func (s *Spool) TakeIn(ctx context.Context) error { return s.takeIn(ctx, all) }

// takeIn ingests at most so many files of each site, all sites at once: none waits for another one's.
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

// unsettled returns the site's intake where a file may wait that was in place before the call.
func (s *Spool) unsettled(site daemon.Site) *intake {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	in := s.sites[site]
	if in == nil || (s.hidden(in) == nil && in.settled(s.opts.Now)) {
		return nil
	}
	return in
}

// hear takes the folders' news from the kernel. It is called with mu held.
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
