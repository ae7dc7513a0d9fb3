package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"path/filepath"
	"slices"

	"strconv"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/metrics"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/daemon/spool"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
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

// identify reads the identities of the sites' tables from MySQL, in parallel. Without an answer within [lookTimeout] a site's
// identity comes from disk.
func (d *Daemon) identify(ctx context.Context, sites []*runningSite) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for _, s := range sites {
		asked.Go(func() {
			_ = s.database.Identify(ctx) // [custody.told] records the result
			s.custody.recall(s.database)
		})
	}
	asked.Wait()
}

// openSite makes the parts of a site by which the table can be identified.
func (d *Daemon) openSite(name string, c config.Site) (*runningSite, error) {
	s := &runningSite{name: name, prefix: c.KeyPrefix, checked: -1, keys: describeKeys(d.now, name)}
	s.log = d.log.With().Str("site", name).Logger()
	s.sampled = logs.Limited(s.log, 1, time.Minute)
	database, err := databaseOf(c)
	if err != nil {
		return s, err
	}
	if c.Exposed() {
		s.log.Warn().Msg("the connection to MySQL has no TLS: whoever is on the way can read the password and the tickets; " +
			"set tls = true in the site's section")
	}
	if s.database, err = d.mysql.Open(database); err != nil {
		return s, err
	}
	s.tickets = ticketsOf(&c, s.database)
	s.tables, s.server = newTableWatch(), d.serverOf(s)
	s.database.Watch(s.server, s.tables.doubt, s.tables.use)
	s.leaveServer = s.server.Join(s.database.Ask, s.recovered)
	s.custody = newCustody(d.config.Daemon.StateDir, name, s.database, s.log)
	s.moves, err = moves.Open(moves.Options{
		Path: movesFile(d.config.Daemon.StateDir, name), Table: s.custody.named, Owns: s.custody.owns, Log: s.log,
	})
	if err == nil && d.config.Daemon.SpoolDir == "" {
		s.moves.Settled(time.Now())
	}
	return s, err
}

// describeKeys describes to operators where this daemon keeps a site's tickets.
func describeKeys(c *config.Config, site string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return "the daemon on " + host + " with " + whereKeys(c, site)
}

// complete makes the rest of a site.
func (d *Daemon) complete(ctx context.Context, s *runningSite) error {
	name, c := s.name, d.now.Sites[s.name]
	clock := ticket.NewClock(time.Now)
	var flusher *flush.Flusher
	var err error
	s.backend, err = d.openBackend(ctx, &parts{
		name: name, config: &c, clock: clock, floor: s.database.MaxRevision, custody: s.custody, moves: s.moves,
		seeded: s.seeded, foreign: s.foreignKey, odd: s.oddKey, vanished: s.vanishedKey,
		stray: s.strays.meet, convert: s.convert, older: s.olderKey,
		twin:   s.twinJournal,
		nextID: func(ctx context.Context) (ticket.ID, error) { return s.allocator.Next(ctx) },
		born:   s.tickets.Born,
		aside:  func(m *store.Mutation, at time.Time) error { return d.setAside(s, m, at) },
		wake:   func(due time.Time) { flusher.Wake(due) }, batch: d.metrics.Batches(), log: s.log,
	})
	if err != nil {
		return err
	}
	s.sink, s.allocator = sinkOf(&c, s.database), d.allocatorOf(s, &c)
	flusher = flush.New(s.backend, d.metrics.Sink(name, heldSink{s.sink, s.custody}), flush.Options{
		Batch: c.Batch, Lease: c.Lease, Gap: flushGap, Poll: flushPoll, LongestPoll: flushLongestPoll, MaxPause: flushMaxPause,
		Patience: d.config.Daemon.RequestTimeout,
		Refresh:  func(ctx context.Context) error { return s.Refresh(ctx) },
		Server:   s.server,
		Log:      s.log,
	})
	feeds, err := s.openFeeds(ctx, &c)
	if err != nil {
		return err
	}
	s.Site = site.New(site.Parts{
		Name: name, Store: s.backend, Database: s.tickets, IDs: s.allocator, Deleted: s.tickets.Deleted, Flusher: flusher,
		Statements: s.sink.Statements, Clock: clock, Strategy: strategy(&c),
		DefinitionFile: definitionFile(d.config.Daemon.StateDir, name), StoreState: d.state,
		Warnings: func(operator bool) []string { return slices.Concat(d.warnings(operator), s.warnings()) },
		Backend:  s.backend.kind(),
		MaxDirty: c.MaxDirty, Early: c.Ack == config.AckJournal,
		Journal: s.backend.journalStatus(),
		Stuck:   s.backend.Stuck,
		Served:  s.custody.served, Owns: s.custody.owns,
		Description: describe(&c, s.database),
		Feeds:       feeds,
		Log:         s.log,
	})
	s.parts = s.watched(&d.config.Redis)
	return nil
}

// state tells whether Redis answers. Without a Redis the store is the journal, which always answers.
func (d *Daemon) state() (up bool, since time.Time, reason string) {
	if d.redis == nil {
		return true, d.started, ""
	}
	return d.redis.watch.State()
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

// journalStatus returns the function that reports the journal's status; nil without a journal.
func (b *backend) journalStatus() func() protocol.JournalStatus {
	if b.Journal() == nil {
		return nil
	}
	return func() protocol.JournalStatus {
		j := b.Journal()
		return protocol.JournalStatus{
			Entries: j.Entries, Bytes: j.Bytes, Segments: j.Segments, Replayed: j.Replayed, OldestMS: age(j.Oldest), Requests: j.Requests,
		}
	}
}

func definitionFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".table.json")
}

