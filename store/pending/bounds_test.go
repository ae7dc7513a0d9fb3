package pending

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

func change(id ticket.ID, due time.Time) store.Mutation {
	return store.Mutation{
		Kind: store.Set, ID: id, Proposed: ticket.Revision(due.UnixMicro()), Due: due,
		Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
	}
}

func apply(t *testing.T, s *Store, mutations ...store.Mutation) []store.Outcome {
	t.Helper()
	outcomes, err := s.Apply(t.Context(), mutations)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return outcomes
}

// claimCost fills a store with n dirty tickets and counts the comparisons that claiming, acking and counting a hundred takes.
func claimCost(t *testing.T, n int) int {
	t.Helper()
	s, now, r := New(), time.Unix(1_800_000_000, 0), rand.New(rand.NewPCG(1, 2))
	batch := make([]store.Mutation, n)
	for i := range batch {
		batch[i] = change(ticket.ID(i+1), now.Add(-time.Duration(r.Int64N(int64(time.Hour)))))
	}
	apply(t, s, batch...)
	compared := 0
	for _, o := range []*order[*entry]{&s.byDue, &s.bySince} {
		less := o.less
		o.less = func(a, b *entry) bool {
			compared++
			return less(a, b)
		}
	}
	claims, err := s.Claim(t.Context(), now, 100, time.Minute)
	if err != nil || len(claims) != 100 {
		t.Fatalf("claimed %d (%v)", len(claims), err)
	}
	for i := range claims {
		if i > 0 && claims[i].Due.Before(claims[i-1].Due) {
			t.Fatalf("claim %d is due before claim %d", i, i-1)
		}
		if err := s.Ack(t.Context(), []store.Receipt{{ID: claims[i].ID, Revision: claims[i].Revision}}); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Backlog(t.Context()); err != nil || b.Dirty != int64(n-100) {
		t.Fatalf("backlog %+v (%v)", b, err)
	}
	return compared
}

// A claim looks at what it takes, however much waits. (Looking at every ticket makes it a hundred times as dear for a hundred
// times as many.)
func TestClaimCostDoesNotGrow(t *testing.T) {
	t.Parallel()
	few, many := claimCost(t, 10_000), claimCost(t, 1_000_000)
	t.Logf("comparisons for 100 claims and acks: %d of 10,000 tickets, %d of 1,000,000", few, many)
	if many > 3*few {
		t.Errorf("%d comparisons with 1,000,000 tickets, %d with 10,000", many, few)
	}
}

func TestCleanTicketsAreBounded(t *testing.T) {
	t.Parallel()
	s, now := NewWith(Options{MaxClean: 3}), time.Unix(1_800_000_000, 0)
	held := func(id ticket.ID) bool {
		records, err := s.Get(t.Context(), []ticket.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		return records[0].Held()
	}
	for id := ticket.ID(1); id <= 10; id++ {
		revision := apply(t, s, change(id, now))[0].Revision
		if id == 10 {
			break // stays dirty
		}
		if err := s.Ack(t.Context(), []store.Receipt{{ID: id, Revision: revision}}); err != nil {
			t.Fatal(err)
		}
		if !held(1) { // and is used by that
			t.Fatalf("the ticket that is read most is forgotten after %d", id)
		}
	}
	for id := ticket.ID(1); id <= 10; id++ {
		if want := id == 1 || id >= 8; held(id) != want {
			t.Errorf("ticket %d held: %v, want %v", id, !want, want)
		}
	}
}

func TestDirtyTicketsAreBounded(t *testing.T) {
	t.Parallel()
	s, now := NewWith(Options{MaxDirty: 1}), time.Unix(1_800_000_000, 0)
	apply(t, s, change(1, now), change(1, now))
	if _, err := store.Make(t.Context(), s, change(2, now)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("second ticket: %v", err)
	}
}

// A quota is full as well, and says that it is the quota.
func TestQuota(t *testing.T) {
	t.Parallel()
	s, now := NewWith(Options{MaxDirty: 2, Quota: 1}), time.Unix(1_800_000_000, 0)
	apply(t, s, change(1, now), change(1, now))
	_, err := store.Make(t.Context(), s, change(2, now))
	if !errors.Is(err, store.ErrQuota) || !errors.Is(err, store.ErrFull) {
		t.Fatalf("second ticket: %v", err)
	}
}

func TestRequestsAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := NewWith(Options{MaxRequests: 2, Now: func() time.Time { return now }})
	ask := func(request string, remember time.Duration) ticket.Revision {
		m := change(1, now)
		m.RequestID, m.Remember = request, remember
		return apply(t, s, m)[0].Revision
	}
	minute, day := ask("minute", time.Minute), ask("day", 0)
	now = now.Add(59 * time.Second)
	if ask("minute", time.Minute) != minute {
		t.Error("forgotten too soon")
	}
	now = now.Add(time.Second)
	again := ask("minute", time.Hour)
	if again == minute {
		t.Error("remembered too long")
	}
	now = now.Add(30 * time.Minute)
	if ask("minute", time.Hour) != again || ask("day", 0) != day {
		t.Error("a request that was remembered once more is forgotten too soon")
	}
	third := change(1, now)
	third.RequestID = "third"
	var full *store.FullError
	if _, err := store.Make(t.Context(), s, third); !errors.As(err, &full) || full.Bound != "journal.max_requests" {
		t.Errorf("a third request where there is room for two: %v", err)
	}
	if ask("minute", time.Hour) != again || ask("day", 0) != day {
		t.Error("a request was forgotten for want of room")
	}
	now = now.Add(30 * time.Minute)
	ask("third", 2*time.Hour) // in the room of the one whose time is over
	if s.Size().Requests != 2 {
		t.Errorf("%d requests are remembered", s.Size().Requests)
	}
	now = now.Add(24 * time.Hour)
	if ask("day", 0) == day {
		t.Error("remembered for more than a day")
	}
}

// What a log needs the store to know: which of its segments hold what waits.
func TestNeededSegments(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := NewWith(Options{Now: func() time.Time { return now }})
	log := func(segment uint64, m store.Mutation) store.Outcome {
		at := func(*store.Mutation, store.Outcome) (uint64, error) { return segment, nil }
		outcomes, err := s.ApplyLogged([]store.Mutation{m}, at)
		if err != nil {
			t.Fatal(err)
		}
		return outcomes[0]
	}
	needed := func(want uint64) {
		t.Helper()
		if got, some := s.Needed(); got != want || some != (want != 0) {
			t.Errorf("segment %d is needed (%v), want %d", got, some, want)
		}
	}
	needed(0)
	first := log(1, change(1, now))
	second := log(2, change(2, now))
	log(3, change(1, now))
	request := change(3, now)
	request.RequestID, request.Remember = "r", time.Minute
	third := log(4, request)
	needed(1)
	needs, segment, _ := s.Oldest(10)
	if len(needs.States) != 1 || needs.States[0].ID != 1 || len(needs.Requests) != 0 || segment != 1 {
		t.Fatalf("segment %d is needed for %+v", segment, needs)
	}
	log(4, change(1, now))
	s.Moved(needs, 5) // too late: the ticket has changed
	needed(1)
	needs, _, _ = s.Oldest(10)
	s.Moved(needs, 5)
	needed(2)
	for _, o := range []store.Outcome{second, third, first} {
		if err := s.Ack(t.Context(), []store.Receipt{{ID: o.ID, Revision: o.Revision}}); err != nil {
			t.Fatal(err)
		}
	}
	needed(4) // for the request
	now = now.Add(time.Minute)
	needed(5) // ticket 1 has a newer change
	if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: needs.States[0].Revision}}); err != nil {
		t.Fatal(err)
	}
	needed(0)
	if size := s.Size(); size.Dirty != 0 || size.Requests != 0 || size.Bytes != 0 {
		t.Errorf("size %+v of a store in which nothing waits", size)
	}
}

