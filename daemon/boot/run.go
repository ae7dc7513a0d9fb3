package boot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/metrics"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/version"
)

// lookTimeout bounds the check of Redis and MySQL before the daemon reports ready.
const lookTimeout = time.Second

// Run starts the daemon, calls ready, and runs until ctx ends; then Run stops the daemon in order.
func (d *Daemon) Run(ctx context.Context, ready func()) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the work outlives the signal to stop
	defer cancel()
	d.life.Lock()
	if d.redis != nil {
		d.redis.start(work, d.sites)
	}
	for _, s := range *d.servers.Load() {
		s.Start(work)
	}
	d.look(ctx)
	for _, s := range d.sites() {
		s.Start(work)
	}
	d.work = work
	d.life.Unlock()
	d.takeInSpool(ctx, work)
	if err := d.server.Start(work); err != nil {
		return errors.Join(err, d.stop()) //nolint:contextcheck // see stop
	}
	if d.scraped != nil {
		d.scraped.Start(work)
	}
	d.log.Info().Str("version", version.String()).Str("socket", d.config.Daemon.Socket).
		Strs("sites", d.now.SiteNames()).Msg("ticketd is ready")
	d.serving.Store(true)
	d.keepSettings()
	ready()
	if d.watchdog != nil {
		d.watchdog.Start(work)
	}
	<-ctx.Done()
	return d.stop() //nolint:contextcheck // see stop
}

// spoolTimeout bounds the ingest before the first request; after spoolTimeout the rest is ingested while requests wait.
const spoolTimeout = 5 * time.Second

// takeInSpool ingests the spool's files, and starts the spool, which ingests later files.
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

// look checks Redis and MySQL, so that the log names a missing server before the first failing request.
func (d *Daemon) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if d.redis != nil {
		d.redis.watch.Prove(ctx)
		d.redis.doctor.look(ctx)
	}
	var looks sync.WaitGroup
	for _, s := range d.sites() {
		looks.Go(func() { _ = s.Refresh(ctx) }) // the flusher and the server log what is wrong
	}
	looks.Wait()
}

