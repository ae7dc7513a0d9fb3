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

// scrapeTimeout bounds the questions of one scrape.
const scrapeTimeout = 2 * time.Second

// Sources are what is asked when somebody scrapes.
type Sources struct {
	Connections *daemon.Connections
	// Pool tells of the connections to Redis, RedisUp whether it answers; both nil where there is none.
	Pool    func() *goredis.PoolStats
	RedisUp func() bool
	Spool   daemon.Spool // nil where there is none
	Sites   []*site.Site
}

// Watch has the sources asked at every scrape. It is called once.
func (m *Metrics) Watch(s Sources) {
	if m != nil {
		m.registry.MustRegister(&collector{sources: s})
	}
}

// collector asks the sources. Its metrics are described by nothing in advance: which there are depends on what is configured,
// and on what answers.
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
	to.counter("connections_refused_total", "Connections answered overloaded, as there were too many.", s.Connections.Refused())
	if s.Pool != nil {
		to.gauge("redis_up", "1 while Redis answers.", truth(s.RedisUp()))
		p := s.Pool()
		const connections = "Connections to Redis by their state."
		to.with("state", "idle").gauge("redis_pool_connections", connections, float64(p.IdleConns))
		to.with("state", "used").gauge("redis_pool_connections", connections, float64(p.TotalConns-min(p.IdleConns, p.TotalConns)))
		to.counter("redis_pool_hits_total", "Times that a free connection was there.", int64(p.Hits))
		to.counter("redis_pool_misses_total", "Times that none was.", int64(p.Misses))
		to.counter("redis_pool_timeouts_total", "Times that waiting for a free connection took too long.", int64(p.Timeouts))
		to.counter("redis_pool_stale_total", "Connections closed as they were of no use any more.", int64(p.StaleConns))
	}
	if s.Spool != nil {
		ofSpool(to, s.Spool)
	}
}

func ofSpool(to *series, spool daemon.Spool) {
	p := spool.Status(nil)
	to.gauge("spool_files", "Files in the spool that are not ingested yet.", float64(p.Files))
	to.gauge("spool_bytes", "Bytes of these files.", float64(p.Bytes))
	to.gauge("spool_oldest_seconds", "Age of the oldest of them, 0 where there is none.", seconds(p.OldestMS))
	to.counter("spool_taken_total", "Files ingested from the spool.", p.Taken)
	to.gauge("spool_bad_files", "Files set aside, as they cannot be used.", float64(p.Bad))
	to.gauge("spool_warnings", "What an operator must act on; 'ticketd status' says what.", float64(len(spool.Warnings(nil))))
}

// ofSite tells of one site.
func ofSite(ctx context.Context, all *series, s *site.Site) {
	to := all.with("site", s.Name)
	stats := s.Flusher.Stats()
	state, _, _ := stats.Sink()
	if s.Served != nil && s.Served() != nil {
		state = flush.SinkPaused
	}
	up, _, _ := s.StoreState()
	to.gauge("store_up", "1 while Redis, or the journal where it is the store, answers.", truth(up))
	to.gauge("mysql_up", "1 while MySQL takes tickets.", truth(state == flush.SinkUp))
	to.gauge("mysql_paused", "1 while the tickets table is missing, has changed, or is not the "+
		"site's.", truth(state == flush.SinkPaused))
	to.gauge("warnings", "What an operator must act on; 'ticketd status' says what.", float64(len(s.Warnings())))
	to.counter("flushed_rows_total", "Rows that MySQL has confirmed.", stats.Rows())
	to.counter("flush_statements_total", "Statements that wrote them.", s.Statements())
	to.counter("flush_failures_total", "Flush rounds that failed and were tried again.", stats.Failures())
	to.counter("dead_letters_total", "Tickets parked as MySQL refused them.", stats.Dead())
	if backlog, err := s.Store.Backlog(ctx); err == nil {
		waiting(to, &backlog)
	}
	to.gauge("max_dirty_tickets", "Tickets that may wait for MySQL; 0 where there is no bound.", float64(s.MaxDirty))
	if s.Journal != nil {
		ofJournal(to, s.Journal())
	}
}

func waiting(to *series, b *store.Backlog) {
	to.gauge("dirty_tickets", "Tickets whose changes wait for MySQL.", float64(b.Dirty))
	to.gauge("dead_letters", "Tickets parked as MySQL refuses them.", float64(b.Dead))
	to.gauge("tombstones", "Deleted tickets that the store remembers, so that it refuses to change them.", float64(b.Buried))
	age := 0.0
	if !b.Oldest.IsZero() {
		age = max(time.Since(b.Oldest).Seconds(), 0)
	}
	to.gauge("oldest_change_seconds", "Age of the oldest pending change; 0 where no change is pending.", age)
}

func ofJournal(to *series, j protocol.JournalStatus) {
	to.gauge("journal_entries", "Changes that are pending in the journal; without Redis, tickets.", float64(j.Entries))
	to.gauge("journal_bytes", "Bytes of the journal's files.", float64(j.Bytes))
	to.gauge("journal_segments", "Number of these files.", float64(j.Segments))
	to.gauge("journal_requests", "Request ids that are remembered in the daemon's memory.", float64(j.Requests))
	to.gauge("journal_oldest_seconds", "Age of the oldest change in the journal, 0 where there is none.", seconds(j.OldestMS))
	to.counter("journal_replayed_total", "Changes brought from the journal to Redis.", j.Replayed)
}

// series sends metrics with the same labels.
type series struct {
	out    chan<- prometheus.Metric
	labels prometheus.Labels
}

// with returns a series with that one label.
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
