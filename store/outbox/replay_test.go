package outbox_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/outbox"
)

// another is the same Redis as another host has it: without this journal.
func (h *harness) another(t *testing.T) outbox.Next {
	t.Helper()
	next, err := h.next.open("")
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func setIn(t *testing.T, s store.Tickets, id ticket.ID, value string) {
	t.Helper()
	outcomes, err := s.Apply(t.Context(), []store.Mutation{mutation(id, value)})
	if err != nil || outcomes[0].Err != nil {
		t.Fatalf("set %d: %v %v", id, err, outcomes)
	}
}

// gate fails replays after they were made until it is opened.
type gate struct {
	reached chan struct{} // gets a value for each replay that was made and then failed
	open    chan struct{}
}

func (h *harness) gated() *gate {
	g := &gate{reached: make(chan struct{}, 1), open: make(chan struct{})}
	h.next.failWith(func(write string) (before, after bool) {
		select {
		case <-g.open:
			return false, false
		default:
		}
		if write != "replay" {
			return false, false
		}
		select {
		case g.reached <- struct{}{}:
		default:
		}
		return false, true
	})
	return g
}

// Redis has no room any more after a part of a large request: the rest waits in the journal, and nobody hears of it. Where
// only the error of a whole call leads there, the rest is refused (tried by hand).
func TestRestOfACallGoesIntoTheJournal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.full.Store(true)
	outcomes, err := h.Apply(t.Context(), []store.Mutation{mutation(1, "a"), mutation(2, "b"), mutation(3, "c")})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if o.Err != nil || o.ID != ticket.ID(i+1) || o.Revision == 0 {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	h.next.full.Store(false)
	h.drained(t)
	for id, want := range map[ticket.ID]string{1: "a", 2: "b", 3: "c"} {
		if got := status(t, h.next, id); got != want {
			t.Errorf("ticket %d is %q in the next store, want %q", id, got, want)
		}
	}
}

// What was replayed and not confirmed is sent again, and passed over: a newer value of another host stays. Without the
// recorded sequence number the older value comes back (tried).
func TestReplayedOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	h.set(t, 1, "older")
	g := h.gated()
	h.next.away.Store(false)
	h.Nudge()
	<-g.reached
	<-g.reached // the first was made
	other := h.another(t)
	if got := status(t, other, 1); got != "older" {
		t.Fatalf("Redis holds %q: the replay was not made before it failed", got)
	}
	setIn(t, other, 1, "newer")
	close(g.open)
	h.drained(t)
	if got := status(t, other, 1); got != "newer" {
		t.Errorf("Redis holds %q, want the newer value", got)
	}
}

// The same across a restart: the journal does not say that the change has arrived, Redis does.
func TestReplayedOnceAcrossRestart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	h.set(t, 1, "older")
	g := h.gated()
	h.next.away.Store(false)
	h.Nudge()
	<-g.reached
	<-g.reached
	h.close(t)
	other := h.another(t)
	setIn(t, other, 1, "newer")
	h.open(t)
	if n := h.Journal().Entries; n != 1 {
		t.Fatalf("%d changes wait after the restart, want 1", n)
	}
	close(g.open)
	h.drained(t)
	if got := status(t, other, 1); got != "newer" {
		t.Errorf("Redis holds %q, want the newer value", got)
	}
}

// Changes of a ticket that waits in the journal queue behind it, also when Redis answers again.
func TestLaterChangeQueuesBehind(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	h.set(t, 1, "first")
	g := h.gated() // what is replayed fails, so that the first change still waits
	h.next.away.Store(false)
	h.set(t, 1, "second")
	if n := h.Journal().Entries; n != 2 {
		t.Errorf("%d changes wait, want both", n)
	}
	if got := status(t, h, 1); got != "second" {
		t.Errorf("read %q, want the second value", got)
	}
	close(g.open)
	h.drained(t)
	if got := status(t, h.another(t), 1); got != "second" {
		t.Errorf("Redis holds %q, want the second value", got)
	}
}

// A revision that a client was told while Redis was away is still the ticket's when it has followed, so that a conditional change
// can go on from it.
func TestAcknowledgedRevisionStands(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.set(t, 1, "before")
	h.next.away.Store(true)
	told := h.set(t, 1, "after").Revision
	h.next.away.Store(false)
	h.drained(t)
	m := mutation(1, "then")
	m.IfRevision = told
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Errorf("conditional change: %v %+v", err, outcomes)
	}
}

// The same where the write had reached Redis and only its reply was lost: the journal told another revision than Redis had given.
func TestAcknowledgedRevisionStandsWhereTheReplyWasLost(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]ticket.Value{"a value": ticket.Text("after"), "NULL": ticket.Null} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRevisionStands(t, value)
		})
	}
}

