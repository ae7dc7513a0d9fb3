// Command scale simulates many hosts, a Redis or Redis Cluster, and several MySQL servers, and prints as a Markdown table how
// many updates a second each layout carries and which resource ends it. docs/scale.md explains the table.
//
//	go run ./bench/scale [--seed N] [--costs docs/performance.md]
//
// # The model
//
// A discrete-event simulation with a queue in front of each resource:
//
//	update ──> a core of its host ──> the main thread of the ticket's Redis master ──> answered, the ticket is dirty
//	flusher of a site on a host: look for due tickets, claim ──> Redis; rows ──> a core of the site's MySQL server; ack ──> Redis
//
// The flusher follows sync/flush: a ticket is due a linger after its first change, later changes coalesce, rounds of one flusher
// start at least a gap apart unless the last round was full, and a change during the flush makes the ticket due again. The costs
// of the operations are what `make bench` measured ([Costs]). The same seed gives the same table.
//
// Not in the model: the network's bandwidth, MySQL's disk beyond the commit, locks between flushers, replication, reads.
package main
