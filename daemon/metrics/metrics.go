package metrics

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
)

// The buckets of the histograms. A request takes 50 µs with a near Redis and at most daemon.request_timeout, by default 2 s;
// a flush takes up to 30 s, the timeout of a statement.
var (
	requestBuckets = []float64{
		.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10,
	}
	flushBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	batchBuckets = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
)

// codeOK is the code of a request without an error. methodUnknown stands for all unknown methods, whose names come from
// outside and have no bound.
const (
	codeOK        = "ok"
	methodUnknown = "unknown"
)

// Metrics counts the work of a daemon. All methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	known    map[protocol.Method]bool
	codes    map[protocol.Code]bool

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	counted  sync.Map // of counted, by series
	flushed  prometheus.Histogram
	flushing prometheus.Histogram
	applied  prometheus.Histogram
	locked   *prometheus.CounterVec
	rounds   prometheus.Histogram
}

// requestSeries names the requests that count together.
type requestSeries struct {
	site   string
	method protocol.Method
	code   protocol.Code
}

type counted struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// New returns the metrics of a daemon of the given version. Counters of requests have a label for the site, histograms have none:
// with hundreds of sites their buckets would be most of a scrape.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), known: make(map[protocol.Method]bool), codes: make(map[protocol.Code]bool),
		flushed:  histogram("flush_batch_tickets", "Tickets flushed to MySQL in one batch.", batchBuckets),
		flushing: histogram("flush_duration_seconds", "Time that MySQL took for the tickets of one flush round.", flushBuckets),
		applied:  histogram("apply_batch_changes", "Changes sent to Redis together.", batchBuckets),
		rounds: histogram("loop_round_seconds",
			"Time of one round of the event loop, in which the small requests that are ready are answered together.", requestBuckets),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ticketd_requests_total", Help: "Requests by site, by method and by the code of the answer, \"ok\" for no error; " +
				"the site is empty where the client may use none, or named none of several.",
		}, []string{"site", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ticketd_request_duration_seconds", Help: "Time from a request read to its answer ready, for all sites.",
			Buckets: requestBuckets,
		}, []string{"method"}),
		locked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ticketd_flush_locked_total",
			Help: "Tickets left for a later flush round, because other transactions hold locks on their rows in MySQL.",
		}, []string{"site"}),
	}
	for _, name := range daemon.Methods() {
		m.known[name] = true
	}
	for _, code := range append(protocol.Codes(), codeOK) {
		m.codes[code] = true
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ticketd_build_info", Help: "Always 1; the label is the daemon's version.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.requests, m.seconds, m.rounds, m.flushed, m.flushing, m.locked, m.applied, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ticketd_" + name, Help: help, Buckets: buckets})
}

// HTTP answers a scrape.
func (m *Metrics) HTTP() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Count implements [daemon.Meter].
func (m *Metrics) Count(site string, of protocol.Method, err error, took time.Duration) {
	c := m.of(requestSeries{site, of, codeOf(err)})
	c.requests.Inc()
	c.seconds.Observe(took.Seconds())
}

// of returns the counters of a series. An unknown method and a code outside the protocol have no series of their own.
func (m *Metrics) of(s requestSeries) counted {
	if !m.known[s.method] {
		s.method = methodUnknown
	}
	if !m.codes[s.code] {
		s.code = protocol.CodeInternal
	}
	if had, there := m.counted.Load(s); there {
		return had.(counted) //nolint:forcetypeassert // the map holds nothing else
	}
	c := counted{
		requests: m.requests.WithLabelValues(s.site, string(s.method), string(s.code)),
		seconds:  m.seconds.WithLabelValues(string(s.method)),
	}
	m.counted.Store(s, c)
	return c
}

// Rounded observes one round of the event loop.
func (m *Metrics) Rounded(_ int, took time.Duration) { m.rounds.Observe(took.Seconds()) }

func codeOf(err error) protocol.Code {
	if err == nil {
		return codeOK
	}
	if failure, ok := errors.AsType[*protocol.Error](err); ok {
		return failure.Code
	}
	return protocol.CodeInternal
}

// Sink counts the flushes of a site through next to MySQL.
func (m *Metrics) Sink(site string, next flush.Sink) flush.Sink {
	if m == nil {
		return next
	}
	return &sink{
		next: next, tickets: m.flushed, seconds: m.flushing, locked: m.locked.WithLabelValues(site),
	}
}

type sink struct {
	next             flush.Sink
	tickets, seconds prometheus.Observer
	locked           prometheus.Counter
}

// Write implements [flush.Sink].
func (s *sink) Write(ctx context.Context, changes []store.Claim) ([]flush.Result, error) {
	start := time.Now()
	results, err := s.next.Write(ctx, changes)
	s.seconds.Observe(time.Since(start).Seconds())
	s.tickets.Observe(float64(len(changes)))
	for i := range results {
		if results[i].Later != nil {
			s.locked.Inc()
		}
	}
	return results, err
}

// Batches returns the counter of the changes that are sent to Redis together; nil on a nil receiver.
func (m *Metrics) Batches() func(changes int) {
	if m == nil {
		return nil
	}
	return func(changes int) { m.applied.Observe(float64(changes)) }
}
