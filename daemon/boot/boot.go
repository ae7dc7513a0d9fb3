package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/metrics"
	"github.com/ticketd/ticketd/daemon/spool"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/version"
)

// Daemon is everything that one process runs.
type Daemon struct {
	config *config.Config
	log    zerolog.Logger

	started time.Time

	redis  *redisPlace // nil where there is none
	sites  []*runningSite
	table  *daemon.AccessList
	server *daemon.Server
	spool  *spool.Spool // nil where there is none

	spoolUsers atomic.Pointer[[]uint32] // those who should have a folder in it

	// places is where pending changes are; left says what an earlier configuration has left behind elsewhere.
	places lastPlaces
	left   []string

	connections *daemon.Connections

	metrics  *metrics.Metrics   // nil where they are not wanted
	scraped  *metrics.Server    // nil where they are not offered
	watchdog *watchdog.Watchdog // nil where nobody watches
}

// New builds a daemon and binds its socket. It starts nothing.
func New(ctx context.Context, c *config.Config, log zerolog.Logger) (*Daemon, error) {
	d := &Daemon{config: c, log: log, started: time.Now()}
	if c.Metrics.Listen != "" {
		d.metrics = metrics.New(version.String())
	}
	if c.HasRedis() {
		var err error
		if d.redis, err = newRedisPlace(c, func() []*runningSite { return d.sites }, log); err != nil {
			return nil, err
		}
	}
	if err := d.build(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *Daemon) build(ctx context.Context) error {
	if err := prepareStateDir(d.config.Daemon.StateDir); err != nil {
		return err
	}
	for _, name := range d.config.SiteNames() {
		s, err := d.openSite(name, d.config.Sites[name])
		if err != nil {
			return fmt.Errorf("site %s: %w", name, err)
		}
		d.sites = append(d.sites, s)
	}
	d.findLeft(ctx)
	d.identify(ctx)
	for _, s := range d.sites {
		if err := d.complete(ctx, s); err != nil {
			return fmt.Errorf("site %s: %w", s.name, err)
		}
	}
	access, err := d.access(d.config)
	if err != nil {
		return err
	}
	own := uint32(os.Geteuid()) //nolint:gosec // a user id is never negative here
	d.table = daemon.NewAccessList(own, access)
	listener, err := daemon.Listen(ctx, listenOptions(&d.config.Daemon))
	if err != nil {
		return err
	}
	connections := daemon.NewConnections(d.config.Daemon.MaxConnections, 0, own)
	connections.SetUsers(d.peers(d.config))
	d.connections = connections
	dispatcher := daemon.NewDispatcher(d.table, connections, version.String(), d.config.Daemon.RequestTimeout)
	d.openSpool(dispatcher)
	options := daemon.Options{IdleTimeout: d.config.Daemon.IdleTimeout, Admit: d.table.Admit, Hot: dispatcher}
	if d.metrics != nil {
		dispatcher.UseMeter(d.metrics)
		options.Rounded = d.metrics.Rounded
	}
	d.server = daemon.NewServer(listener, d.metrics.Handler(dispatcher), connections, options, d.log)
	d.offerMetrics(ctx, connections)
	return nil
}

func listenOptions(c *config.Daemon) daemon.ListenOptions {
	mode, _ := c.Mode() // checked with the configuration
	o := daemon.ListenOptions{Path: c.Socket, Mode: fs.FileMode(mode), GID: -1}
	if gid, err := config.GroupID(c.SocketGroup); c.SocketGroup != "" && err == nil {
		o.GID = int(gid)
	}
	return o
}

// prepareStateDir makes the folder for what is kept on disk, readable for the daemon alone.
func prepareStateDir(dir string) error {
	if dir == "" {
		return nil
	}
	const ownerOnly = 0o700
	if err := os.MkdirAll(dir, ownerOnly); err != nil {
		return fmt.Errorf("daemon.state_dir: %w: make it writable for the daemon, or set it to \"\" to keep nothing", err)
	}
	return nil
}

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

// offerMetrics binds the address of the metrics, where they are wanted. One that cannot be bound is reported and does not keep
// the daemon from serving.
func (d *Daemon) offerMetrics(ctx context.Context, connections *daemon.Connections) {
	if d.metrics == nil {
		return
	}
	listener, err := d.listenMetrics(ctx)
	if err != nil {
		d.log.Error().Err(err).Msg("metrics.listen cannot be used: the daemon serves without metrics until its next start")
		return
	}
	sources := metrics.Sources{Connections: connections}
	if d.redis != nil {
		sources.Pool, sources.RedisUp = d.redis.client.PoolStats, d.redis.up
	}
	if d.spool != nil {
		sources.Spool = d.spool
	}
	for _, s := range d.sites {
		sources.Sites = append(sources.Sites, s.Site)
	}
	d.metrics.Watch(sources)
	d.scraped = metrics.NewServer(d.metrics, listener, d.config.Metrics.Pprof, d.log)
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