// movesFile is the file of a site's moves; empty without a state folder.
func movesFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".moves")
}

func age(since time.Time) int64 {
	if since.IsZero() {
		return 0
	}
	return max(time.Since(since).Milliseconds(), 0)
}

// seeded is called after Redis was found without any key of this site: normal for a new Redis, an alarm for a Redis that had keys
// before.
func (s *runningSite) seeded(floor ticket.Revision, emptied bool) {
	if s.Site != nil {
		s.Rebury()
	}
	if !emptied {
		s.log.Info().Int64("mysql_revision", int64(floor)).Msg("Redis holds no keys of this site yet")
		return
	}
	at := time.Now().UTC().Format(time.RFC3339)
	text := "Redis was found empty at " + at + ": changes that were not in MySQL by then are lost; find out who emptied it " +
		"(an object-cache plugin's flush, a restart without persistence) and give ticketd a Redis of its own"
	s.emptied.Store(&text)
	s.log.Error().Int64("mysql_revision", int64(floor)).Msg(text)
}

// oddKey is called for a key in Redis with an impossible revision.
func (s *runningSite) oddKey(key string) {
	text := "the Redis key " + strconv.Quote(key) + " had an impossible revision, written by another program than ticketd: " +
		"the key's fields count as changed now; find out which program writes there, and look at the ticket"
	s.sampled.Error().Msg(text)
	s.odd.Store(&text)
}

// foreignKey is called for a ticket's key in Redis with a value that is no ticket.
func (s *runningSite) foreignKey(key string) {
	at := time.Now().UTC().Format(time.RFC3339)
	text := "the Redis key " + strconv.Quote(key) + " held no ticket at " + at + ": another program uses this name, and the " +
		"overwritten ticket is lost unless MySQL has the ticket; give the site a key_prefix of its own, or delete the key"
	s.foreign.Store(&text)
	s.sampled.Error().Msg(text)
}

// vanishedKey is called after another program deleted the key of a ticket with pending changes.
func (s *runningSite) vanishedKey(key string, back bool) {
	became := "its pending changes are lost, unless another host's daemon acknowledged them lately"
	if back {
		became = "the changes that this daemon acknowledged lately are written again, older ones are lost"
	}
	text := "the Redis key " + strconv.Quote(key) + " of a ticket with pending changes was deleted or expired, as found at " +
		time.Now().UTC().Format(time.RFC3339) + "; " + became + ": find out which program deletes keys or sets expiries there"
	s.vanished.Store(&text)
	s.sampled.Error().Msg(text)
}

// convert makes a ticket of another program's hash.
func (s *runningSite) convert(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error) {
	fields, err := convert(ctx, s.tickets, false, key, id, stray)
	if field := (*table.FieldError)(nil); errors.As(err, &field) {
		s.strays.refuse(key, field.Reason)
		s.sampled.Error().Msg(field.Reason)
	}
	if err == nil {
		s.strays.take(key)
	}
	return fields, err
}

// olderKey is called for another program's hash that was older than its ticket; aside is the hash's new name.
func (s *runningSite) olderKey(key, aside string) {
	s.strays.take(key)
	s.strays.setAside()
	s.sampled.Warn().Str("key", key).Str("aside", aside).
		Msg("a hash of another program is older than its ticket, which ticketd has flushed to MySQL: the hash is set aside")
}

// twinJournal is called if another daemon uses this journal's id.
func (s *runningSite) twinJournal(id string) {
	text := "another daemon uses the id of this host's journal (" + id + "), as hosts do that were cloned from one image: this " +
		"daemon goes on in Redis under another name until a restart; stop the daemon when 'ticketd status' shows an empty journal, " +
		"move the journal's folder away and start the daemon, which makes a new id"
	s.twin.Store(&text)
	s.log.Error().Msg(text)
}

// openSpool opens the spool, if configured, and puts the spool before the requests.
func (d *Daemon) openSpool(dispatcher *daemon.Dispatcher) {
	c := &d.config.Daemon
	if c.SpoolDir == "" {
		return
	}
	d.spoolUsers.Store(d.prepareSpool(d.config))
	d.spool = spool.New(spool.Options{
		Path: c.SpoolDir, State: filepath.Join(c.StateDir, "spool-folder"), GID: c.SpoolGID(), Sites: d.table,
		Timeout: c.RequestTimeout, LookEvery: time.Millisecond, Log: d.log, Moves: d.movesOf,
		Users: func() []uint32 { return *d.spoolUsers.Load() },
	})
	dispatcher.UseSpool(d.spool)
}

// movesOf returns the register of a site's creates that got a new id.
func (d *Daemon) movesOf(of daemon.Site) *moves.Register {
	for _, s := range d.sites() {
		if daemon.Site(site.Gate{Site: s.Site}) == of { // as access hands it out
			return s.moves
		}
	}
	return moves.New(moves.Options{})
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

// serverOf returns the state of a site's MySQL server, one for all sites of the server.
func (d *Daemon) serverOf(s *runningSite) *health.Server {
	at := s.database.Address()
	servers := maps.Clone(*d.servers.Load())
	if servers[at] == nil {
		servers[at] = health.New(health.Options{
			Name: "MySQL", Address: at, Idle: askIdle, Patience: askPatience, Longest: longestOutage, Log: d.log,
		})
		d.servers.Store(&servers)
	}
	return servers[at]
}
