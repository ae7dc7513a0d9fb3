package boot

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/metrics"
)

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
		Profiles: c.Pprof, WebConfig: c.WebConfig, Ready: d.readiness, Log: d.log,
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
		sources.Sites = append(sources.Sites, metrics.Site{
			Site: s.Site, Server: s.database.Address(), Conflicts: s.sink.Conflicts, IDs: s.allocator.Left,
		})
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

// errNotReady is why the daemon is not ready before its socket is served, and while it stops.
var errNotReady = errors.New("the daemon is starting or stopping")

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
