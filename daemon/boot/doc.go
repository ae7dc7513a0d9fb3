// Package boot builds the daemon from its configuration, runs it, applies a changed configuration, and stops it in order.
//
// # Start
//
// The tables of all sites are asked which they are, all at once; what does not answer within a second is taken from the state
// folder. A site whose places do not belong together is not served, and the daemon goes on with the others.
//
// Redis and MySQL are looked at once, so that the log says at once what is missing; the daemon starts without either and recovers
// by itself when they come. It is ready when its socket is bound. A journal that is damaged, or that another process has open,
// ends the start: what could be read of it must not be passed over. What clients left in the spool is ingested before the first
// request is served; where that takes long, requests wait for the rest of it.
//
// # Stop
//
// Within the configured time: stop accepting and answer every request that was sent (a flush that waits for MySQL is answered
// unavailable); flush what is dirty, all sites at once; stop the background work; close the pools. What could not be flushed
// stays in Redis or the journal, and the log says how much.
package boot