func testRevisionStands(t *testing.T, value ticket.Value) {
	t.Helper()
	h := newHarness(t)
	h.close(t)
	h.gather = time.Hour // until somebody waits for it
	h.open(t)
	h.set(t, 1, "before")
	m := mutation(1, "")
	m.Fields[0].Value, m.RequestID = value, "r"
	early := mutation(2, "another ticket's") // the journal gives it a revision above that of m, which Redis does not know yet
	early.Early = true
	var lost atomic.Bool
	h.next.failWith(func(write string) (before, after bool) {
		return false, write == "apply" && lost.CompareAndSwap(false, true)
	})
	if _, err := store.Make(t.Context(), h, early); err != nil {
		t.Fatal(err)
	}
	told, err := h.Apply(t.Context(), []store.Mutation{m})
	if err != nil || told[0].Err != nil || !lost.Load() {
		t.Fatalf("%v %+v, a reply was lost: %v", err, told, lost.Load())
	}
	// MySQL gets what had arrived, under the revision that nobody was told.
	other := h.another(t)
	first, err := other.ClaimIDs(t.Context(), time.Now(), []ticket.ID{1}, time.Minute)
	if err != nil || len(first) != 1 {
		t.Fatalf("%+v %v", first, err)
	}
	if err := other.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: first[0].Revision}}); err != nil {
		t.Fatal(err)
	}
	h.drained(t)
	second, err := other.ClaimIDs(t.Context(), time.Now(), []ticket.ID{1}, time.Minute)
	if err != nil || len(second) != 1 || second[0].Revision != told[0].Revision || len(second[0].Fields) != 1 {
		t.Errorf("claimed %+v (%v), want what was changed under revision %d", second, err, told[0].Revision)
	}
	again, err := other.Apply(t.Context(), []store.Mutation{m})
	if err != nil || again[0].Revision != told[0].Revision {
		t.Errorf("repeated on another host: %+v (%v), want revision %d", again, err, told[0].Revision)
	}
	m = mutation(1, "then")
	m.IfRevision = told[0].Revision
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Errorf("conditional change: %v %+v", err, outcomes)
	}
}

// The same for a deletion, with and without a request id.
func TestAcknowledgedDeletionStandsWhereTheReplyWasLost(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"", "r"} {
		t.Run("request "+request, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.set(t, 1, "before")
			h.next.away.Store(true)
			m := mutation(1, "")
			m.Kind, m.RequestID = store.Delete, request
			told, err := h.Apply(t.Context(), []store.Mutation{m})
			if err != nil || told[0].Err != nil {
				t.Fatalf("%v %+v", err, told)
			}
			early := m // it arrives after all, before the replay
			early.Proposed = 1
			other := h.another(t)
			arrived, err := other.Apply(t.Context(), []store.Mutation{early})
			if err != nil || arrived[0].Revision >= told[0].Revision {
				t.Fatalf("%v %+v, told %+v", err, arrived, told)
			}
			h.next.away.Store(false)
			h.drained(t)
			again := mutation(1, "")
			again.Kind, again.Fields = store.Delete, nil
			outcomes, err := other.Apply(t.Context(), []store.Mutation{again})
			if err != nil || outcomes[0].Revision != told[0].Revision {
				t.Errorf("a second deletion is told %+v (%v), want revision %d", outcomes, err, told[0].Revision)
			}
		})
	}
}

// Only Redis can decide a conditional change: while it is away the answer is that.
func TestConditionalNeedsTheNextStore(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	told := h.set(t, 1, "before").Revision
	h.next.away.Store(true)
	m := mutation(1, "after")
	m.IfRevision = told
	if _, err := store.Make(t.Context(), h, m); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
	if n := h.Journal().Entries; n != 0 {
		t.Errorf("%d changes wait in the journal, want none", n)
	}
}

// Changes gather in the journal for as long as nobody waits for them; a conditional change does. Where only the time ends the
// gathering, it is not made before the test gives up (tried by hand).
func TestNobodyWaitsForTheGathering(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.close(t)
	h.gather = time.Hour
	h.open(t)
	early := mutation(1, "before")
	early.Early = true
	told, err := h.Apply(t.Context(), []store.Mutation{early})
	if err != nil {
		t.Fatal(err)
	}
	m := mutation(1, "after")
	m.IfRevision = told[0].Revision
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if outcomes, err := h.Apply(ctx, []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Errorf("conditional change: %v %+v", err, outcomes)
	}
}

// Deleted on another host while this one was cut off: the deletion stands, and the change does not hold up what is behind it.
func TestDeletionElsewhereStands(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.set(t, 1, "before")
	h.next.away.Store(true)
	h.set(t, 1, "late")
	h.set(t, 2, "behind")
	other := h.another(t)
	m := mutation(1, "")
	m.Kind, m.Fields = store.Delete, nil
	if _, err := store.Make(t.Context(), other, m); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.drained(t)
	records, err := other.Get(t.Context(), []ticket.ID{1, 2})
	if err != nil || !records[0].Deleted {
		t.Errorf("ticket 1 is %+v (%v), want it deleted", records[0], err)
	}
	if got := status(t, other, 2); got != "behind" {
		t.Errorf("ticket 2 is %q", got)
	}
}

