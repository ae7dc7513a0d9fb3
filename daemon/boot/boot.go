package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/metrics"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/daemon/spool"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Daemon is a running daemon with all its parts.
type Daemon struct {
	config *config.Config // of the start; its sites may have changed since, see now
	log    zerolog.Logger

	started time.Time

	redis *redisPlace // nil without a Redis
	mysql *mysql.Servers
	// servers are the states of the sites' MySQL servers, by address.
	servers atomic.Pointer[map[string]*health.Server]

	life    sync.Mutex      // held while sites are added or removed, and by the stop
	now     *config.Config  // the start's, with the present sites
	work    context.Context //nolint:containedctx // of the background work; nil before Run and after the stop
	running atomic.Pointer[[]*runningSite]

	table  *daemon.AccessList
	server *daemon.Server
	spool  *spool.Spool // nil without a spool

	spoolUsers atomic.Pointer[[]uint32] // the users that should have a folder in the spool

	// places says where pending changes are; left are warnings of pending changes that an earlier configuration has left elsewhere.
	places lastPlaces
	left   atomic.Pointer[[]string]

	connections *daemon.Connections

	serving  atomic.Bool        // between ready and the stop
	metrics  *metrics.Metrics   // nil without metrics
	scraped  *metrics.Server    // nil if no server offers the metrics
	watchdog *watchdog.Watchdog // nil without a supervisor
}

// New builds a daemon and binds its socket, without starting background work.
func New(ctx context.Context, c *config.Config, log zerolog.Logger) (*Daemon, error) {
	d := &Daemon{config: c, log: log, started: time.Now(), mysql: mysql.NewServers(c.MySQL.MaxConnections), now: c}
	d.setSites(nil)
	d.servers.Store(&map[string]*health.Server{})
	if c.Metrics.Listen != "" {
		d.metrics = metrics.New(version.String())
	}
	if c.HasRedis() {
		var err error
		if d.redis, err = newRedisPlace(c, d.sites, log); err != nil {
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
	for _, name := range d.now.SiteNames() {
		s, err := d.openSite(name, d.now.Sites[name])
		if err != nil {
			return fmt.Errorf("site %s: %w", name, err)
		}
		d.setSites(append(slices.Clone(d.sites()), s))
	}
	d.findLeft(ctx)
	d.identify(ctx, d.sites())
	for _, s := range d.sites() {
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
	d.table.UseLog(d.log)
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
	d.server = daemon.NewServer(listener, dispatcher, connections, options, d.log)
	d.offerMetrics(ctx, connections)
	return nil
}

// warnings are faults of Redis, and for an operator left pending changes, which may be of other sites.
func (d *Daemon) warnings(operator bool) []string {
	var left []string
	if operator {
		left = *d.left.Load()
	}
	if d.redis == nil {
		return left
	}
	return slices.Concat(left, d.redis.doctor.warnings())
}

func listenOptions(c *config.Daemon) daemon.ListenOptions {
	mode, _ := c.Mode() // checked with the configuration
	o := daemon.ListenOptions{Path: c.Socket, Mode: fs.FileMode(mode), GID: -1}
	if gid, err := config.GroupID(c.SocketGroup); c.SocketGroup != "" && err == nil {
		o.GID = int(gid)
	}
	return o
}

// prepareStateDir makes the state folder, readable only by the daemon.
func prepareStateDir(dir string) error {
	if dir == "" {
		return nil
	}
	const ownerOnly = 0o700
	if err := os.MkdirAll(dir, ownerOnly); err != nil {
		return fmt.Errorf("daemon.state_dir: %w: make the folder writable for the daemon, or set \"\" to keep no state", err)
	}
	return nil
}

// access returns the access rules of each site that the configuration has.
func (d *Daemon) access(c *config.Config) (map[string]daemon.SiteAccess, error) {
	access := make(map[string]daemon.SiteAccess, len(d.sites()))
	for _, s := range d.sites() {
		configured, there := c.Sites[s.name]
		if !there {
			continue // about to be removed
		}
		a := daemon.SiteAccess{Site: site.Gate{Site: s.Site}, Holds: s.custody.has}
		a.Table, a.Serves = s.serves(&configured)
		for _, name := range configured.AllowUsers {
			id, err := config.UserID(name)
			if err != nil {
				return nil, err
			}
			a.Users = append(a.Users, id)
		}
		for _, name := range configured.AllowGroups {
			id, err := config.GroupID(name)
			if err != nil {
				return nil, err
			}
			a.Groups = append(a.Groups, id)
		}
		access[s.name] = a
	}
	return access, nil
}