func BenchmarkClaim(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s, now := New(), time.Unix(1_800_000_000, 0)
			batch := make([]store.Mutation, n)
			for i := range batch {
				batch[i] = change(ticket.ID(i+1), now)
			}
			if _, err := s.Apply(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Claim(b.Context(), now, 100, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What is left after an ack has waited since its own change.
func TestSinceAfterAnAck(t *testing.T) {
	t.Parallel()
	s, now := New(), time.Unix(1_800_000_000, 0)
	first := apply(t, s, change(1, now))[0].Revision
	newer := change(1, now.Add(time.Minute))
	newer.Fields[0].Name = "category"
	apply(t, s, newer)
	if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: first}}); err != nil {
		t.Fatal(err)
	}
	if b, _ := s.Backlog(t.Context()); !b.Oldest.Equal(now.Add(time.Minute)) {
		t.Errorf("oldest change at %v, want %v", b.Oldest, now.Add(time.Minute))
	}
}

// What shows that the next place had a ticket survives in the state that a log writes when the log removes a segment.
func TestStateKeepsThatTheRowWasThere(t *testing.T) {
	t.Parallel()
	s, now := New(), time.Unix(1_800_000_000, 0)
	at := func(*store.Mutation, store.Outcome) (uint64, error) { return 1, nil }
	o, err := s.ApplyLogged([]store.Mutation{change(1, now)}, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Park(t.Context(), []ticket.Letter{{ID: 1, Revision: o[0].Revision, Code: ticket.RowVanished}}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Retry(t.Context(), now, []ticket.ID{1}); err != nil || n != 1 {
		t.Fatalf("retried %d (%v)", n, err)
	}
	needs, _, _ := s.Oldest(1)
	again := New()
	again.Restore(&needs.States[0], 1)
	claims, err := again.Claim(t.Context(), now.Add(time.Minute), 1, time.Second)
	if err != nil || len(claims) != 1 || !claims[0].Follows() {
		t.Errorf("claims %+v (%v), want one that follows a row", claims, err)
	}
}
