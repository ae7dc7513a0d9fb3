package storetest

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

var queueCases = cases{
	"Claim/OnlyWhatIsDue":                   testClaimDue,
	"Claim/FirstDueTimeStands":              testFirstDueStands,
	"Claim/OnlyChangedFields":               testClaimChanged,
	"Claim/FollowsWhatWasFlushed":           testClaimFollows,
	"Claim/LeaseHidesAndReturns":            testLease,
	"Claim/LimitTakesEarliest":              testClaimLimit,
	"Claim/ByIDIgnoresDue":                  testClaimIDs,
	"Ack/CleansUpToRevision":                testAck,
	"Ack/NewerChangeStaysDirty":             testAckNewer,
	"Ack/SinkAheadForgets":                  testAckAhead,
	"Ack/SinkAheadKeepsNewerChanges":        testAckAheadOfSome,
	"Ack/UnknownTicketIsNoError":            testAckUnknown,
	"Ack/NextRevisionIsAboveTheSinks":       testRevisionAboveSink,
	"Release/DueAgain":                      testRelease,
	"Park/LeavesQueueStaysReadable":         testPark,
	"Park/ChangedTicketStays":               testParkChanged,
	"Park/LaterWriteRevives":                testParkRevive,
	"Backlog/CountsAndOldest":               testBacklog,
	"NextDue/OfLeasesToo":                   testNextDue,
	"DirtyIDs/ListsEveryDirtyTicketOnce":    testDirtyIDs,
	"Get/ChangedFieldsComeFirst":            testChangedFirst,
	"Durability/DirtyNeverExpiresCleanDoes": testExpiry,
}

func testClaimDue(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.advance(linger - time.Millisecond)
	if claims := b.claim(t, 10); len(claims) != 0 {
		t.Fatalf("claimed before it was due: %+v", claims)
	}
	b.advance(time.Millisecond)
	b.claimOne(t)
}

func testFirstDueStands(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.advance(linger / 2)
	b.set(t, 1, "status", "pending")
	b.advance(linger / 2)
	wantFields(t, b.claimOne(t).Fields, "status", "pending")
}

func testClaimChanged(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open", "category", "billing")
	b.advance(linger)
	b.ack(t, 1, b.claimOne(t).Revision)
	revision := b.set(t, 1, "status", "closed")
	since := b.now
	b.advance(linger)
	c := b.claimOne(t)
	wantFields(t, c.Fields, "status", "closed")
	if c.Revision != revision || !c.Since.Equal(since) || !c.Due.Equal(b.now) {
		t.Fatalf("claim %+v, want revision %d since %v due %v", c, revision, since, b.now)
	}
}

// A claim carries the ticket's other fields that the store holds, and says that the sink must have a row.
func testClaimFollows(t *testing.T, b *bench) {
	b.apply(t, b.mutation(store.Create, 1, fields("status", "open", "category", "billing")))
	b.set(t, 1+Partitions, "status", "open")
	follow := func(id ticket.ID, follows, full bool, clean ...string) {
		t.Helper()
		b.set(t, id, "status", "closed")
		b.advance(linger)
		claims, err := b.Store.ClaimIDs(t.Context(), b.now, []ticket.ID{id}, lease)
		if err != nil || len(claims) != 1 {
			t.Fatalf("claimed %+v (%v)", claims, err)
		}
		c := claims[0]
		rest, whole, err := c.Rest(t.Context())
		if err != nil || c.Follows() != follows || whole != full && !b.Replays {
			t.Fatalf("claim %+v (%v), whole: %v, want it to follow a flush: %v, and whole: %v", c, err, whole, follows, full)
		}
		wantFields(t, rest, clean...)
		b.ack(t, id, c.Revision)
	}
	follow(1, false, true, nil...)
	follow(1+Partitions, false, false, nil...)
	follow(1, true, true, "category", "billing")
	b.set(t, 1+Partitions, "priority", "low")
	follow(1+Partitions, false, false, nil...)
	follow(1+Partitions, true, false, "priority", "low")
}

func testLease(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.advance(linger)
	b.claimOne(t)
	b.advance(lease - time.Millisecond)
	if claims := b.claim(t, 10); len(claims) != 0 {
		t.Fatalf("claimed under a lease: %+v", claims)
	}
	b.advance(time.Millisecond)
	b.claimOne(t)
}

func testClaimLimit(t *testing.T, b *bench) {
	for id := range 5 {
		b.set(t, ticket.ID(5-id), "status", "open")
		b.advance(time.Millisecond)
	}
	b.advance(linger)
	claims := b.claim(t, 2)
	if len(claims) != 2 || claims[0].ID != 5 || claims[1].ID != 4 {
		t.Fatalf("claimed %+v, want tickets 5 and 4", claims)
	}
}

