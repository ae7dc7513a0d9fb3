package metrics

import (
	"context"
	"errors"
	"net/http"
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
	methods  map[protocol.Method]*method
	unknown  *method

	flushed  *prometheus.HistogramVec
	flushing *prometheus.HistogramVec
	locked   *prometheus.CounterVec
	applied  *prometheus.HistogramVec
	rounds   prometheus.Histogram
}

// method counts the requests of a method.
type method struct {
	seconds prometheus.Observer
	codes   map[protocol.Code]prometheus.Counter // never changes, so reading needs no lock
}

// New returns the metrics of a daemon of the given version.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), methods: make(map[protocol.Method]*method),
		flushed: histogram("flush_batch_tickets", "Tickets flushed to MySQL in one batch.", batchBuckets, "site"),
		flushing: histogram("flush_duration_seconds", "Time that MySQL took for the tickets of one flush round.", flushBuckets,
			"site"),
		locked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ticketd_flush_locked_total",
			Help: "Tickets left for a later flush round, because other transactions hold locks on their rows in MySQL.",
		}, []string{"site"}),
		applied: histogram("apply_batch_changes", "Changes sent to Redis together.", batchBuckets, "site"),
	}
	m.rounds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ticketd_loop_round_seconds", Buckets: requestBuckets,
		Help: "Time of one round of the event loop, in which the small requests that are ready are answered together.",
	})
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ticketd_requests_total", Help: "Requests by method and by the code of the answer, \"ok\" for no error.",
	}, []string{"method", "code"})
	seconds := histogram("request_duration_seconds", "Time from a request read to its answer ready.", requestBuckets, "method")
	for _, name := range daemon.Methods() {
		m.methods[name] = newMethod(requests, seconds, string(name))
	}
	m.unknown = newMethod(requests, seconds, methodUnknown)
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ticketd_build_info", Help: "Always 1; the label is the daemon's version.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	m.registry.MustRegister(requests, seconds, m.rounds, m.flushed, m.flushing, m.locked, m.applied, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func histogram(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ticketd_" + name, Help: help, Buckets: buckets},
		[]string{label})
}

// newMethod makes all series of a method at once, so that a scrape shows zeros before the first failure.
func newMethod(requests *prometheus.CounterVec, seconds *prometheus.HistogramVec, name string) *method {
	m := &method{seconds: seconds.WithLabelValues(name), codes: make(map[protocol.Code]prometheus.Counter)}
	for _, code := range append(protocol.Codes(), codeOK) {
		m.codes[code] = requests.WithLabelValues(name, string(code))
	}
	return m
}

// HTTP answers a scrape.
func (m *Metrics) HTTP() http.Handler { return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}) }

// Handler counts the requests that next answers.
func (m *Metrics) Handler(next daemon.Handler) daemon.Handler {
	if m == nil {
		return next
	}
	return &handler{metrics: m, next: next}
}

type handler struct {
	metrics *Metrics
	next    daemon.Handler
}

// Handle implements [daemon.Handler]. A request that makes next panic counts as internal, the code of its answer.
func (h *handler) Handle(
	ctx context.Context, peer daemon.Peer, req protocol.Request, progress func(done, total int64),
) (result protocol.Result, err error) {
	counts, known := h.metrics.methods[req.Method]
	if !known {
		counts = h.metrics.unknown
	}
	start, code := time.Now(), protocol.CodeInternal
	defer func() {
		counts.seconds.Observe(time.Since(start).Seconds())
		counts.answered(code).Inc()
	}()
	result, err = h.next.Handle(ctx, peer, req, progress)
	code = codeOf(err)
	return result, err
}

// Count implements [daemon.Meter]: it counts a request that the event loop has answered.
func (m *Metrics) Count(of protocol.Method, err error, took time.Duration) {
	if counts := m.methods[of]; counts != nil {
		counts.seconds.Observe(took.Seconds())
		counts.answered(codeOf(err)).Inc()
	}
}

// Rounded observes one round of the event loop.
func (m *Metrics) Rounded(_ int, took time.Duration) { m.rounds.Observe(took.Seconds()) }

// answered returns the counter of a code. A code outside the protocol counts as internal.
func (m *method) answered(code protocol.Code) prometheus.Counter {
	if counter, known := m.codes[code]; known {
		return counter
	}
	return m.codes[protocol.CodeInternal]
}

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
		next: next, tickets: m.flushed.WithLabelValues(site), seconds: m.flushing.WithLabelValues(site),
		locked: m.locked.WithLabelValues(site),
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

// Batches returns the counter of the changes of a site that are sent to Redis together; nil on a nil receiver.
func (m *Metrics) Batches(site string) func(changes int) {
	if m == nil {
		return nil
	}
	series := m.applied.WithLabelValues(site)
	return func(changes int) { series.Observe(float64(changes)) }
}
