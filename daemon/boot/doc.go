// Package boot builds the daemon from its configuration, runs it, applies a changed configuration, and stops it in order.
//
// # Start
//
// The daemon reads the identity of all sites' tables, in parallel; without an answer within a second the daemon uses the identity
// in the state folder. If a site's places do not belong to the same table, the site is not served, and the daemon goes on with
// the other sites.
//
// The daemon checks Redis and MySQL, so that the log names a missing server at once. The daemon also starts without Redis and
// MySQL, and recovers by itself when the servers come. The daemon is ready when the socket is bound. A journal that is damaged,
// or that another process has open, ends the start: the daemon must not skip the journal's readable changes. The spool's files
// are ingested before the first request is served; after 5 s requests wait for the rest of the ingest.
//
// # Stop
//
// Within the configured time: stop accepting and answer every request that was sent (a flush that waits for MySQL is answered
// unavailable); flush dirty tickets, all sites in parallel; stop the background work; close the pools. Unflushed changes stay in
// Redis or the journal, and the log says how many.
package boot
