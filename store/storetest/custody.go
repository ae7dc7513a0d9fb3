package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

var custodyCases = cases{
	"Create/TakenIdIsRefused":          testCreateTaken,
	"Create/LateMeetsItsOwnAlone":      testLateCreate,
	"Create/LateIsDatedByTheClocks":    testLateCreateWhereRevisionsAreAhead,
	"Create/LateIsJudgedByTheRow":      testLateCreateByTheRow,
	"Create/EarlierChangesAreAnothers": testLateChange,
	"Create/LateIsAsOldAsItsPromise":   testLateChangeBehindALateCreate,
	"Create/ClaimSaysSo":               testClaimCreated,
	"MustExist/MakesNone":              testMustExist,
	"Delete/CarriesItsMarkAlone":       testDeleteIsPure,
	"Delete/OutlivesTheCopy":           testTombstones,
	"Delete/RepeatedIsNotAbsent":       testRepeatedDeletion,
	"Delete/GivenUpLeavesNoTombstone":  testDropDeletion,
}

// forget makes the store forget a ticket, as if the clean copy expired.
func (b *bench) forget(t *testing.T, id ticket.ID, revision ticket.Revision) {
	t.Helper()
	receipt := store.Receipt{ID: id, Revision: revision + 1, Ahead: true}
	if err := b.Store.Ack(t.Context(), []store.Receipt{receipt}); err != nil {
		t.Fatalf("Ack: %v", err)
	}
	if got := b.get(t, id); got.Held() {
		t.Fatalf("%+v is held after all: the test proves nothing", got)
	}
}

// refused requires that the mutation fails with the given error and leaves the ticket unchanged.
func (b *bench) refused(t *testing.T, m store.Mutation, want error) store.Outcome {
	t.Helper()
	before := b.get(t, m.ID)
	outcome := b.apply(t, m)[0]
	if !errors.Is(outcome.Err, want) {
		t.Fatalf("outcome %+v of kind %d, want %v", outcome, m.Kind, want)
	}
	after := b.get(t, m.ID)
	if after.Revision != before.Revision || len(after.Fields) != len(before.Fields) || after.Full != before.Full {
		t.Fatalf("%+v became %+v", before, after)
	}
	return outcome
}

// A create never changes an existing ticket, whoever made the ticket and whatever its state. (The store cannot reject a create
// from a journal: the create gets another id there.)
func testCreateTaken(t *testing.T, b *bench) {
	if b.Replays {
		t.Skip("what is taken shows when the journal is replayed")
	}
	b.set(t, 1, "subject", "precious", "message", "private words")
	b.fill(t, store.Record{ID: 2, Revision: 77, Fields: fields("status", "open")}, 0)
	b.apply(t, b.mutation(store.Delete, 3, nil))
	b.fill(t, store.Record{ID: 4, Revision: 77, Deleted: true}, 0)
	b.apply(t, b.mutation(store.Create, 5, fields("status", "open")))
	for id := range ticket.ID(5) {
		for _, kind := range []store.Kind{store.Create, store.Begin} {
			m := b.mutation(kind, id+1, fields("status", "new"))
			m.RequestID = "r"
			if o := b.refused(t, m, store.ErrTaken); o.Revision == 0 {
				t.Errorf("%+v, want the revision of the ticket that is held", o)
			}
		}
	}
	wantFields(t, b.get(t, 1).Fields, "subject", "precious", "message", "private words")
	// After a rejection the client tries the next id under the same request id.
	m := b.mutation(store.Create, 6, fields("status", "new"))
	m.RequestID = "r"
	if o := b.apply(t, m)[0]; o.Err != nil || o.ID != 6 {
		t.Fatalf("with a free id: %+v", o)
	}
	m.ID = 7
	if o := b.apply(t, m)[0]; o.Err != nil || o.ID != 6 {
		t.Fatalf("repeated: %+v", o)
	}
}