// A ticket that the next store did not hold is deleted there at a revision above all others. Who has seen that one and deletes
// the ticket again, while the next store is away, is not told the lower one that the first deletion was acknowledged with.
func TestDeletingAgainIsNotToldLess(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	remove := func() ticket.Revision {
		m := mutation(1, "")
		m.Kind, m.Fields = store.Delete, nil
		outcomes, err := h.Apply(t.Context(), []store.Mutation{m})
		if err != nil || outcomes[0].Err != nil {
			t.Fatalf("delete: %v %+v", err, outcomes)
		}
		return outcomes[0].Revision
	}
	h.next.away.Store(true)
	acknowledged := remove()
	if _, err := store.Make(t.Context(), h.another(t), mutation(2, "later")); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.drained(t)
	records, err := h.Get(t.Context(), []ticket.ID{1})
	if err != nil || !records[0].Deleted || records[0].Revision <= acknowledged {
		t.Fatalf("ticket 1 is %+v (%v), want it deleted above %d: the test proves nothing", records[0], err, acknowledged)
	}
	h.next.away.Store(true)
	if again := remove(); again < records[0].Revision {
		t.Errorf("deleted again at %d, after %d was seen", again, records[0].Revision)
	}
}

// Space comes back: what has arrived takes none. Sequence numbers go on after a restart all the same: begun anew, they would make
// Redis pass over what follows.
func TestJournalGivesBackSpace(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	large := string(make([]byte, 64<<10))
	for i := range 64 {
		m := mutation(ticket.ID(i%8+1), large+strconv.Itoa(i))
		m.Early = true
		if _, err := store.Make(t.Context(), h, m); err != nil {
			t.Fatal(err)
		}
	}
	h.drained(t)
	if s := h.Journal(); s.Entries != 0 || s.Bytes > 2<<20 {
		t.Errorf("%d changes wait in %d bytes, want none in less than 2 MiB of the 4 that were written", s.Entries, s.Bytes)
	}
	h.close(t)
	h.open(t)
	m := mutation(1, "after")
	m.Early = true
	if _, err := store.Make(t.Context(), h, m); err != nil {
		t.Fatal(err)
	}
	h.drained(t)
	if got := status(t, h.another(t), 1); got != "after" {
		t.Errorf("Redis holds %.20q, want what was written after the restart", got)
	}
}

// A journal that was filled to its bound takes changes again when what waited has arrived.
func TestFullJournalEmpties(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.close(t)
	h.maxBytes = 1 << 20
	h.open(t)
	h.next.away.Store(true)
	large := strings.Repeat("x", 5000)
	accepted := 0
	for ; ; accepted++ {
		_, err := store.Make(t.Context(), h, mutation(ticket.ID(accepted%8+1), large))
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if accepted < 100 || !strings.Contains(h.Journal().Full, "journal.max_bytes") {
		t.Errorf("full (%q) after %d changes of 5 kB, want after most of 1 MiB", h.Journal().Full, accepted)
	}
	h.next.away.Store(false)
	h.drained(t)
	h.next.away.Store(true)
	h.set(t, 1, "again")
	if h.Journal().Full != "" {
		t.Error("the journal says that it is full when it has taken a change")
	}
	h.next.away.Store(false)
	h.drained(t)
	if got := status(t, h.another(t), 1); got != "again" {
		t.Errorf("Redis holds %.10q", got)
	}
}

// Start and Stop may be called again; a change that comes after Stop waits for the next Start of the daemon.
func TestStopKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Start(t.Context())
	for range 2 {
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m := mutation(1, "late")
	m.Early = true
	if _, err := store.Make(t.Context(), h, m); err != nil {
		t.Fatal(err)
	}
	h.close(t)
	h.open(t)
	h.drained(t)
	if got := status(t, h, 1); got != "late" {
		t.Errorf("read %q", got)
	}
}

// Of several changes in one call some go to the journal at once and others after Redis failed: each outcome is its own
// mutation's.
func TestOutcomesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if err := h.Stop(t.Context()); err != nil { // what waits goes on waiting
		t.Fatal(err)
	}
	first := mutation(1, "waits")
	first.Early = true
	if _, err := store.Make(t.Context(), h, first); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(true)
	batch := []store.Mutation{mutation(2, "a"), mutation(1, "b"), mutation(3, "c")}
	outcomes, err := h.Apply(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if o.ID != batch[i].ID || o.Err != nil {
			t.Errorf("outcome %d is %+v, want one of ticket %d", i, o, batch[i].ID)
		}
	}
}

// Nobody waits longer than it is ready to: the queue stands still, and the context ends.
func TestSettleHeedsItsContext(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := mutation(1, "waits")
	m.Early = true
	if _, err := store.Make(t.Context(), h, m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.DirtyIDs(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}
