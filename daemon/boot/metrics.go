package boot

import (
	"context"
	"net"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/metrics"
)

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