// late makes a create that was acknowledged the given time ago, with an id that the sink does not know.
func (b *bench) late(id ticket.ID, ago time.Duration) store.Mutation {
	m := b.mutation(store.Begin, id, fields("subject", "mine", "status", "new"))
	m.Accepted, m.RowBorn = ticket.Revision(b.now.Add(-ago).UnixMicro()), ticket.MaxRevision
	return m
}

// A late create merges with its own ticket, which a client that received the id has changed, and with no other ticket.
func testLateCreate(t *testing.T, b *bench) {
	if b.Replays {
		t.Skip("what is taken shows when the journal is replayed")
	}
	b.set(t, 1, "category", "told")
	if o := b.apply(t, b.late(1, time.Minute))[0]; o.Err != nil || o.ID != 1 {
		t.Fatalf("late create of a ticket that was made since: %+v", o)
	}
	wantFields(t, b.get(t, 1).Fields, "category", "told", "subject", "mine", "status", "new")
	if b.get(t, 1).Full {
		t.Error("a merged ticket claims to be whole")
	}
	b.set(t, 2, "category", "a stranger's")
	b.fill(t, store.Record{ID: 3, Revision: ticket.Revision(b.now.UnixMicro()), Fields: fields("status", "open")}, 0)
	b.apply(t, b.mutation(store.Delete, 4, nil))
	b.advance(time.Minute)
	b.refused(t, b.late(2, 0), store.ErrTaken)
	b.refused(t, b.late(4, 0), store.ErrTaken)
	b.refused(t, b.late(4, time.Hour), store.ErrDeleted) // a client that received the id deleted the ticket
	late := b.late(5, time.Hour)
	b.apply(t, late)
	b.refused(t, b.late(5, time.Minute), store.ErrTaken) // the create arrived just now and is an hour old
	b.advance(linger)
	for _, c := range b.claim(t, 10) {
		if want := late.Accepted - store.LateSkew; c.ID == 5 && c.Created != want {
			t.Errorf("created at %d, want %d: the sink may have rows of the ticket from then on", c.Created, want)
		}
	}
}

// The sink's row decides whether a late create meets its own ticket; if the sink does not answer, the store rejects the create
// as unsure. A ticket that began with a set may be an old row, a copy of a row may be the create's own, and a tombstone has no
// age.
func testLateCreateByTheRow(t *testing.T, b *bench) {
	if b.Replays {
		t.Skip("what is taken shows when the journal is replayed")
	}
	now := ticket.Revision(b.now.UnixMicro())
	const old = ticket.Revision(77)
	for i, c := range []struct {
		born  ticket.Revision // the row's
		alive error           // the outcome for a ticket that exists
		gone  error           // the outcome for a deleted ticket
		never error           // the outcome for a ticket that the store does not know
	}{
		{old, store.ErrTaken, store.ErrTaken, store.ErrTaken},
		{0, store.ErrUnsure, store.ErrUnsure, nil},
		{now, nil, store.ErrDeleted, nil},
		{ticket.MaxRevision, nil, store.ErrDeleted, nil},
	} {
		first := ticket.ID(10 * i)
		b.set(t, first+1, "category", "of an old row, or told")
		b.fill(t, store.Record{ID: first + 2, Revision: now, Fields: fields("status", "open")}, 0)
		b.apply(t, b.mutation(store.Delete, first+3, nil))
		b.fill(t, store.Record{ID: first + 4, Revision: now, Deleted: true}, 0)
		if err := b.Store.Bury(t.Context(), []ticket.ID{first + 5}); err != nil {
			t.Fatal(err)
		}
		for at, want := range []error{c.alive, c.alive, c.gone, c.gone, c.gone, c.never} {
			m := b.late(first+1+ticket.ID(at), time.Minute)
			m.RowBorn = c.born
			if want != nil {
				b.refused(t, m, want)
			} else if o := b.apply(t, m)[0]; o.Err != nil || o.ID != m.ID {
				t.Errorf("row of %d, ticket %d: %+v", c.born, m.ID, o)
			}
		}
	}
	for id := range ticket.ID(5) { // no client has received the id, so no existing ticket is the create's own
		m := b.late(11+id, time.Minute)
		m.Accepted, m.RowBorn = store.Unreceived, 0
		b.refused(t, m, store.ErrTaken)
	}
}

// A claim says that the sink does not have the ticket's create, until the sink has acknowledged the create.
func testClaimCreated(t *testing.T, b *bench) {
	made := b.apply(t, b.mutation(store.Create, 1, fields("status", "open")))[0].Revision
	b.set(t, 1, "status", "pending")
	for range 2 { // the lease ends without an ack
		b.advance(lease)
		c := b.claimOne(t)
		if c.Created == 0 || c.Created > made || made-c.Created > store.LateSkew || c.Revision <= made {
			t.Fatalf("claim %+v, created at %d", c, made)
		}
	}
	b.ack(t, 1, b.get(t, 1).Revision)
	b.set(t, 1, "status", "closed")
	b.set(t, 1+Partitions, "status", "no create")
	b.advance(linger)
	claims := b.claim(t, 10)
	if len(claims) != 2 || claims[0].Created != 0 || claims[1].Created != 0 {
		t.Fatalf("claims %+v, of which the sink has the create, and of no create", claims)
	}
}

// A set with MustExist makes no ticket.
func testMustExist(t *testing.T, b *bench) {
	m := b.mutation(store.Set, 1, fields("status", "closed"))
	m.MustExist = true
	b.refused(t, m, store.ErrAbsent)
	if b.Replays {
		return // the journal cannot say whether the store holds the ticket
	}
	b.fill(t, store.Record{ID: 1, Revision: 5, Fields: fields("status", "open")}, 0)
	if o := b.apply(t, m)[0]; o.Err != nil {
		t.Fatalf("of a ticket that is held clean: %v", o.Err)
	}
	if o := b.apply(t, m)[0]; o.Err != nil {
		t.Fatalf("of a ticket that is held dirty: %v", o.Err)
	}
	b.apply(t, b.mutation(store.Delete, 1, nil))
	b.refused(t, m, store.ErrDeleted)
}

// A deletion with MustExist distinguishes a repetition from a ticket that no place holds.
func testRepeatedDeletion(t *testing.T, b *bench) {
	if b.Replays {
		return // the journal cannot say whether the store holds the ticket
	}
	m := b.mutation(store.Delete, 1, nil)
	m.RequestID, m.Digest = "gone", "a"
	first := b.apply(t, m)[0]
	b.forget(t, 1, first.Revision)
	m.MustExist = true
	if o := b.apply(t, m)[0]; o != first {
		t.Errorf("outcome %+v of the repetition, want %+v", o, first)
	}
	m.Digest = "b"
	b.refused(t, m, store.ErrReused)
	m.RequestID = "other"
	b.refused(t, m, store.ErrAbsent)
}

// A deletion carries its own mark alone: earlier changes no longer matter, refused or not.
func testDeleteIsPure(t *testing.T, b *bench) {
	b.dead(t, 1)
	b.apply(t, b.mutation(store.Create, 2, fields("status", "open", "subject", "never arrived")))
	b.set(t, 3, "status", "open", "category", "billing")
	for id := range ticket.ID(3) {
		b.apply(t, b.mutation(store.Delete, id+1, fields("deleted_at", "2026-01-02 03:04:05")))
	}
	if letters := b.letters(t, 0, 10); len(letters) != 0 {
		t.Fatalf("letters %+v after the deletion", letters)
	}
	b.advance(linger)
	claims := b.claim(t, 10)
	if len(claims) != 3 {
		t.Fatalf("claimed %+v", claims)
	}
	for _, c := range claims {
		wantFields(t, c.Fields, "deleted_at", "2026-01-02 03:04:05")
		if !c.Deleted || (c.Created != 0) != (c.ID == 2) {
			t.Errorf("claim %+v", c)
		}
		b.ack(t, c.ID, c.Revision)
	}
	if got := b.backlog(t); got.Dirty != 0 {
		t.Errorf("backlog %+v after the acks", got)
	}
}

// A deleted ticket stays deleted after the store has forgotten the ticket.
func testTombstones(t *testing.T, b *bench) {
	deleted := b.apply(t, b.mutation(store.Delete, 1, nil))[0]
	b.forget(t, 1, deleted.Revision)
	if err := b.Store.Bury(t.Context(), []ticket.ID{2, 3, 1 << 62, 2}); err != nil {
		t.Fatal(err)
	}
	b.fill(t, store.Record{ID: 4, Revision: 77, Deleted: true}, 0)
	b.forget(t, 4, 77)
	must := func(m store.Mutation) store.Mutation { m.MustExist = true; return m }
	for _, id := range []ticket.ID{1, 2, 3, 4, 1 << 62} {
		if o := b.refused(t, b.mutation(store.Set, id, fields("status", "open")), store.ErrDeleted); o.Revision != 0 {
			t.Errorf("%+v, want no revision, as the ticket is not held", o)
		}
		b.refused(t, must(b.mutation(store.Set, id, fields("status", "open"))), store.ErrDeleted)
		if o := b.refused(t, b.mutation(store.Create, id, fields("status", "open")), store.ErrTaken); o.Revision != 0 {
			t.Errorf("%+v, want no revision, as the ticket is not held", o)
		}
	}
	if got := b.backlog(t).Buried; got != 5 {
		t.Errorf("%d tombstones, want 5", got)
	}
	b.fill(t, store.Record{ID: 2, Revision: 78, Fields: fields("status", "revived")}, 0) // with SQL
	b.set(t, 2, "status", "closed")
	if got := b.backlog(t).Buried; got != 4 {
		t.Errorf("%d tombstones after a row was revived, want 4", got)
	}
	if o := b.apply(t, b.mutation(store.Delete, 3, nil))[0]; o.Err != nil { // once more
		t.Errorf("deleted once more: %+v", o)
	}
}

// A deletion that the sink refused and the operator dropped leaves no tombstone: the ticket exists again.
func testDropDeletion(t *testing.T, b *bench) {
	b.apply(t, b.mutation(store.Delete, 1, nil))
	claims, err := b.Store.ClaimIDs(t.Context(), b.now, []ticket.ID{1}, lease)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %+v (%v)", claims, err)
	}
	b.park(t, claims[0])
	if n, err := b.Store.Drop(t.Context(), []ticket.ID{1}); err != nil || n != 1 {
		t.Fatalf("dropped %d (%v)", n, err)
	}
	b.fill(t, store.Record{ID: 1, Revision: 5, Fields: fields("status", "open")}, 0)
	b.set(t, 1, "status", "closed")
	if got := b.backlog(t).Buried; got != 0 {
		t.Errorf("%d tombstones, want none", got)
	}
}

// A set or a deletion that was acknowledged before the create of the ticket means another ticket, whether the sink has the
// create or not. A later set or deletion, or a change that follows its create to another id, belongs to the ticket.
func testLateChange(t *testing.T, b *bench) {
	if b.Replays {
		t.Skip("whose a change is shows when the journal is replayed")
	}
	before := ticket.Revision(b.now.UnixMicro())
	b.advance(time.Second)
	late := func(kind store.Kind, id ticket.ID, at ticket.Revision) store.Mutation {
		m := b.mutation(kind, id, fields("message", "another customer's"))
		m.Accepted = at
		return m
	}
	b.set(t, 3, "category", "of an old row")
	if o := b.apply(t, late(store.Set, 3, before))[0]; o.Err != nil {
		t.Errorf("of a ticket that no create made: %v", o.Err)
	}
	for id := ticket.ID(1); id <= 2; id++ {
		made := b.apply(t, b.mutation(store.Create, id, fields("status", "open")))[0].Revision
		if id == 2 {
			b.ack(t, id, made)
		}
		b.refused(t, late(store.Set, id, before), store.ErrPredates)
		b.refused(t, late(store.Delete, id, before), store.ErrPredates)
		b.refused(t, late(store.Set, id, made-1), store.ErrPredates)
		for _, at := range []ticket.Revision{made, store.Unreceived} {
			if o := b.apply(t, late(store.Set, id, at))[0]; o.Err != nil || o.Revision <= made {
				t.Errorf("acknowledged at %d, of a ticket created at %d: %+v", at, made, o)
			}
		}
		b.refused(t, late(store.Delete, id, made-1), store.ErrPredates) // the later changes do not make the ticket older
		if o := b.apply(t, late(store.Delete, id, made+1))[0]; o.Err != nil {
			t.Errorf("its own deletion: %v", o.Err)
		}
	}
}

// A late create is as old as its promise, whatever changed before the create arrived: changes that were acknowledged in between
// belong to the create's ticket.
func testLateChangeBehindALateCreate(t *testing.T, b *bench) {
	if b.Replays {
		t.Skip("what is taken shows when the journal is replayed")
	}
	b.set(t, 1, "category", "told")
	for id := ticket.ID(1); id <= 2; id++ {
		if o := b.apply(t, b.late(id, time.Minute))[0]; o.Err != nil {
			t.Fatalf("late create %d: %v", id, o.Err)
		}
		m := b.mutation(store.Set, id, fields("priority", "high"))
		m.Accepted = ticket.Revision(b.now.Add(-30 * time.Second).UnixMicro())
		if o := b.apply(t, m)[0]; o.Err != nil {
			t.Errorf("change %d: %v", id, o.Err)
		}
		m.Accepted = ticket.Revision(b.now.Add(-time.Hour).UnixMicro())
		b.refused(t, m, store.ErrPredates)
	}
}

// After the clock of a host was ahead, revisions are ahead of all clocks for the same time and say nothing about ages: another
// user's ticket of a minute ago has a revision far above the time of a late create.
func testLateCreateWhereRevisionsAreAhead(t *testing.T, b *bench) {
	if b.Replays {
		t.Skip("what is taken shows when the journal is replayed")
	}
	for id := range ticket.ID(100) { // in each partition
		m := b.mutation(store.Set, 1000+id, fields("subject", "of a host whose clock is ahead"))
		m.Proposed += ticket.Revision(time.Hour.Microseconds())
		b.apply(t, m)
	}
	dated := func(m store.Mutation) store.Mutation {
		m.At = ticket.Revision(b.now.UnixMicro())
		return m
	}
	b.apply(t, dated(b.mutation(store.Set, 2, fields("subject", "a stranger's"))))
	b.advance(time.Minute)
	b.apply(t, dated(b.mutation(store.Set, 3, fields("category", "told"))))
	b.refused(t, dated(b.late(2, 0)), store.ErrTaken)
	if o := b.apply(t, dated(b.late(3, time.Second)))[0]; o.Err != nil {
		t.Errorf("of a ticket that a client which received the id has made: %+v", o)
	}
	unasked := dated(b.late(4, 0))
	unasked.RowBorn = 0
	b.refused(t, unasked, store.ErrUnsure) // a row of any age may exist
	b.apply(t, dated(b.mutation(store.Create, 5, fields("status", "open"))))
	told := dated(b.mutation(store.Set, 5, fields("status", "closed")))
	told.Accepted = told.At - 1
	if o := b.apply(t, told)[0]; o.Err != nil {
		t.Errorf("a late change where times prove nothing: %+v", o)
	}
	b.advance(linger)
	for _, c := range b.claim(t, 1000) {
		if made := c.Revision - 1; c.ID == 5 && c.Created != made {
			t.Errorf("created at %d, want %d: rows of all that was done meanwhile lie just below", c.Created, made)
		}
	}
}
