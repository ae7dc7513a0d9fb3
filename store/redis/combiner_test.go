package redis

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

const trip = time.Millisecond // the duration of a round trip, in fake time

// recorder answers every mutation with the mutation's id, after one trip.
type recorder struct {
	mu      sync.Mutex
	batches []int
	err     error
}

func (r *recorder) send(_ context.Context, batch []store.Mutation) ([]store.Outcome, error) {
	r.mu.Lock()
	r.batches = append(r.batches, len(batch))
	r.mu.Unlock()
	time.Sleep(trip)
	if r.err != nil {
		return nil, r.err
	}
	outcomes := make([]store.Outcome, len(batch))
	for i := range batch {
		outcomes[i].ID = batch[i].ID
	}
	return outcomes, nil
}

func TestCombinerAloneDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c := &combiner{send: r.send}
		begin := time.Now()
		outcomes, err := c.do(t.Context(), []store.Mutation{{ID: 7}})
		if err != nil || outcomes[0].ID != 7 {
			t.Fatalf("%v %v", outcomes, err)
		}
		if took := time.Since(begin); took != trip {
			t.Errorf("took %v, want one trip", took)
		}
	})
}

// With maxFlights under way, the crowd shares the next round trip, each caller gets an outcome of its own, and the flights are
// given back.
func TestCombinerCombines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c := &combiner{send: r.send}
		const callers = maxFlights + maxCombined
		begin := time.Now()
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				id := ticket.ID(i + 1)
				if outcomes, err := c.do(t.Context(), []store.Mutation{{ID: id}}); err != nil || outcomes[0].ID != id {
					t.Errorf("caller %d: %v %v", id, outcomes, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took != 2*trip {
			t.Errorf("%d callers took %v in batches %v, want two trips", callers, took, r.batches)
		}
		if len(r.batches) != maxFlights+1 || c.flights != 0 {
			t.Errorf("batches %v, %d flights left; want %d and none", r.batches, c.flights, maxFlights+1)
		}
	})
}

func TestCombinerTellsEveryCallerOfAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{err: errors.New("lost")}
		c := &combiner{send: r.send}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := c.do(t.Context(), []store.Mutation{{ID: 1}}); !errors.Is(err, r.err) {
					t.Errorf("error %v", err)
				}
			})
		}
		all.Wait()
	})
}

// A caller whose time runs out in the queue is withdrawn, and the mutation is never sent.
func TestCombinerWithdraws(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c := &combiner{send: r.send}
		var all sync.WaitGroup
		for range maxFlights {
			all.Go(func() { _, _ = c.do(t.Context(), []store.Mutation{{ID: 1}}) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), trip/2)
		defer cancel()
		if _, err := c.do(ctx, []store.Mutation{{ID: 2}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the deadline's", err)
		}
		all.Wait()
		if len(r.batches) != maxFlights {
			t.Errorf("sent %v, want the %d flights alone", r.batches, maxFlights)
		}
	})
}
