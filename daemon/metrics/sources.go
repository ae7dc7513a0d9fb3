package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
)

// scrapeTimeout bounds the queries of a scrape.
const scrapeTimeout = 2 * time.Second

// Sources are queried at each scrape.
type Sources struct {
	Connections *daemon.Connections
	// Pool returns the state of the connections to Redis, RedisUp whether Redis answers; nil without Redis.
	Pool    func() *goredis.PoolStats
	RedisUp func() bool
	Spool   daemon.Spool // nil without a spool
	Sites   []*site.Site
}

// Watch registers the sources for every scrape. Call Watch once.
func (m *Metrics) Watch(s Sources) {
	if m != nil {
		m.registry.MustRegister(&collector{sources: s})
	}
}

// collector queries the sources. Describe sends nothing, because the set of metrics depends on the configuration and on the
// backends that answer.
type collector struct{ sources Sources }

// Describe implements [prometheus.Collector].
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	to := series{out: out}
	c.daemon(&to)
	for _, s := range c.sources.Sites {
		ofSite(ctx, &to, s)
	}
}

func (c *collector) daemon(to *series) {
	s := &c.sources
	to.gauge("connections", "Open connections of clients.", float64(s.Connections.Open()))
	to.gauge("connections_limit", "daemon.max_connections.", float64(s.Connections.Limit()))
	to.counter("connections_refused_total",
		"Connections answered overloaded because of too many connections.", s.Connections.Refused())
	if s.Pool != nil {
		to.gauge("redis_up", "1 while Redis answers.", truth(s.RedisUp()))
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
	if s.Spool != nil {
		ofSpool(to, s.Spool)
	}
}

func ofSpool(to *series, spool daemon.Spool) {
	p := spool.Status(nil)
	to.gauge("spool_files", "Files in the spool that are not ingested yet.", float64(p.Files))
	to.gauge("spool_bytes", "Bytes of these files.", float64(p.Bytes))
	to.gauge("spool_oldest_seconds", "Age of the oldest of these files; 0 without files.", seconds(p.OldestMS))
	to.counter("spool_taken_total", "Files ingested from the spool.", p.Taken)
	to.gauge("spool_bad_files", "Unusable files set aside in bad/.", float64(p.Bad))
	to.gauge("spool_warnings", "Warnings that an operator must act on; 'ticketd status' lists them.",
		float64(len(spool.Warnings(nil))))
}

func ofSite(ctx context.Context, all *series, s *site.Site) {
	to := all.with("site", s.Name)
	stats := s.Flusher.Stats()
	state, _, _ := s.SinkState()
	up, _, _ := s.StoreState()
	to.gauge("store_up", "1 while the store, Redis or the journal, answers.", truth(up))
	to.gauge("mysql_up", "1 while MySQL accepts flushes.", truth(state == flush.SinkUp))
	to.gauge("mysql_paused", "1 while flushing is paused, because the tickets table is missing, has changed, or is not the "+
		"site's.", truth(state == flush.SinkPaused))
	to.gauge("warnings", "Warnings that an operator must act on; 'ticketd status' lists them.",
		float64(len(s.Warnings())))
	to.counter("flushed_rows_total", "Rows that MySQL has confirmed.", stats.Rows())
	to.counter("flush_statements_total", "Statements that wrote these rows.", s.Statements())
	to.counter("flush_failures_total", "Flush rounds that failed and were retried.", stats.Failures())
	to.counter("dead_letters_total", "Tickets parked as dead letters because MySQL rejected them.", stats.Dead())
	if backlog, err := s.Store.Backlog(ctx); err == nil {
		waiting(to, &backlog)
	}
	to.gauge("max_dirty_tickets", "Bound of the tickets pending for MySQL; 0 without a bound.", float64(s.MaxDirty))
	if s.Journal != nil {
		ofJournal(to, s.Journal())
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
	to.gauge("oldest_change_seconds", "Age of the oldest pending change; 0 without pending changes.", age)
}

func ofJournal(to *series, j protocol.JournalStatus) {
	to.gauge("journal_entries", "Changes pending in the journal; without Redis, tickets.", float64(j.Entries))
	to.gauge("journal_bytes", "Bytes of the journal's files.", float64(j.Bytes))
	to.gauge("journal_segments", "Files of the journal.", float64(j.Segments))
	to.gauge("journal_requests", "Request ids remembered in the daemon's memory.", float64(j.Requests))
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
