// Package metrics counts what the daemon does and offers it as Prometheus text, on a loopback address or a Unix socket.
//
// What happens on the way of a request or a flush is counted there: a request pays for two looks at the clock and a handful of
// atomic additions, half a microsecond of the fifty and more that it takes, and for no lock. Everything else (what waits,
// pools, the journal, the spool) is asked for when somebody scrapes, within scrapeTimeout; what cannot be known then, as Redis
// is away, is left out and not reported as zero.
//
// A nil [*Metrics] counts nothing and costs nothing: it is what a daemon has that offers no metrics.
package metrics
