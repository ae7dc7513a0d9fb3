package ids_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/ids"
)

var errAway = errors.New("the database is away")

// sequence is a lease function that can be away or slow.
type sequence struct {
	mu     sync.Mutex
	next   ticket.ID
	leases int
	away   atomic.Bool
	gate   chan struct{} // where not nil, a lease waits for it
	table  table
}

func (s *sequence) lease(ctx context.Context, n int) (ticket.ID, error) {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if s.away.Load() {
		return 0, errAway
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases++
	first := s.next + 1
	s.next += ticket.ID(n)
	return first, nil
}

// started makes an allocator in the test's bubble.
func started(t *testing.T, s *sequence, block int) *ids.Allocator {
	t.Helper()
	a := ids.New(s.lease, s.table.taken, block)
	a.Start(t.Context())
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestNextGivesEveryIDOnceInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{}
		a := started(t, s, 10)
		for want := ticket.ID(1); want <= 35; want++ {
			got, err := a.Next(t.Context())
			if err != nil || got != want {
				t.Fatalf("id %d, error %v; want %d", got, err, want)
			}
		}
	})
}

func TestRefillIsLeasedWhenHalfIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{}
		a := started(t, s, 10)
		for range 4 {
			mustNext(t, a)
		}
		synctest.Wait()
		if s.leases != 1 {
			t.Fatalf("%d leases after 4 of 10 ids, want 1", s.leases)
		}
		mustNext(t, a)
		synctest.Wait()
		if s.leases != 2 || a.Left() != 15 {
			t.Fatalf("%d leases and %d ids left after 5 of 10 ids, want 2 and 15", s.leases, a.Left())
		}
	})
}

func TestIDsLastWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{}
		a := started(t, s, 10)
		synctest.Wait()
		s.away.Store(true)
		begin := time.Now()
		for range 10 {
			mustNext(t, a)
		}
		synctest.Wait()
		if _, err := a.Next(t.Context()); !errors.Is(err, ids.ErrExhausted) || !errors.Is(err, errAway) {
			t.Fatalf("error %v, want exhausted, because the database is away", err)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("waited %s, want not at all", waited)
		}
		s.away.Store(false)
		<-time.After(10 * time.Second) // the bubble's clock: longer than the longest pause
		if got := mustNext(t, a); got != 11 {
			t.Errorf("id %d after the database came back, want 11", got)
		}
	})
}

func TestNextWaitsForTheLeaseUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{gate: make(chan struct{})}
		a := started(t, s, 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Next(ctx); !errors.Is(err, ids.ErrExhausted) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want exhausted at the deadline", err)
		}
		close(s.gate)
		if got := mustNext(t, a); got != 1 {
			t.Errorf("id %d, want 1", got)
		}
	})
}

func TestStopWakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{gate: make(chan struct{})}
		a := started(t, s, 10)
		failed := make(chan error, 1)
		go func() {
			_, err := a.Next(t.Context())
			failed <- err
		}()
		synctest.Wait()
		for range 2 {
			if err := a.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-failed; !errors.Is(err, ids.ErrExhausted) {
			t.Errorf("error %v, want exhausted", err)
		}
	})
}

func TestTwoAllocatorsNeverGiveTheSameID(t *testing.T) {
	t.Parallel()
	s := &sequence{}
	var seen sync.Map
	var all sync.WaitGroup
	for range 2 {
		a := started(t, s, 7)
		for range 4 {
			all.Go(func() {
				for range 200 {
					id, err := a.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if _, twice := seen.LoadOrStore(id, true); twice {
						t.Errorf("id %d was given twice", id)
					}
				}
			})
		}
	}
	all.Wait()
}

func mustNext(t *testing.T, a *ids.Allocator) ticket.ID {
	t.Helper()
	id, err := a.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}
