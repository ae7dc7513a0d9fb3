package boot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/store/redis/link"
)

// redisPlace is the Redis of all sites: the client, the watch of its state, and the inspector of its settings.
type redisPlace struct {
	client  goredis.UniversalClient
	cluster bool
	watch   *link.Watch
	doctor  *inspector
}

// newRedisPlace makes the client, without connecting yet.
func newRedisPlace(c *config.Config, sites func() []*runningSite, log zerolog.Logger) (*redisPlace, error) {
	p := &redisPlace{cluster: len(c.Redis.Cluster) > 0}
	var err error
	if p.client, p.watch, err = connect(c, link.ClientOptions{Prefixes: Prefixes(c)}, log); err != nil {
		return nil, err
	}
	p.doctor = newInspector(p.client, sites, log)
	p.doctor.prove = p.watch.Prove
	return p, nil
}

// start begins to watch Redis. sites returns the present sites, which are complete, as the watch may report an earlier connection
// at any time.
func (p *redisPlace) start(ctx context.Context, sites func() []*runningSite) {
	p.watch.OnRun(func(ctx context.Context, on goredis.Scripter, run string, partitions []int) error {
		defer p.doctor.lookSoon()
		for _, s := range sites() {
			if err := s.backend.redis.Replaced(ctx, on, run, partitions); err != nil {
				return err
			}
			if s.Site != nil { // tombstones may be lost with the former process
				s.Rebury()
			}
			if s.couriers != nil {
				s.couriers.Reread()
			}
		}
		return nil
	})
	p.watch.OnUp(func() {
		for _, s := range sites() {
			s.backend.Nudge()
		}
		p.doctor.lookSoon()
	})
	p.watch.Start(ctx)
	p.doctor.Start(ctx)
}

func (p *redisPlace) stop(ctx context.Context) error {
	return errors.Join(p.doctor.Stop(ctx), p.watch.Stop(ctx))
}

// up tells whether all of Redis answers.
func (p *redisPlace) up() bool {
	up, _, _ := p.watch.State()
	return up
}

// inspectEvery is how often the settings of Redis are checked: an operator can change the eviction policy of a running Redis.
const inspectEvery = 30 * time.Second

// inspectAgain is the pause before the next check where Redis has not answered: a check after a restart may meet an error from
// before, which go-redis repeats for up to a second.
const inspectAgain = time.Second

// tableTimeout bounds the check of a site's table: until the check ends no site's keys are checked again.
const tableTimeout = 5 * time.Second

// inspector checks the settings of Redis, logs each new finding once, and notices a restart of Redis.
type inspector struct {
	client goredis.UniversalClient
	log    zerolog.Logger
	queues func() []*runningSite
	prove  func(context.Context) // finds out whether Redis works
	found  atomic.Pointer[[]string]
	soon   chan struct{} // asks for a look before the next is due
	// processes are those of the last look that checked all sites; empty: the next look checks all sites.
	processes string
	looking   sync.Mutex // held during a look: the daemon's start looks, too
	// unchecked says that the log has named sites whose keys cannot be checked.
	unchecked atomic.Bool
	loop      lifecycle.Loop
}

func newInspector(client goredis.UniversalClient, queues func() []*runningSite, log zerolog.Logger) *inspector {
	return &inspector{client: client, log: log, queues: queues, soon: make(chan struct{}, 1)}
}

// Start begins the regular checks.
func (i *inspector) Start(ctx context.Context) {
	i.loop.Start(ctx, func(ctx context.Context) {
		ticker := time.NewTicker(inspectEvery)
		defer ticker.Stop()
		again := time.NewTimer(inspectEvery)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			case <-i.soon:
				i.looking.Lock()
				i.processes = ""
				i.looking.Unlock()
			case <-again.C:
			}
			if !i.look(ctx) {
				again.Reset(inspectAgain)
			}
		}
	})
}