func testClaimIDs(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.set(t, 2, "status", "open")
	claims, err := b.Store.ClaimIDs(t.Context(), b.now, []ticket.ID{2, 3}, lease)
	if err != nil || len(claims) != 1 || claims[0].ID != 2 {
		t.Fatalf("claimed %+v (%v), want ticket 2 alone", claims, err)
	}
	b.advance(linger)
	if c := b.claimOne(t); c.ID != 1 {
		t.Fatalf("ticket %d is due, want 1: 2 is under a lease", c.ID)
	}
}

func testAck(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.advance(linger)
	b.ack(t, 1, b.claimOne(t).Revision)
	if got := b.backlog(t); got.Dirty != 0 {
		t.Fatalf("backlog %+v after the ack", got)
	}
	b.advance(2 * lease)
	if claims := b.claim(t, 10); len(claims) != 0 {
		t.Fatalf("claimed a clean ticket: %+v", claims)
	}
	if got := b.get(t, 1); got.Dirty {
		t.Fatal("the ticket is dirty after the ack")
	}
}

func testAckNewer(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open", "category", "billing")
	b.advance(linger)
	old := b.claimOne(t)
	b.set(t, 1, "status", "closed")
	b.ack(t, 1, old.Revision)
	if got := b.get(t, 1); !got.Dirty {
		t.Fatal("the ack of an older revision cleaned a newer change")
	}
	b.advance(linger)
	wantFields(t, b.claimOne(t).Fields, "status", "closed")
}

// The sink is ahead of the store: the store went back in time, so its data is stale and must not be read.
func testAckAhead(t *testing.T, b *bench) {
	revision := b.set(t, 1, "status", "stale")
	b.ackAhead(t, revision+1000)
	if got := b.get(t, 1); got.Held() {
		t.Fatalf("a ticket older than the sink is still served: %+v", got)
	}
	if got := b.backlog(t); got.Dirty != 0 {
		t.Fatalf("backlog %+v", got)
	}
}

// The sink is ahead of the older of two changes: the store forgets that change with all clean fields; the newer change stays
// pending.
func testAckAheadOfSome(t *testing.T, b *bench) {
	first := b.set(t, 1, "status", "stale", "category", "billing")
	b.advance(time.Second)
	b.set(t, 1, "priority", "high")
	b.ackAhead(t, first+1000)
	got := b.get(t, 1)
	wantFields(t, got.Fields, "priority", "high")
	if !got.Dirty || got.Full {
		t.Fatalf("ticket is %+v, want it dirty and known in part", got)
	}
	b.advance(linger)
	wantFields(t, b.claimOne(t).Fields, "priority", "high")
}

// ackAhead acks ticket 1 like a flusher that found the sink at a higher revision.
func (b *bench) ackAhead(t *testing.T, revision ticket.Revision) {
	t.Helper()
	if err := b.Store.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: revision, Ahead: true}}); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func testRevisionAboveSink(t *testing.T, b *bench) {
	revision := b.set(t, 1, "status", "stale")
	sink := revision + 60_000_000
	b.ackAhead(t, sink)
	if next := b.set(t, 1, "status", "new"); next <= sink {
		t.Fatalf("revision %d after the sink's %d would be refused there", next, sink)
	}
}

func testAckUnknown(t *testing.T, b *bench) {
	b.ack(t, 99, 1)
	if got := b.get(t, 99); got.Held() {
		t.Fatalf("an ack made a ticket: %+v", got)
	}
}

func testRelease(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.advance(linger)
	c := b.claimOne(t)
	if err := b.Store.Release(t.Context(), []store.Claim{c}); err != nil {
		t.Fatalf("Release: %v", err)
	}
	if again := b.claimOne(t); !again.Due.Equal(c.Due) {
		t.Fatalf("due %v after the release, was %v", again.Due, c.Due)
	}
}

func (b *bench) park(t *testing.T, c store.Claim) {
	t.Helper()
	letter := ticket.Letter{ID: c.ID, Revision: c.Revision, Code: 1406, Reason: "Data too long", At: b.now}
	if err := b.Store.Park(t.Context(), []ticket.Letter{letter}); err != nil {
		t.Fatalf("Park: %v", err)
	}
}

func testPark(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	b.advance(linger)
	b.park(t, b.claimOne(t))
	b.advance(2 * lease)
	if claims := b.claim(t, 10); len(claims) != 0 {
		t.Fatalf("claimed a dead letter: %+v", claims)
	}
	if got := b.backlog(t); got.Dirty != 0 || got.Dead != 1 {
		t.Fatalf("backlog %+v, want one dead letter", got)
	}
	got := b.get(t, 1)
	wantFields(t, got.Fields, "status", "open")
	if !got.Dirty {
		t.Fatal("a dead letter is not dirty: it could be evicted")
	}
}

