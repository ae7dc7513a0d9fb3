package ids_test

import (
	"context"
	"errors"
	"math/rand/v2"
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
	gate   chan struct{} // if not nil, a lease waits for this channel
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

// table is the rows that other programs insert. It can be unreachable, or hang until the caller gives up.
type table struct {
	mu        sync.Mutex
	rows      map[ticket.ID]time.Time // the time of each insert
	questions int
	away      bool
	hangs     bool
	takes     time.Duration // for an answer
}

func (t *table) insert(rows ...ticket.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows == nil {
		t.rows = make(map[ticket.ID]time.Time)
	}
	for _, id := range rows {
		if _, there := t.rows[id]; !there {
			t.rows[id] = time.Now()
		}
	}
}

func (t *table) taken(ctx context.Context, first, last ticket.ID) ([]ticket.ID, error) {
	t.mu.Lock()
	t.questions++
	away, hangs, takes := t.away, t.hangs, t.takes
	var found []ticket.ID
	for id := first; id <= last; id++ {
		if _, there := t.rows[id]; there {
			found = append(found, id)
		}
	}
	t.mu.Unlock()
	switch {
	case away:
		return nil, errAway
	case hangs:
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if takes > 0 {
		<-time.After(takes)
	}
	return found, nil
}

// Without the question the rows' ids are given (tried by hand), as without the bound on an answer's age.
func TestIDsOfRowsAreSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{}
		a := started(t, s, 10)
		synctest.Wait()
		s.table.insert(1, 2, 4)
		for _, want := range []ticket.ID{3, 5} {
			if got := mustNext(t, a); got != want {
				t.Errorf("id %d, want %d", got, want)
			}
		}
		s.table.insert(6, 7)
		<-time.After(50 * time.Millisecond)
		if got := mustNext(t, a); got != 8 {
			t.Errorf("id %d after others had used 6 and 7, want 8", got)
		}
	})
}

// All ids of a block, and then of the next block, may have rows.
func TestABlockWithoutAFreeID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{}
		a := started(t, s, 100)
		synctest.Wait()
		for id := ticket.ID(1); id <= 250; id++ {
			s.table.insert(id)
		}
		if got := mustNext(t, a); got != 251 {
			t.Errorf("id %d, want 251", got)
		}
	})
}

func TestCreatesShareAQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{table: table{takes: 10 * time.Millisecond}}
		a := started(t, s, 1000)
		synctest.Wait()
		var creates sync.WaitGroup
		for range 64 {
			creates.Go(func() { mustNext(t, a) })
		}
		creates.Wait()
		if s.table.questions != 1 {
			t.Errorf("%d questions for 64 creates at a time, want 1", s.table.questions)
		}
		mustNext(t, a)
		if s.table.questions != 2 {
			t.Errorf("%d questions after the window was used up, want 2", s.table.questions)
		}
	})
}

// A database that does not answer costs a single create the question's time-out, and no other create waits for a second.
func TestASickDatabaseIsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*table){
		"refuses": func(t *table) { t.away = true },
		"hangs":   func(t *table) { t.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &sequence{}
				broken(&s.table)
				a := started(t, s, 1000)
				synctest.Wait()
				begin := time.Now()
				for range 100 {
					mustNext(t, a)
				}
				if waited := time.Since(begin); waited > 100*time.Millisecond {
					t.Errorf("100 creates waited %s, want the time of one question at most", waited)
				}
				if s.table.questions != 1 {
					t.Errorf("%d questions, want 1", s.table.questions)
				}
				<-time.After(time.Second)
				s.table.away, s.table.hangs = false, false
				s.table.insert(101)
				if got := mustNext(t, a); got != 102 {
					t.Errorf("id %d after the database is back, want 102", got)
				}
			})
		})
	}
}

// A create with little time left allows half of that time, and does not stop the question for other creates.
func TestACreateInAHurryGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{table: table{hangs: true}}
		a := started(t, s, 1000)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if id, err := a.Next(ctx); err != nil || id != 1 || time.Since(begin) != 10*time.Millisecond {
			t.Errorf("id %d, error %v after %s; want 1 after half of the time", id, err, time.Since(begin))
		}
		s.table.hangs = false
		s.table.insert(2)
		if got := mustNext(t, a); got != 3 {
			t.Errorf("id %d, want 3: the next create asks", got)
		}
		s.table.hangs = true
		<-time.After(50 * time.Millisecond)
		gone, leave := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := a.Next(gone)
			failed <- err
		}()
		synctest.Wait()
		leave()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v of a create whose client went away, want that it was cancelled", err)
		}
	})
}

func TestUsedIDsAreNotGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sequence{}
		a := started(t, s, 10)
		synctest.Wait()
		s.table.away = true // requests name ids whether the database answers or not
		for _, id := range []ticket.ID{2, 2, 5, 6, 7, 11, 99} {
			a.Use(id)
		}
		if left := a.Left(); left != 6 {
			t.Errorf("%d ids left, want 6", left)
		}
		for _, want := range []ticket.ID{1, 3, 4, 8} {
			if got := mustNext(t, a); got != want {
				t.Errorf("id %d, want %d", got, want)
			}
		}
		synctest.Wait() // the next block is in memory
		a.Use(12)
		a.Use(3)
		for _, want := range []ticket.ID{9, 10, 11, 13} {
			if got := mustNext(t, a); got != want {
				t.Errorf("id %d, want %d", got, want)
			}
		}
	})
}

// Random schedules of rows, named ids, outages and creates: no id is assigned twice, no id that a request has named, and no id
// that had a row when the answer was fresh and the database had been reachable for a second.
func TestNoScheduleGivesATakenID(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := &sequence{}
			a := started(t, s, 2+random.IntN(150))
			synctest.Wait()
			given, named := make(map[ticket.ID]bool), make(map[ticket.ID]bool)
			var answered time.Time // the database answers since then
			last := ticket.ID(20)
			for range 300 {
				near := last + ticket.ID(random.IntN(100)) - 20
				switch random.IntN(10) {
				case 0, 1:
					s.table.insert(near)
				case 2:
					a.Use(near)
					named[near] = !given[near] && near <= s.next
				case 3:
					<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
				case 4:
					if s.table.away {
						answered = time.Now()
					}
					s.table.away = !s.table.away && random.IntN(10) == 0
				default:
					id, err := a.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					inserted, there := s.table.rows[id]
					sighted := !s.table.away && time.Since(answered) > time.Second
					if given[id] || named[id] || there && sighted && time.Since(inserted) >= 50*time.Millisecond {
						t.Fatalf("seed %d: id %d was given, given before: %v, named: %v, row: %v", seed, id, given[id], named[id], there)
					}
					given[id], last = true, id
					synctest.Wait()
				}
			}
		})
	}
}
