package boot

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/version"
)

// lookTimeout bounds the look at Redis and MySQL before the daemon says that it is ready.
const lookTimeout = time.Second

// Run starts everything, calls ready, and runs until ctx ends; then it stops in order.
func (d *Daemon) Run(ctx context.Context, ready func()) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the work outlives the signal to stop
	defer cancel()
	if d.redis != nil {
		d.redis.start(work, d.sites)
	}
	d.look(ctx)
	for _, s := range d.sites {
		s.Start(work)
	}
	d.takeInSpool(ctx, work)
	if err := d.server.Start(work); err != nil {
		return errors.Join(err, d.stop()) //nolint:contextcheck // see stop
	}
	if d.scraped != nil {
		d.scraped.Start(work)
	}
	d.log.Info().Str("version", version.String()).Str("socket", d.config.Daemon.Socket).
		Strs("sites", d.config.SiteNames()).Msg("ticketd is ready")
	ready()
	if d.watchdog != nil {
		d.watchdog.Start(work)
	}
	<-ctx.Done()
	return d.stop() //nolint:contextcheck // see stop
}

// spoolTimeout bounds the intake before the first request; what is left then is ingested while requests wait for it.
const spoolTimeout = 5 * time.Second

// takeInSpool ingests the files that wait, and starts the spool, which ingests later ones.
func (d *Daemon) takeInSpool(ctx, work context.Context) {
	if d.spool == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	err := d.spool.TakeIn(ctx)
	if n := d.spool.Status(nil).Taken; n > 0 {
		d.log.Info().Int64("files", n).Bool("all", err == nil).Msg("changes were ingested from the spool")
	}
	d.spool.Start(work)
}

// look says at once what is missing, so that nobody has to wait for the first failing request.
func (d *Daemon) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if d.redis != nil {
		d.redis.watch.Prove(ctx)
		d.redis.doctor.look(ctx)
	}
	for _, s := range d.sites {
		if err := s.Refresh(ctx); err != nil {
			s.log.Error().Err(err).Msg("MySQL cannot be used yet; changes wait until it can")
		}
	}
}

// stop ends the daemon in the order that the package comment gives. Its time is its own: ctx has ended by then.
func (d *Daemon) stop() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), d.config.Daemon.ShutdownTimeout,
		errors.New("daemon.shutdown_timeout is over"))
	defer cancel()
	d.log.Info().Msg("stopping: answering what was sent, then flushing what is dirty")
	for _, s := range d.sites {
		s.Hurry()
	}
	var err error
	if d.watchdog != nil {
		err = d.watchdog.Stop(ctx)
	}
	err = errors.Join(err, d.server.Stop(ctx))
	if d.spool != nil {
		err = errors.Join(err, d.spool.Stop(ctx))
	}
	err = errors.Join(err, d.drain(ctx))
	d.noteFlushed(ctx)
	for _, s := range d.sites {
		err = errors.Join(err, s.stop(ctx))
	}
	if d.redis != nil {
		err = errors.Join(err, d.redis.stop(ctx))
	}
	if d.scraped != nil {
		err = errors.Join(err, d.scraped.Stop(ctx))
	}
	err = errors.Join(err, d.close())
	d.log.Info().Msg("stopped")
	return err
}

// drain flushes what is dirty, all sites at once: one whose MySQL is away must not take the time of the others.
func (d *Daemon) drain(ctx context.Context) error {
	errs := make([]error, len(d.sites))
	var draining sync.WaitGroup
	for i, s := range d.sites {
		draining.Go(func() { errs[i] = s.Drain(ctx) })
	}
	draining.Wait()
	return errors.Join(errs...)
}

// noteFlushed records at the end which sites have no pending changes in Redis.
func (d *Daemon) noteFlushed(ctx context.Context) {
	if d.placesFile() == "" {
		return
	}
	for _, s := range d.sites {
		had, there := d.places.Keys[s.name]
		if !there {
			continue
		}
		backlog, err := s.backend.Backlog(ctx)
		had.Pending = err != nil || backlog.Dirty > 0
		d.places.Keys[s.name] = had
	}
	d.keepPlaces()
}