func testParkChanged(t *testing.T, b *bench) {
	b.set(t, 1, "status", "bad")
	b.advance(linger)
	c := b.claimOne(t)
	b.set(t, 1, "status", "good")
	b.park(t, c)
	b.advance(linger)
	wantFields(t, b.claimOne(t).Fields, "status", "good")
}

func testParkRevive(t *testing.T, b *bench) {
	b.set(t, 1, "status", "bad", "category", "billing")
	b.advance(linger)
	b.park(t, b.claimOne(t))
	b.set(t, 1, "status", "good")
	if got := b.backlog(t); got.Dirty != 1 || got.Dead != 0 {
		t.Fatalf("backlog %+v after a later write", got)
	}
	b.advance(linger)
	wantFields(t, b.claimOne(t).Fields, "status", "good", "category", "billing")
}

func testBacklog(t *testing.T, b *bench) {
	if got := b.backlog(t); got != (store.Backlog{}) {
		t.Fatalf("backlog of an empty store: %+v", got)
	}
	first := b.now
	b.set(t, 1, "status", "open")
	b.advance(time.Second)
	b.set(t, 2, "status", "open")
	got := b.backlog(t)
	if got.Dirty != 2 || !got.Oldest.Equal(first) {
		t.Fatalf("backlog %+v, want 2 dirty, oldest %v", got, first)
	}
}

func testNextDue(t *testing.T, b *bench) {
	b.wantNextDue(t, time.Time{})
	b.set(t, 1, "status", "open")
	due := b.now.Add(linger)
	b.advance(time.Second)
	b.set(t, 2, "status", "open")
	b.wantNextDue(t, due)
	b.advance(linger)
	claims := b.claim(t, 2)
	b.wantNextDue(t, b.now.Add(lease))
	for _, c := range claims {
		b.ack(t, c.ID, c.Revision)
	}
	b.wantNextDue(t, time.Time{})
}

func (b *bench) wantNextDue(t *testing.T, want time.Time) {
	t.Helper()
	if got, err := b.Store.NextDue(t.Context()); err != nil || !got.Equal(want) {
		t.Errorf("next due %v (%v), want %v", got, err, want)
	}
}

func testDirtyIDs(t *testing.T, b *bench) {
	want := map[ticket.ID]bool{}
	batch := make([]store.Mutation, 0, 2500)
	for id := ticket.ID(1); id <= 2500; id++ {
		want[id] = true
		batch = append(batch, b.mutation(store.Set, id, fields("status", "open")))
	}
	b.apply(t, batch...)
	ids, err := b.Store.DirtyIDs(t.Context())
	if err != nil {
		t.Fatalf("DirtyIDs: %v", err)
	}
	for _, id := range ids {
		if !want[id] {
			t.Fatalf("ticket %d is listed twice or is not dirty", id)
		}
		delete(want, id)
	}
	if len(want) != 0 {
		t.Fatalf("%d dirty tickets are missing", len(want))
	}
}

func testExpiry(t *testing.T, b *bench) {
	if b.Expires == nil {
		t.Skip("this store has no expiry: nothing in it can be evicted")
	}
	b.set(t, 1, "status", "open")
	if b.Expires(t, 1) {
		t.Fatal("a dirty ticket may expire")
	}
	b.advance(linger)
	b.ack(t, 1, b.claimOne(t).Revision)
	if !b.Expires(t, 1) {
		t.Fatal("a clean ticket never expires")
	}
	b.set(t, 1, "status", "closed")
	if b.Expires(t, 1) {
		t.Fatal("a ticket that became dirty again may expire")
	}
}

// A record tells the fields that the next place lacks, NULL and dead letters included, from clean copies.
func testChangedFirst(t *testing.T, b *bench) {
	changed := func(want ...string) {
		t.Helper()
		r := b.get(t, 1)
		wantFields(t, r.Fields[:r.Changed], want...)
		for _, f := range r.Fields[r.Changed:] {
			if _, twice := r.Fields[:r.Changed].Get(f.Name); twice {
				t.Fatalf("the field %s is changed and clean: %+v", f.Name, r)
			}
		}
	}
	b.set(t, 1, "status", "open", "category", "billing", "zone", "x")
	changed("status", "open", "category", "billing", "zone", "x")
	b.advance(linger)
	b.ack(t, 1, b.claimOne(t).Revision)
	changed()
	b.set(t, 1, "status", "closed")
	changed("status", "closed")
	b.advance(linger)
	b.park(t, b.claimOne(t))
	changed("status", "closed")
	b.apply(t, b.mutation(store.Set, 1, ticket.Fields{{Name: "zone", Value: ticket.Null}}))
	r := b.get(t, 1)
	if v, there := r.Fields[:r.Changed].Get("zone"); r.Changed != 2 || !there || !v.IsNull() {
		t.Fatalf("after a field was set to NULL: %+v", r)
	}
}
