package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/flush"
)

// scrapeTimeout bounds the queries of a scrape.
const scrapeTimeout = 2 * time.Second

// Sources are queried at each scrape.
type Sources struct {
	// Started is when the daemon started.
	Started     time.Time
	Connections *daemon.Connections
	// Redis is the address of Redis, Pool returns the state of the connections, RedisUp whether Redis answers; nil without Redis.
	Redis   string
	Pool    func() *goredis.PoolStats
	RedisUp func() bool
	// Servers are the MySQL servers, by address.
	Servers map[string]*health.Server
	Spool   daemon.Spool // nil without a spool
	// Folders are the folders that the daemon writes to, by their use: journal, spool, state.
	Folders map[string]string
	// JournalBytes and JournalEntries bound the journal of each site; 0 without a journal.
	JournalBytes, JournalEntries int
	Sites                        []Site
}

// Site is a site with the parts that a scrape asks beside the site.
type Site struct {
	*site.Site

	// Server is the address of the site's MySQL server, a key of [Sources.Servers].
	Server string
	// Conflicts returns how often a flush met another client's locks, IDs how many ids new tickets can have without MySQL; nil for a
	// site whose ids are WordPress'.
	Conflicts func() int64
	IDs       func() int
	// Dropped counts the changes of posts that do not exist; nil for a table of tickets.
	Dropped func() int64
}

// Watch registers the sources for every scrape. Call Watch once.
func (m *Metrics) Watch(sources func() Sources) {
	if m != nil {
		m.registry.MustRegister(&collector{sources: sources})
	}
}

// collector queries the sources. Describe sends nothing, because the set of metrics depends on the configuration and on the
// backends that answer.
type collector struct{ sources func() Sources }

// Describe implements [prometheus.Collector].
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	to := series{out: out}
	sources := c.sources()
	sources.daemon(&to)
	for i := range sources.Sites {
		ofSite(ctx, &to, &sources.Sites[i])
	}
}

func (s *Sources) daemon(to *series) {
	to.gauge("start_time_seconds", "When the daemon started, in seconds since 1970: a change is a restart.",
		float64(s.Started.UnixMilli())/1000)
	to.gauge("clock_seconds", "The clock of the daemon's host at the scrape, in seconds since 1970: minus the time of the sample "+
		"it is the clock's distance from Prometheus' clock.", float64(time.Now().UnixMicro())/1e6)
	to.gauge("connections", "Open connections of clients.", float64(s.Connections.Open()))
	to.gauge("connections_limit", "The most open connections of clients (daemon.max_connections).", float64(s.Connections.Limit()))
	to.counter("connections_refused_total",
		"Connections answered overloaded because of too many connections.", s.Connections.Refused())
	if s.Pool != nil {
		s.redis(to)
	}
	for address, server := range s.Servers {
		state, _, _ := server.State()
		to.with("server", address).gauge("mysql_server_up",
			"1 while the MySQL server answers, 0 while it does not, or before its first answer.", truth(state == health.Up))
	}
	if s.Spool != nil {
		ofSpool(to, s.Spool)
	}
	if s.JournalBytes > 0 {
		to.gauge("journal_limit_bytes", "The most bytes of a site's journal (journal.max_bytes): then changes are answered overloaded.",
			float64(s.JournalBytes))
		to.gauge("journal_limit_entries", "The most entries of a site's journal (journal.max_entries): then changes are answered "+
			"overloaded.", float64(s.JournalEntries))
	}
	for use, folder := range s.Folders {
		var disk unix.Statfs_t
		if unix.Statfs(folder, &disk) == nil { // a figure that cannot be read is left out
			to.with("folder", use).gauge("disk_free_bytes", "Free bytes of the disk of a folder that the daemon writes to.",
				float64(disk.Bavail)*float64(disk.Bsize))
		}
	}
}

