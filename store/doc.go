// Package store defines the contract of a place for pending tickets, which Redis and the journal keep.
//
// # States of a ticket in a store
//
//	absent ──Set/Create──> dirty, due ──Claim──> dirty, leased ──Ack──> clean ──expiry──> absent
//	                         ^   ^                 │    │
//	                         │   └── lease over ───┘    └──Park──> dirty, parked ──Set/Retry──> dirty, due
//	                         │                                           └──Drop──> absent
//	                         └────────── Set ── from every state
//
// A deleted ticket leaves a tombstone: the ticket is absent, and the store refuses changes and creates under the id. The store
// also refuses a create whose id is not absent. A create that arrives late is different: the store merges the create with a
// ticket that was made after the create was acknowledged.
//
// # What happens on failure
//
// A claim without an ack (the daemon died, the ack failed) is due again when the lease is over. An ack names a revision: a field
// that changed after that revision stays dirty. So the same or a second daemon may flush a claim twice. No change is lost by a
// second flush, and the next place makes a second flush harmless, as the next place compares revisions. The lease only saves
// work; safety never depends on a lease.
//
// # Requests
//
// The store remembers a mutation with a request id, with its outcome and its digest. The same request repeated changes no ticket
// and gets the same outcome. A different request under the same id is refused with [ErrReused]. A refused mutation is not
// remembered. A replayed entry of a journal was acknowledged, so the store makes the entry even if the request id belongs to a
// different request.
package store
