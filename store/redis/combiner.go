package redis

import (
	"context"
	"sync"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Limits of combining. Two flights keep Redis busy while a reply travels; more flights would only make the batches smaller. A
// batch of 128 occupies Redis for about two milliseconds.
const (
	maxFlights  = 2
	maxCombined = 128
)

// combiner sends the mutations of concurrent callers in one round trip. A caller that is alone sends at once, on its own
// goroutine. While maxFlights round trips are under way the other callers queue, and the first of the queue leads the next flight
// with all queued mutations, so that batches grow with the crowd and no caller waits for a timer.
//
// Source: flat combining (Hendler et al., SPAA 2010), as group commit in databases uses it.
type combiner struct {
	send func(context.Context, []store.Mutation) ([]store.Outcome, error)

	mu      sync.Mutex
	flights int
	queue   []*call
}

// call is one caller's mutations in the queue. The channel carries one message: nil when another caller's flight has answered the
// call, or the batch that this caller must lead.
type call struct {
	mutations []store.Mutation
	outcomes  []store.Outcome
	err       error
	turn      chan []*call
}

// do sends the mutations, alone or with other callers' mutations, and returns their outcomes. A caller whose context ends in the
// queue is withdrawn; a caller whose mutations are on their way waits for the outcome, which send bounds.
func (c *combiner) do(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	c.mu.Lock()
	if c.flights < maxFlights {
		c.flights++
		c.mu.Unlock()
		defer c.next()
		return c.send(ctx, mutations)
	}
	own := &call{mutations: mutations, turn: make(chan []*call, 1)}
	c.queue = append(c.queue, own)
	c.mu.Unlock()

	var batch []*call
	select {
	case batch = <-own.turn:
	case <-ctx.Done():
		if c.withdraw(own) {
			return nil, link.Wrap("apply", ctx.Err()) // Redis was too slow for those before it
		}
		batch = <-own.turn
	}
	if batch != nil {
		c.lead(ctx, batch)
	}
	return own.outcomes, own.err
}

// lead sends a batch and hands every caller its share.
func (c *combiner) lead(ctx context.Context, batch []*call) {
	defer c.next()
	var all []store.Mutation
	for _, one := range batch {
		all = append(all, one.mutations...)
	}
	// The mutations of the other callers must not fail because this caller went away; send has its own bound.
	outcomes, err := c.send(context.WithoutCancel(ctx), all)
	for i, one := range batch {
		if err != nil {
			one.err = err
		} else {
			one.outcomes, outcomes = outcomes[:len(one.mutations)], outcomes[len(one.mutations):]
		}
		if i > 0 {
			one.turn <- nil
		}
	}
}

// next ends a flight: the first in the queue leads the next one.
func (c *combiner) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.flights--
		return
	}
	n, mutations := 0, 0
	for n < len(c.queue) && (n == 0 || mutations+len(c.queue[n].mutations) <= maxCombined) {
		mutations += len(c.queue[n].mutations)
		n++
	}
	batch := make([]*call, n)
	copy(batch, c.queue)
	c.queue = append(c.queue[:0], c.queue[n:]...)
	batch[0].turn <- batch
}

// withdraw takes a call out of the queue and says whether the queue held the call.
func (c *combiner) withdraw(own *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, one := range c.queue {
		if one == own {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			return true
		}
	}
	return false
}
