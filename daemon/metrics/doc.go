// Package metrics counts the daemon's work and offers the counts as Prometheus text, on a loopback address or a Unix socket, or,
// with a configuration of Prometheus' exporter-toolkit, to other hosts.
//
// Requests and flushes are counted as they happen: a request pays for two reads of the clock and a handful of atomic
// additions, half a microsecond of its fifty and more, and for no lock. Other figures (backlog, pools, journal, spool) are
// read at each scrape, within scrapeTimeout. A figure that is unknown, because Redis is unreachable, is left out and not
// reported as zero.
//
// A nil [*Metrics] counts nothing and costs nothing, for a daemon without metrics.
package metrics