func (s *Sources) redis(to *series) {
	to.with("server", s.Redis).gauge("redis_up", "1 while all of Redis answers; with a cluster, while each of its partitions does.",
		truth(s.RedisUp()))
	p := s.Pool()
	const connections = "Connections to Redis by their state."
	to.with("state", "idle").gauge("redis_pool_connections", connections, float64(p.IdleConns))
	to.with("state", "used").gauge("redis_pool_connections", connections, float64(p.TotalConns-min(p.IdleConns, p.TotalConns)))
	to.counter("redis_pool_hits_total",
		"Requests for a pooled Redis connection that found an idle connection.", int64(p.Hits))
	to.counter("redis_pool_misses_total",
		"Requests for a pooled Redis connection that found none idle.", int64(p.Misses))
	to.counter("redis_pool_timeouts_total",
		"Requests for a pooled Redis connection that timed out.", int64(p.Timeouts))
	to.counter("redis_pool_stale_total", "Stale Redis connections closed.", int64(p.StaleConns))
}

func ofSpool(to *series, spool daemon.Spool) {
	p := spool.Status(nil)
	to.gauge("spool_files", "Files in the spool that are not ingested yet.", float64(p.Files))
	to.gauge("spool_bytes", "Bytes of the files in the spool that are not ingested yet.", float64(p.Bytes))
	to.gauge("spool_oldest_seconds", "Age of the oldest file in the spool that is not ingested yet; 0 without such a file.",
		seconds(p.OldestMS))
	to.counter("spool_ingested_total", "Files ingested from the spool.", p.Taken)
	to.gauge("spool_bad_files", "Files of the spool that could not be used and are set aside in bad/.", float64(p.Bad))
	to.gauge("spool_warnings", "Warnings about the spool that an operator must act on; 'ticketd status' lists them.",
		float64(len(spool.Warnings(nil))))
}

func ofSite(ctx context.Context, all *series, s *Site) {
	to := all.with("site", s.Name)
	stats := s.Flusher.Stats()
	state, _, _ := s.SinkState()
	up, _, _ := s.StoreState()
	to.gauge("store_up", "1 while the store, Redis or the journal, answers.", truth(up))
	of := &series{out: all.out, labels: prometheus.Labels{"site": s.Name, "server": s.Server}}
	of.gauge("mysql_up", "1 while the site's tables in MySQL are proved to be usable: 0 also before the first proof.",
		truth(state == flush.SinkUp))
	of.gauge("mysql_paused", "1 while flushing is paused, because the tickets table is missing, has changed, or is not the "+
		"site's.", truth(state == flush.SinkPaused))
	to.gauge("warnings", "Warnings about a site that an operator must act on; 'ticketd status' lists them.",
		float64(len(s.Warnings(true))))
	to.counter("flushed_rows_total", "Rows that MySQL has confirmed.", stats.Rows())
	to.counter("flush_statements_total", "Statements that wrote rows to MySQL.", s.Statements())
	to.counter("flush_failures_total", "Flush rounds that failed and were retried.", stats.Failures())
	to.counter("flush_conflicts_total", "Statements of a flush that met a deadlock or waited for a lock in vain; they were retried.",
		s.Conflicts())
	to.counter("parked_tickets_total", "Tickets parked as dead letters because MySQL rejected them, since the daemon started.",
		stats.Dead())
	if s.IDs != nil {
		to.gauge("ids_left", "Ids that new tickets can have while MySQL does not answer.", float64(s.IDs()))
	}
	if s.Dropped != nil {
		to.counter("dropped_changes_total", "Changes of meta that a flush dropped because WordPress has deleted the post.", s.Dropped())
	}
	if backlog, err := s.Store.Backlog(ctx); err == nil {
		waiting(to, &backlog)
	}
	to.gauge("max_dirty_tickets", "The most tickets pending for MySQL (max_dirty of the site); 0 without a bound.",
		float64(s.MaxDirty))
	if s.Journal != nil {
		ofJournal(to, s.Journal())
	}
	if s.Couriers != nil {
		ofFeed(ctx, to, s)
	}
}