// stop ends the daemon in the order of the package comment. stop has its own time, as Run's ctx has ended.
func (d *Daemon) stop() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), d.config.Daemon.ShutdownTimeout,
		errors.New("daemon.shutdown_timeout is over"))
	defer cancel()
	d.life.Lock() // no site is added or removed from now on
	defer d.life.Unlock()
	d.work = nil
	d.serving.Store(false)
	d.log.Info().Msg("stopping: answering the requests that were sent, then flushing dirty tickets")
	for _, s := range d.sites() {
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
	for _, s := range d.sites() {
		err = errors.Join(err, s.stop(ctx))
	}
	err = errors.Join(err, d.stopServers(ctx))
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

// drain flushes dirty tickets, all sites in parallel: a site with an unreachable MySQL must not use up the other sites' time.
func (d *Daemon) drain(ctx context.Context) error {
	errs := make([]error, len(d.sites()))
	var draining sync.WaitGroup
	for i, s := range d.sites() {
		if !s.isEmpty() {
			draining.Go(func() { errs[i] = s.Drain(ctx) })
		}
	}
	draining.Wait()
	return errors.Join(errs...)
}

// noteFlushed records which sites have no pending changes in Redis at the end.
func (d *Daemon) noteFlushed(ctx context.Context) {
	if d.placesFile() == "" {
		return
	}
	for _, s := range d.sites() {
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

// close releases the resources of New.
func (d *Daemon) close() error {
	var err error
	for _, s := range d.sites() {
		err = errors.Join(err, s.close())
	}
	if d.redis != nil {
		err = errors.Join(err, d.redis.client.Close())
	}
	return err
}

// answerWithin is how long the daemon may leave its own socket unanswered.
const answerWithin = 30 * time.Second

// Watch calls alive three times within timeout while [Daemon.Run] is ready and no part of the daemon is stuck, for a supervisor
// that otherwise restarts the daemon. Call Watch before Run.
func (d *Daemon) Watch(timeout time.Duration, alive func()) {
	listener := watchdog.Part{Name: "listener", Within: answerWithin, Moved: watchdog.Listener(d.server.Address(), d.log)}
	d.watchdog = watchdog.New(func() []watchdog.Part {
		parts := []watchdog.Part{listener}
		for _, s := range d.sites() {
			parts = append(parts, s.parts...)
		}
		return parts
	}, timeout, alive, d.log)
}

// SetLevel sets the level of all loggers; an unknown name counts as info.
func SetLevel(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}

func (d *Daemon) stopServers(ctx context.Context) error {
	var err error
	for _, s := range *d.servers.Load() {
		err = errors.Join(err, s.Stop(ctx))
	}
	return err
}

// offerMetrics binds the address of the metrics, if configured. If the address cannot be bound, or its web_config is wrong, the
// daemon logs the error and serves without metrics.
func (d *Daemon) offerMetrics(ctx context.Context, connections *daemon.Connections) {
	if d.metrics == nil {
		return
	}
	c := &d.config.Metrics
	err := metrics.CheckWeb(c.WebConfig, !c.Local())
	var listener net.Listener
	if err == nil {
		listener, err = d.listenMetrics(ctx)
	}
	if err != nil {
		d.log.Error().Err(err).Msg("the metrics endpoint cannot be offered: the daemon serves without metrics until its next start")
		return
	}
	d.metrics.Watch(func() metrics.Sources { return d.sources(connections) })
	d.scraped = metrics.NewServer(d.metrics, listener, metrics.ServerOptions{
		Profiles: c.Pprof, WebConfig: c.WebConfig, Remote: !c.Local(), Ready: d.readiness, Log: d.log,
	})
}

// sources are what a scrape asks.
func (d *Daemon) sources(connections *daemon.Connections) metrics.Sources {
	sources := metrics.Sources{
		Started: d.started, Connections: connections, Servers: *d.servers.Load(), Folders: map[string]string{},
	}
	if d.redis != nil {
		sources.Redis = redisAddress(&d.config.Redis)
		sources.Pool, sources.RedisUp = d.redis.client.PoolStats, d.redis.up
	}
	if d.spool != nil {
		sources.Spool = d.spool
		sources.Folders["spool"] = d.config.Daemon.SpoolDir
	}
	if dir := d.config.Daemon.StateDir; dir != "" {
		sources.Folders["state"] = dir
	}
	for _, s := range d.sites() {
		if s.backend.Journal() != nil {
			sources.JournalBytes, sources.JournalEntries = d.config.Journal.MaxBytes, d.config.Journal.MaxEntries
			sources.Folders["journal"] = d.config.JournalDir(s.name)
		}
		of := metrics.Site{Site: s.Site, Server: s.database.Address(), Conflicts: s.sink.Conflicts, IDs: s.allocator.Left}
		if meta, is := s.sink.(interface{ Dropped() int64 }); is {
			of.IDs, of.Dropped = nil, meta.Dropped
		}
		sources.Sites = append(sources.Sites, of)
	}
	return sources
}

func (d *Daemon) listenMetrics(ctx context.Context) (net.Listener, error) {
	network, address := d.config.Metrics.Network()
	if network == "unix" {
		o := listenOptions(&d.config.Daemon)
		o.Path = address
		return daemon.ListenUnix(ctx, o)
	}
	var config net.ListenConfig
	return config.Listen(ctx, network, address)
}

// readiness says why clients should not be sent to this daemon; nil while changes are accepted. MySQL does not count: the daemon
// accepts changes without it.
func (d *Daemon) readiness() error {
	if !d.serving.Load() {
		return errNotReady
	}
	var errs []error
	sites := d.sites()
	for _, s := range sites {
		if up, _, reason := s.StoreState(); !up && s.backend.Journal() == nil {
			errs = append(errs, fmt.Errorf("site %s: Redis does not answer, and there is no journal: %s", s.name, reason))
		} else if err := s.custody.served(); err != nil {
			errs = append(errs, fmt.Errorf("site %s is not served: %w", s.name, err))
		}
	}
	if len(errs) < len(sites) { // the other sites are served
		return nil
	}
	return errors.Join(errs...)
}

// errNotReady is why the daemon is not ready before its socket is served, and while it stops.
var errNotReady = errors.New("the daemon is starting or stopping")