// Stop ends the checks.
func (i *inspector) Stop(ctx context.Context) error { return i.loop.Stop(ctx, "Redis inspector") }

// look inspects Redis, and says whether Redis has answered. While Redis is unreachable, which the watch reports, the earlier
// findings stay. A look that the start of the daemon cuts off begins again at once, without that bound.
func (i *inspector) look(ctx context.Context) (answered bool) {
	defer func() {
		if ctx.Err() != nil {
			i.lookSoon()
		}
	}()
	i.looking.Lock()
	defer i.looking.Unlock()
	found, processes, err := link.Inspect(ctx, i.client)
	if err != nil {
		return false
	}
	before, first, isNew := i.warnings(), i.found.Load() == nil, false
	for _, warning := range found {
		if !slices.Contains(before, warning) {
			i.log.Warn().Msg(warning)
			isNew = true
		}
	}
	i.found.Store(&found)
	// A Redis that has become a replica, or cannot write to its disk, answers the questions of idle sites, and takes no change. The
	// daemon's start proves Redis by itself.
	if isNew && !first {
		i.prove(ctx)
	}
	i.lookAtSites(ctx, processes)
	return true
}

// lookAtSites checks the keys of the sites that were used since their last check, and of all sites where Redis is another process
// than before or the last check failed. lookAtSites logs the outcome of all sites together: once when keys cannot be checked, and
// once when all can be checked again.
func (i *inspector) lookAtSites(ctx context.Context, processes string) {
	sites := i.queues()
	if processes == i.processes && processes != "" {
		sites = slices.DeleteFunc(slices.Clone(sites), func(s *runningSite) bool { return s.checked == s.tables.looks.Load() })
	}
	i.processes = ""
	dropped, errs := make([]int, len(sites)), make([]error, len(sites))
	var looks sync.WaitGroup // a site waits for the daemons of its other hosts, and for its MySQL
	for n, s := range sites {
		s.checked = s.tables.looks.Load()
		looks.Go(func() { dropped[n], errs[n] = lookAt(ctx, s) })
	}
	looks.Wait()
	if ctx.Err() != nil {
		return
	}
	copies, failed := 0, make([]string, 0, len(sites))
	for n, s := range sites {
		copies += dropped[n]
		if errs[n] != nil {
			failed = append(failed, s.name)
		}
	}
	if copies > 0 {
		i.log.Info().Int("dropped", copies).
			Msg("Redis was restarted or failed over: clean copies are read from MySQL again")
	}
	if len(failed) == 0 {
		i.processes = processes
	}
	switch before := i.unchecked.Swap(len(failed) > 0); {
	case len(failed) > 0 && !before:
		const most = 10
		i.log.Warn().Err(cmp.Or(errs...)).Int("sites", len(failed)).Strs("first", failed[:min(len(failed), most)]).
			Msg("Redis cannot be checked for some sites; the next check tries again")
	case len(failed) == 0 && before:
		i.log.Info().Msg("Redis can be checked for all sites again")
	}
}

// lookAt checks a site's keys, and then whether another host of the site uses other keys.
func lookAt(ctx context.Context, s *runningSite) (dropped int, err error) {
	if dropped, err = s.backend.look(ctx); err != nil {
		return 0, err
	}
	s.Flusher.Wake(time.Now()) // tickets that Redis has had pending since before a restart may be due
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	if err := s.otherKeys.look(ctx, s); err != nil { // the flusher and the server report the error if necessary
		s.log.Debug().Err(err).Msg("the keys cannot be named beside the table")
	}
	return dropped, nil
}

// lookSoon asks for a check of Redis, and does not wait for the check.
func (i *inspector) lookSoon() {
	select {
	case i.soon <- struct{}{}:
	default:
	}
}

func (i *inspector) warnings() []string {
	if found := i.found.Load(); found != nil {
		return slices.Clone(*found)
	}
	return nil
}
