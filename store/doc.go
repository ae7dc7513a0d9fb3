// Package store defines the places where changed tickets wait: the contract that Redis and the journal both keep.
//
// # States of a ticket in a store
//
//	absent ──Set/Create──> dirty, due ──Claim──> dirty, leased ──Ack──> clean ──expiry──> absent
//	                         ^   ^                 │    │
//	                         │   └── lease over ───┘    └──Park──> dirty, parked ──Set/Retry──> dirty, due
//	                         │                                           └──Drop──> absent
//	                         └────────── Set ── from every state
//
// A ticket that was deleted leaves a tombstone: although the ticket is absent, the store refuses its changes and creates of its
// id. A create of an id that is not absent, or has a tombstone, is refused; one that arrives late merges with a ticket that was
// made since it was acknowledged.
//
// # What happens on failure
//
// A claim that is never acked (its daemon died, its acks failed) is due again when its lease is over. An ack names a
// revision: a field that changed after that revision stays dirty. So a claim may be flushed twice, by one daemon or by two,
// and nothing is ever lost by it; that flushing twice does no harm is the next place's part (it compares revisions). The
// lease only saves work; safety never depends on it.
//
// # Requests
//
// A mutation with a request id is remembered with its outcome and its digest: the same again changes nothing and has the same
// outcome, and another one under the same id is refused with [ErrReused]. A refused mutation is not remembered. Where an entry
// of a journal is replayed, which was acknowledged, an id that belongs to another request does not stop it.
package store