// close gives back what New took.
func (d *Daemon) close() error {
	var err error
	for _, s := range d.sites {
		if s.backend != nil {
			err = errors.Join(err, s.backend.Close())
		}
		err = errors.Join(err, s.database.Close())
	}
	if d.redis != nil {
		err = errors.Join(err, d.redis.client.Close())
	}
	return err
}

// answerWithin is how long the daemon may leave its own socket unanswered.
const answerWithin = 30 * time.Second

// Watch has alive called three times within timeout while [Daemon.Run] is ready and no part of the daemon is stuck, for a
// supervisor that restarts it otherwise. It is called before Run.
func (d *Daemon) Watch(timeout time.Duration, alive func()) {
	parts := []watchdog.Part{{
		Name: "listener", Within: answerWithin, Moved: watchdog.Listener(d.server.Address(), d.log),
	}}
	for _, s := range d.sites {
		parts = append(parts, s.watched(&d.config.Redis)...)
	}
	d.watchdog = watchdog.New(parts, timeout, alive, d.log)
}

// watched are the loops of a site that have to get on. The time for a step is more than twice what their time-outs allow, as a
// step may try a broken connection first.
func (s *runningSite) watched(c *config.Redis) []watchdog.Part {
	calls := c.DialTimeout + c.WriteTimeout + c.ReadTimeout
	parts := []watchdog.Part{{
		Name: "flusher of " + s.name, Within: flushMaxPause + 3*(s.database.Patience()+calls),
		Moved: watchdog.Counter(func() int64 { return s.Flusher.Stats().Turns() + s.Statements() }),
	}}
	if s.backend.redis != nil && s.backend.Journal() != nil {
		tried := watchdog.Counter(func() int64 { return s.backend.Journal().Tries })
		parts = append(parts, watchdog.Part{
			Name: "journal of " + s.name, Within: flushMaxPause + 3*calls,
			Moved: func(ctx context.Context) bool { return tried(ctx) || s.backend.Journal().Entries == 0 },
		})
	}
	return parts
}

// Reload applies a changed configuration: who may use which site, the sync strategies, and the log's level. What else has
// changed is named in the log; it takes effect at the next start.
func (d *Daemon) Reload(c *config.Config) error {
	access, err := d.access(c)
	if err != nil {
		return err
	}
	for _, s := range d.sites {
		configured, there := c.Sites[s.name]
		if !there {
			delete(access, s.name)
			continue
		}
		s.SetStrategy(strategy(&configured))
	}
	d.table.Replace(access)
	d.connections.SetUsers(d.peers(c))
	if d.spool != nil {
		d.spoolUsers.Store(d.prepareSpool(c))
		d.spool.Refresh()
	}
	SetLevel(c.Log.Level)
	if needsRestart(d.config, c) {
		d.log.Warn().Msg("the configuration has changes that take effect at the next start of the daemon")
	}
	d.log.Info().Msg("configuration reloaded")
	return nil
}

// SetLevel sets the level of all loggers; what is no level counts as info.
func SetLevel(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}

// needsRestart compares what a reload does not apply.
func needsRestart(before, after *config.Config) bool {
	return !reflect.DeepEqual(fixed(before), fixed(after))
}

// fixed is a configuration without what a reload applies.
func fixed(c *config.Config) config.Config {
	rest := *c
	rest.Log.Level = ""
	rest.Sites = make(map[string]config.Site, len(c.Sites))
	for name, s := range c.Sites {
		s.AllowUsers, s.AllowGroups, s.ClientTable = nil, nil, ""
		s.Strategy, s.Linger, s.Period, s.MaxAge, s.CloseField, s.CloseStatuses = "", 0, 0, 0, "", nil
		rest.Sites[name] = s
	}
	return rest
}
