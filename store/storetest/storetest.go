package storetest

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Backend is a store under test.
type Backend struct {
	Store store.Store
	// Expires returns whether a ticket may expire or be evicted. Optional: nil for a store without expiry.
	Expires func(t *testing.T, id ticket.ID) bool
	// Remembers returns how much longer the store remembers a request id. Optional: nil for a store that cannot tell.
	Remembers func(t *testing.T, requestID string) time.Duration
	// Cramped opens an empty store of the same kind that has room for two changed tickets of a partition. Optional.
	Cramped func(t *testing.T) store.Store
	// Replays says that changes may come out of a journal. A create out of a journal is never the whole ticket: see
	// [store.Mutation.Begun].
	Replays bool
}

// Partitions is a multiple of the number of partitions of every store: tickets whose ids differ by Partitions are in the same
// partition. A rule about several tickets holds within a partition; only the order of claims holds across partitions.
const Partitions = 32

// Open makes an empty store that shares no data with another test's store.
type Open func(t *testing.T) Backend

// cases are tests of the contract by name. Each file has a list of its own.
type cases map[string]func(*testing.T, *bench)

// Run runs the contract. Every test opens its own store; the tests run in parallel.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, part := range []cases{applyCases, custodyCases, fillCases, queueCases, deadCases} {
		for name, test := range part {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, newBench(t, open(t)))
			})
		}
	}
}

// bench is a store, a clock that the test moves, and helpers that fail the test.
type bench struct {
	Backend
	now   time.Time
	clock *ticket.Clock
}

const (
	linger = 200 * time.Millisecond
	lease  = 30 * time.Second
)

func newBench(t *testing.T, b Backend) *bench {
	t.Helper()
	// Later than every revision that the store held when the test opened the store, and in whole ms, as due times are kept.
	w := &bench{Backend: b, now: time.Now().Truncate(time.Millisecond).Add(time.Millisecond)}
	w.clock = ticket.NewClock(func() time.Time { return w.now })
	return w
}

// mutation makes a mutation as a daemon with the event strategy would.
func (b *bench) mutation(kind store.Kind, id ticket.ID, fields ticket.Fields) store.Mutation {
	return store.Mutation{
		Kind: kind, ID: id, Fields: fields, Proposed: b.clock.Propose(), Due: b.now.Add(linger),
	}
}

func (b *bench) apply(t *testing.T, mutations ...store.Mutation) []store.Outcome {
	t.Helper()
	outcomes, err := b.Store.Apply(t.Context(), mutations)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if len(outcomes) != len(mutations) {
		t.Fatalf("Apply returned %d outcomes for %d mutations", len(outcomes), len(mutations))
	}
	return outcomes
}

// set changes fields given as name, value, name, value and returns the revision.
func (b *bench) set(t *testing.T, id ticket.ID, pairs ...string) ticket.Revision {
	t.Helper()
	outcome := b.apply(t, b.mutation(store.Set, id, fields(pairs...)))[0]
	if outcome.Err != nil {
		t.Fatalf("set %d: %v", id, outcome.Err)
	}
	return outcome.Revision
}

func (b *bench) get(t *testing.T, id ticket.ID) store.Record {
	t.Helper()
	records, err := b.Store.Get(t.Context(), []ticket.ID{id})
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return records[0]
}

func (b *bench) claim(t *testing.T, limit int) []store.Claim {
	t.Helper()
	claims, err := b.Store.Claim(t.Context(), b.now, limit, lease)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return claims
}

// claimOne demands that exactly one ticket is due.
func (b *bench) claimOne(t *testing.T) store.Claim {
	t.Helper()
	claims := b.claim(t, 100)
	if len(claims) != 1 {
		t.Fatalf("claimed %d tickets, want 1: %+v", len(claims), claims)
	}
	return claims[0]
}

func (b *bench) ack(t *testing.T, id ticket.ID, revision ticket.Revision) {
	t.Helper()
	if err := b.Store.Ack(t.Context(), []store.Receipt{{ID: id, Revision: revision}}); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func (b *bench) backlog(t *testing.T) store.Backlog {
	t.Helper()
	backlog, err := b.Store.Backlog(t.Context())
	if err != nil {
		t.Fatalf("Backlog: %v", err)
	}
	return backlog
}

func (b *bench) advance(d time.Duration) { b.now = b.now.Add(d) }

func fields(pairs ...string) ticket.Fields {
	var f ticket.Fields
	for i := 0; i+1 < len(pairs); i += 2 {
		f = f.With(pairs[i], ticket.Text(pairs[i+1]))
	}
	return f
}

// wantFields demands exactly the given fields, in any order.
func wantFields(t *testing.T, got ticket.Fields, want ...string) {
	t.Helper()
	wanted := fields(want...)
	if len(got) != len(wanted) {
		t.Fatalf("fields %v, want %v", got, wanted)
	}
	for _, f := range wanted {
		if v, ok := got.Get(f.Name); !ok || v != f.Value {
			t.Fatalf("field %q is %q (there: %v), want %q", f.Name, v.Text(), ok, f.Value.Text())
		}
	}
}