// ofFeed reports the destinations of a site's changes. The lag of a destination is reported by the daemon that serves it.
func ofFeed(ctx context.Context, to *series, s *Site) {
	all := s.Couriers.Status(ctx)
	if len(all) == 0 {
		return
	}
	if usage, err := s.Couriers.Usage(ctx); err == nil {
		to.gauge("feed_backlog_events", "Events in the feed of the site's changes.", float64(usage.Events))
		to.gauge("feed_backlog_bytes", "Bytes of the events in the feed, as the store reports them.", float64(usage.Bytes))
	}
	now := time.Now()
	for i := range all {
		d := &all[i]
		of := &series{out: to.out, labels: prometheus.Labels{"site": s.Name, "destination": d.Name}}
		of.counter("feed_gaps_total", "Gaps: a destination has missed events.", d.Gaps)
		for result, n := range map[string]int64{
			"confirmed": d.Confirmed, "refused": d.Refused, "later": d.Later, "lost": d.Lost,
		} {
			one := &series{out: to.out, labels: prometheus.Labels{"site": s.Name, "destination": d.Name, "result": result}}
			one.counter("feed_events_total", "Tries of events by their result; lost events are those of the gaps.", n)
		}
		if d.State == feed.StateElsewhere {
			continue
		}
		lag := 0.0
		if !d.Oldest.IsZero() {
			lag = max(now.Sub(d.Oldest).Seconds(), 0)
		}
		of.gauge("feed_up", "1 while a destination takes events, 0 while it does not or is paused.", truth(d.State == feed.StateUp))
		of.gauge("feed_lag_seconds", "Age of the oldest event that a destination has not confirmed; 0 without such an event.", lag)
		of.gauge("feed_lag_events", "Events that a destination has not confirmed.", float64(d.Behind))
		of.gauge("feed_dead", "Events that a destination has refused for good.", float64(d.Letters))
		of.gauge("feed_held", "Events that a destination refuses and that are still tried, with the later events of their tickets.",
			float64(d.Held))
	}
}

func waiting(to *series, b *store.Backlog) {
	to.gauge("dirty_tickets", "Tickets with changes pending for MySQL.", float64(b.Dirty))
	to.gauge("dead_letters", "Tickets parked now because MySQL rejects them.", float64(b.Dead))
	to.gauge("tombstones", "Deleted tickets that the store remembers, to refuse changes of them.", float64(b.Buried))
	age := 0.0
	if !b.Oldest.IsZero() {
		age = max(time.Since(b.Oldest).Seconds(), 0)
	}
	to.gauge("oldest_change_seconds", "Age of the oldest change pending for MySQL; 0 without pending changes.", age)
}

func ofJournal(to *series, j protocol.JournalStatus) {
	to.gauge("journal_entries", "Changes pending in the journal; without Redis, tickets.", float64(j.Entries))
	to.gauge("journal_bytes", "Bytes of the journal's files.", float64(j.Bytes))
	to.gauge("journal_segments", "Files of the journal.", float64(j.Segments))
	to.gauge("journal_requests", "Request ids that the daemon remembers in its memory.", float64(j.Requests))
	to.gauge("journal_oldest_seconds", "Age of the oldest change in the journal; 0 without changes.", seconds(j.OldestMS))
	to.counter("journal_replayed_total", "Changes replayed from the journal to Redis.", j.Replayed)
}

// series sends metrics with the same labels.
type series struct {
	out    chan<- prometheus.Metric
	labels prometheus.Labels
}

// with returns a series with a single label.
func (s *series) with(label, value string) *series {
	return &series{out: s.out, labels: prometheus.Labels{label: value}}
}

func (s *series) gauge(name, help string, value float64) {
	s.send(name, help, prometheus.GaugeValue, value)
}

func (s *series) counter(name, help string, total int64) {
	s.send(name, help, prometheus.CounterValue, float64(total))
}

func (s *series) send(name, help string, kind prometheus.ValueType, value float64) {
	s.out <- prometheus.MustNewConstMetric(prometheus.NewDesc("ticketd_"+name, help, nil, s.labels), kind, value)
}

func truth(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }
