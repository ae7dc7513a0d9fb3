package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

var applyCases = cases{
	"Apply/MergesFields":                    testMerge,
	"Apply/RevisionsGrow":                   testRevisionsGrow,
	"Apply/RevisionsGrowAcrossTickets":      testRevisionsGrowAcrossTickets,
	"Apply/LargeIDs":                        testLargeIDs,
	"Apply/NullDiffersFromUntouched":        testNull,
	"Apply/CreateIsFull":                    testCreateIsFull,
	"Apply/ConflictChangesNothing":          testConflict,
	"Apply/RepeatedRequestChangesNothing":   testRepeatedRequest,
	"Apply/RepeatedCreateReturnsTheFirst":   testRepeatedCreate,
	"Apply/ConditionTellsKnownRequests":     testKnownRequests,
	"Apply/RequestMemoryIsTheMutations":     testRequestMemory,
	"Apply/ReusedRequestIsRefused":          testReusedRequest,
	"Apply/SecondDeletionKeepsItsRequestID": testSecondDeletion,
	"Apply/RefusedRequestIsNotRemembered":   testRefusedRequest,
	"Apply/UnknownDigestRepeats":            testUnknownDigest,
	"Apply/DeletedRefusesSet":               testDeletedRefusesSet,
	"Apply/BatchAnswersInOrder":             testBatch,
	"Apply/EachFindsRoomForItself":          testRoom,
	"Get/SinceTheOldestChange":              testSince,
	"Apply/ConcurrentWritersLoseNothing":    testConcurrentWriters,
}

func testMerge(t *testing.T, b *bench) {
	b.set(t, 812, "status", "open", "subject", "Where is my order?")
	b.set(t, 812, "status", "pending")
	got := b.get(t, 812)
	wantFields(t, got.Fields, "status", "pending", "subject", "Where is my order?")
	if got.Full {
		t.Error("a ticket made by set alone claims to be whole")
	}
	if !got.Dirty {
		t.Error("a changed ticket is not dirty")
	}
}

func testRevisionsGrow(t *testing.T, b *bench) {
	first := b.set(t, 1, "status", "open")
	behind := b.mutation(store.Set, 1, fields("status", "pending"))
	behind.Proposed = first - 5_000_000 // from a daemon whose clock is five seconds slow
	if second := b.apply(t, behind)[0].Revision; second <= first {
		t.Fatalf("revision %d after %d", second, first)
	}
	ahead := b.mutation(store.Set, 1, fields("status", "closed"))
	ahead.Proposed = first + 5_000_000
	if third := b.apply(t, ahead)[0].Revision; third != ahead.Proposed {
		t.Fatalf("revision %d, proposed was %d", third, ahead.Proposed)
	}
}

// A daemon whose clock is slow makes an expired ticket again: the new revision must be above the sink's revision, or the sink
// rejects the write.
func testRevisionsGrowAcrossTickets(t *testing.T, b *bench) {
	first := b.set(t, 1, "status", "open")
	slow := b.mutation(store.Set, 1+Partitions, fields("status", "open"))
	slow.Proposed = first - 60_000_000
	if second := b.apply(t, slow)[0].Revision; second <= first {
		t.Fatalf("revision %d for another ticket after %d", second, first)
	}
}

// As floating point numbers, with which Lua counts, the two ids are equal.
func testLargeIDs(t *testing.T, b *bench) {
	for _, id := range []ticket.ID{1 << 53, 1<<53 + 1} {
		m := b.mutation(store.Create, id, fields("status", "open"))
		m.RequestID = fmt.Sprintf("large-%d", id)
		for range 2 { // the second create is a repetition
			if made := b.apply(t, m)[0]; made.Err != nil || made.ID != id {
				t.Errorf("create of %d: %+v", id, made)
			}
		}
	}
}

func testNull(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open", "category", "billing")
	b.apply(t, b.mutation(store.Set, 1, ticket.Fields{{Name: "category", Value: ticket.Null}}))
	got := b.get(t, 1)
	if v, there := got.Fields.Get("category"); !there || !v.IsNull() {
		t.Fatalf("category is %q (there: %v), want NULL", v.Text(), there)
	}
	if _, there := got.Fields.Get("priority"); there {
		t.Fatal("a field that nobody touched has a value")
	}
	b.advance(linger)
	if v, there := b.claimOne(t).Fields.Get("category"); !there || !v.IsNull() {
		t.Fatalf("claim: category is %q (there: %v), want NULL", v.Text(), there)
	}
}

func testCreateIsFull(t *testing.T, b *bench) {
	b.apply(t, b.mutation(store.Create, 7, fields("status", "open")))
	got := b.get(t, 7)
	if !got.Held() || !got.Full && !b.Replays {
		t.Fatalf("created ticket is %+v, want it whole", got)
	}
	wantFields(t, got.Fields, "status", "open")
}

func testConflict(t *testing.T, b *bench) {
	have := b.set(t, 1, "status", "open")
	m := b.mutation(store.Set, 1, fields("status", "closed"))
	m.IfRevision = have - 1
	var conflict *store.ConflictError
	if err := b.apply(t, m)[0].Err; !errors.As(err, &conflict) || conflict.Have != have {
		t.Fatalf("error %v, want a conflict with revision %d", err, have)
	}
	wantFields(t, b.get(t, 1).Fields, "status", "open")
	m.IfRevision = have
	if outcome := b.apply(t, m)[0]; outcome.Err != nil {
		t.Fatalf("with the right revision: %v", outcome.Err)
	}
	wantFields(t, b.get(t, 1).Fields, "status", "closed")
}

func testRepeatedRequest(t *testing.T, b *bench) {
	m := b.mutation(store.Set, 1, fields("status", "pending"))
	m.RequestID = "r-1"
	first := b.apply(t, m)[0]
	b.set(t, 1, "status", "closed")
	m.Proposed = b.clock.Propose()
	if again := b.apply(t, m)[0]; again.Err != nil || again.Revision != first.Revision {
		t.Fatalf("repetition: %+v, first: %+v", again, first)
	}
	wantFields(t, b.get(t, 1).Fields, "status", "closed")
}

// A repeated create returns the ticket of the first create, for both kinds of create: a client that has lost the answer to a
// create repeats the create with an id of the client's own choice.
func testRepeatedCreate(t *testing.T, b *bench) {
	for i, kinds := range [][2]store.Kind{
		{store.Create, store.Create}, {store.Create, store.Begin}, {store.Begin, store.Begin},
	} {
		first := ticket.ID(10 + 2*i)
		m := b.mutation(kinds[0], first, fields("subject", "hello"))
		m.RequestID = fmt.Sprintf("c-%d", i)
		b.apply(t, m)
		m.Kind, m.ID, m.Proposed = kinds[1], first+1, b.clock.Propose()
		if again := b.apply(t, m)[0]; again.Err != nil || again.ID != first {
			t.Fatalf("repetition: %+v, want ticket %d", again, first)
		}
		if got := b.get(t, first+1); got.Held() {
			t.Fatal("the repetition made a second ticket")
		}
	}
}

// A create under a condition that no ticket meets asks whether its request was made: a repetition is answered with the first
// ticket, and any other request is a conflict that leaves no trace of the request id, in any partition.
func testKnownRequests(t *testing.T, b *bench) {
	create := func(id ticket.ID, request, digest string) store.Mutation {
		m := b.mutation(store.Create, id, fields("subject", "hello"))
		m.RequestID, m.Digest = request, digest
		return m
	}
	first := b.apply(t, create(10, "made", "d-1"))[0]
	asked := []store.Mutation{create(11, "made", "d-1"), create(11, "new", "d-1"), create(11, "made", "d-2")}
	for i := range asked {
		asked[i].IfRevision = ticket.MaxRevision
	}
	got := b.apply(t, asked...)
	if got[0].Err != nil || got[0].ID != 10 || got[0].Revision != first.Revision {
		t.Errorf("a known request: %+v, want %+v", got[0], first)
	}
	if _, refused := errors.AsType[*store.ConflictError](got[1].Err); !refused {
		t.Errorf("a new request: %+v, want a conflict", got[1])
	}
	if !errors.Is(got[2].Err, store.ErrReused) {
		t.Errorf("another request under the id: %+v, want ErrReused", got[2])
	}
	if r := b.get(t, 11); r.Held() {
		t.Errorf("the question made %+v", r)
	}
	if made := b.apply(t, create(11+Partitions, "new", "d-3"))[0]; made.Err != nil || made.ID != 11+Partitions {
		t.Errorf("the request id that was asked for makes %+v, want a new ticket", made)
	}
}

// The store remembers each mutation of a batch for the mutation's own time; for a day if the mutation gives no time or more than
// a day.
func testRequestMemory(t *testing.T, b *bench) {
	if b.Remembers == nil {
		t.Skip("this store does not tell how long it remembers a request")
	}
	memories := map[string]time.Duration{
		"short": 10 * time.Minute, "none": 0, "second": time.Second * 30, "long": 2 * store.RequestMemory,
	}
	var batch []store.Mutation
	for requestID, memory := range memories {
		m := b.mutation(store.Set, 1, fields("status", requestID))
		m.RequestID, m.Remember = requestID, memory
		batch = append(batch, m)
	}
	b.apply(t, batch...)
	for requestID, memory := range memories {
		if memory == 0 || memory > store.RequestMemory {
			memory = store.RequestMemory
		}
		if got := b.Remembers(t, requestID); got <= memory-20*time.Second || got > memory {
			t.Errorf("%s is remembered for %v, want %v", requestID, got, memory)
		}
	}
}

// Deleting a deleted ticket changes no data but uses up the request id: the store rejects that id for a different request.
func testSecondDeletion(t *testing.T, b *bench) {
	b.apply(t, b.mutation(store.Set, 1, fields("status", "open")))
	first := b.apply(t, b.mutation(store.Delete, 1, nil))[0]
	again := b.mutation(store.Delete, 1, nil)
	again.RequestID, again.Digest = "delete-once-more", "delete 1"
	if got := b.apply(t, again)[0]; got.Err != nil || got.Revision < first.Revision {
		t.Errorf("second deletion: %+v, want revision %d at least", got, first.Revision)
	}
	other := b.mutation(store.Create, 1+Partitions, fields("status", "new"))
	other.RequestID, other.Digest = again.RequestID, "create"
	if got := b.apply(t, other)[0]; !errors.Is(got.Err, store.ErrReused) {
		t.Errorf("a create under the deletion's request id: %+v, want ErrReused", got)
	}
	if r := b.get(t, 1); !r.Deleted {
		t.Errorf("the ticket is %+v, want it deleted", r)
	}
}

// The store rejects a request whose id an earlier request with another ticket, kind or fields has used, and makes no change. (A
// store that compares only the id acknowledges the request and makes no change.)
func testReusedRequest(t *testing.T, b *bench) {
	const other, anywhere = 1 + Partitions, 2 // the first is in the partition of ticket 1, the second is not
	for i, remember := range []time.Duration{0, 10 * time.Minute} {
		request := func(kind store.Kind, id ticket.ID, digest, status string) store.Mutation {
			m := b.mutation(kind, id, fields("status", status))
			m.RequestID, m.Remember, m.Digest = fmt.Sprintf("order-812-%d", i), remember, digest
			return m
		}
		first := b.apply(t, request(store.Set, 1, "set 1 pending", "pending"))[0]
		before := b.get(t, 1)
		wrong := []store.Mutation{
			request(store.Set, other, "set other", "open"), request(store.Set, 1, "set 1 closed", "closed"),
			request(store.Delete, 1, "delete 1", "pending"), request(store.Create, other, "create", "open"),
		}
		if remember == 0 { // the store looks for an id made up for a single call in the ticket's partition
			wrong = append(wrong, request(store.Set, anywhere, "set another", "open"), request(store.Create, anywhere, "create", "open"))
		}
		for _, m := range wrong {
			if got := b.apply(t, m)[0]; !errors.Is(got.Err, store.ErrReused) {
				t.Errorf("%s after set 1 (remember %v): %+v, want ErrReused", m.Digest, remember, got)
			}
		}
		if got := b.get(t, 1); got.Revision != before.Revision || got.Deleted {
			t.Errorf("ticket is %+v, want it left at revision %d", got, before.Revision)
		}
		for _, id := range []ticket.ID{other, anywhere} {
			if got := b.get(t, id); got.Held() {
				t.Errorf("ticket %d was made under the id of another request", id)
			}
		}
		again := b.apply(t, request(store.Set, 1, "set 1 pending", "pending"))[0]
		if again.Err != nil || again.Revision != first.Revision {
			t.Errorf("repetition: %+v, first: %+v", again, first)
		}
		create := b.mutation(store.Create, ticket.ID(100+i), fields("status", "new"))
		create.RequestID, create.Remember, create.Digest = fmt.Sprintf("create-%d", i), remember, "create new"
		b.apply(t, create)
		create.ID, create.Digest = ticket.ID(200+i), "create other"
		got, made := b.apply(t, create)[0], b.get(t, create.ID)
		if !errors.Is(got.Err, store.ErrReused) || made.Held() {
			t.Errorf("another create under the same id: %+v, %+v", got, made)
		}
	}
}

// A rejected request has changed no data: the corrected request may use the same request id.
func testRefusedRequest(t *testing.T, b *bench) {
	have := b.set(t, 1, "status", "open")
	m := b.mutation(store.Set, 1, fields("status", "closed"))
	m.RequestID, m.Digest, m.IfRevision = "r-1", "at the wrong revision", have+1
	var conflict *store.ConflictError
	if got := b.apply(t, m)[0]; !errors.As(got.Err, &conflict) {
		t.Fatalf("%+v, want a conflict", got)
	}
	m.Digest, m.IfRevision = "at the right one", have
	if got := b.apply(t, m)[0]; got.Err != nil {
		t.Fatalf("with the right revision: %+v", got)
	}
	wantFields(t, b.get(t, 1).Fields, "status", "closed")
}

// Request ids that an earlier version has remembered have no digest: every request under such an id is a repetition.
func testUnknownDigest(t *testing.T, b *bench) {
	m := b.mutation(store.Set, 1, fields("status", "pending"))
	m.RequestID = "r-1"
	first := b.apply(t, m)[0]
	m.Digest = "a digest"
	if again := b.apply(t, m)[0]; again.Err != nil || again.Revision != first.Revision {
		t.Fatalf("repetition: %+v, first: %+v", again, first)
	}
}

func testDeletedRefusesSet(t *testing.T, b *bench) {
	b.set(t, 1, "status", "open")
	deleted := b.apply(t, b.mutation(store.Delete, 1, fields("deleted_at", "2026-01-02 03:04:05")))[0]
	if err := b.apply(t, b.mutation(store.Set, 1, fields("status", "closed")))[0].Err; !errors.Is(err, store.ErrDeleted) {
		t.Fatalf("set after delete: %v, want ErrDeleted", err)
	}
	again := b.apply(t, b.mutation(store.Delete, 1, fields("deleted_at", "2026-02-02 03:04:05")))[0]
	if again.Err != nil || again.Revision != deleted.Revision {
		t.Fatalf("deleting again: %+v, first: %+v", again, deleted)
	}
	if got := b.get(t, 1); !got.Deleted {
		t.Fatal("the ticket is not deleted")
	}
	b.advance(linger)
	c := b.claimOne(t)
	if _, there := c.Fields.Get("deleted_at"); !c.Deleted || !there {
		t.Fatalf("claim of a deleted ticket: %+v", c)
	}
}

func testBatch(t *testing.T, b *bench) {
	have := b.set(t, 2, "status", "open")
	conflicting := b.mutation(store.Set, 2, fields("status", "closed"))
	conflicting.IfRevision = have + 1
	outcomes := b.apply(t,
		b.mutation(store.Set, 1, fields("status", "a")),
		conflicting,
		b.mutation(store.Set, 1, fields("status", "b")),
	)
	if outcomes[0].Err != nil || outcomes[1].Err == nil || outcomes[2].Err != nil {
		t.Fatalf("outcomes %+v, want only the second to fail", outcomes)
	}
	if outcomes[2].Revision <= outcomes[0].Revision {
		t.Fatalf("revisions %d then %d", outcomes[0].Revision, outcomes[2].Revision)
	}
	wantFields(t, b.get(t, 1).Fields, "status", "b")
	wantFields(t, b.get(t, 2).Fields, "status", "open")
}

// A dirty ticket and its claim say since when the ticket is dirty. Later changes do not move that time; a clean ticket has no
// such time.
func testSince(t *testing.T, b *bench) {
	at := b.now
	b.set(t, 1, "status", "open")
	b.advance(time.Hour)
	last := b.set(t, 1, "status", "pending")
	if got := b.get(t, 1).Since; got.Before(at.Add(-time.Second)) || got.After(at.Add(time.Second)) {
		t.Errorf("the ticket is dirty since %v, want %v", got, at)
	}
	since := b.get(t, 1).Since
	if c := b.claimOne(t); !c.Since.Equal(since) {
		t.Errorf("claimed as dirty since %v, and read since %v", c.Since, since)
	}
	b.ack(t, 1, last)
	if got := b.get(t, 1); !got.Since.IsZero() {
		t.Errorf("a clean ticket is dirty since %v", got.Since)
	}
}

// If the store has room for a part of a call, the store makes that part and names the rejected mutations. A repetition needs no
// room and gets its answer at every position of the call.
func testRoom(t *testing.T, b *bench) {
	if b.Cramped == nil {
		t.Skip("this store has no bound of its own")
	}
	b.Store = b.Cramped(t)
	const first, second, third = 1, 1 + Partitions, 1 + 2*Partitions
	repeatable := b.mutation(store.Set, first, fields("status", "a"))
	repeatable.RequestID = "r-1"
	made := b.apply(t, repeatable)[0]
	batch := []store.Mutation{
		b.mutation(store.Set, second, fields("status", "b")), b.mutation(store.Set, third, fields("status", "c")), repeatable,
		b.mutation(store.Create, third+Partitions, fields("status", "d")), b.mutation(store.Set, first, fields("subject", "e")),
	}
	outcomes := b.apply(t, batch...)
	if outcomes[0].Err != nil || !errors.Is(outcomes[1].Err, store.ErrFull) || !errors.Is(outcomes[3].Err, store.ErrFull) {
		t.Errorf("outcomes %+v, want room for the first alone", outcomes)
	}
	if outcomes[2].Err != nil || outcomes[2].Revision != made.Revision {
		t.Errorf("repetition: %+v, first: %+v", outcomes[2], made)
	}
	if !b.Replays && outcomes[4].Err != nil { // a journal in front of a store counts changes, not tickets
		t.Errorf("a change of a ticket that is changed already: %v", outcomes[4].Err)
	}
	for i := range batch {
		held := b.get(t, batch[i].ID)
		f := batch[i].Fields[0]
		got, there := held.Fields.Get(f.Name)
		if is := there && got == f.Value; is != (outcomes[i].Err == nil) {
			t.Errorf("mutation %d: outcome %+v, and the store holds %+v", i, outcomes[i], held)
		}
	}
}

func testConcurrentWriters(t *testing.T, b *bench) {
	const writers, writes = 16, 40
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range writes {
				m := b.mutation(store.Set, ticket.ID(i%4+1), fields(fmt.Sprintf("w%d", w), strconv.Itoa(i)))
				outcomes, err := b.Store.Apply(t.Context(), []store.Mutation{m})
				if err != nil || outcomes[0].Err != nil || outcomes[0].ID != m.ID {
					t.Errorf("writer %d: %v %+v", w, err, outcomes)
					return
				}
			}
		})
	}
	all.Wait()
	for id := range 4 {
		got := b.get(t, ticket.ID(id+1))
		for w := range writers {
			want := strconv.Itoa(writes - 4 + id)
			if v, _ := got.Fields.Get(fmt.Sprintf("w%d", w)); v.Text() != want {
				t.Errorf("ticket %d: last write of writer %d is %q, want %q", id+1, w, v.Text(), want)
			}
		}
	}
}
