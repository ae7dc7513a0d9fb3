// Package ids hands out ids for new tickets from blocks that are leased ahead (hi-lo), so that creates go on while
// MySQL is away, for as long as the leased ids last.
//
// # States
//
// A block is in use and, once half of it is gone, the next one is leased in the background; ids that a stopped daemon
// has not used are lost, which leaves gaps and nothing else. Where a lease fails it is tried again with growing
// pauses. When no ids are left, [Allocator.Next] waits for a lease that is under way, and fails at once where the
// last one failed.
package ids

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
)

// DefaultBlock is how many ids are leased at once where nothing else is asked for.
const DefaultBlock = 1000

const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// leaseTimeout bounds one lease.
	leaseTimeout = 5 * time.Second
)

// ErrExhausted means that the leased ids are used up and that no new ones can be had now. It is wrapped together with
// the reason.
var ErrExhausted = errors.New("no ticket ids left")

// Lease takes n ids that nobody else is ever given and returns the first.
type Lease func(ctx context.Context, n int) (ticket.ID, error)

// Allocator hands out ids. It may be used by any number of goroutines. Start and Stop are idempotent.
type Allocator struct {
	lease Lease
	block int
	loop  lifecycle.Loop
	wake  chan struct{} // asks the loop for a block

	mu        sync.Mutex
	now, next span
	// failure is why the last lease failed; nil when it did not, or none has ended yet.
	failure error
	// ended is closed and replaced when a lease has ended, well or not.
	ended chan struct{}
	used  map[ticket.ID]bool // see Use
}

// span is ids that are free: first to first+left-1.
type span struct {
	first ticket.ID
	left  int
}

// New makes an allocator that leases block ids at a time; zero stands for [DefaultBlock]. It leases nothing before
// Start.
func New(lease Lease, block int) *Allocator {
	if block <= 0 {
		block = DefaultBlock
	}
	return &Allocator{lease: lease, block: block, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Start begins leasing in the background. It ends with Stop, or with ctx.
func (a *Allocator) Start(ctx context.Context) {
	a.ask()
	a.loop.Start(ctx, a.refill)
}

// Stop ends leasing and waits for a lease that is under way, until ctx ends. The ids that are left can still be had.
func (a *Allocator) Stop(ctx context.Context) error { return a.loop.Stop(ctx, "id allocator") }

// Next returns an id. It waits for nothing while ids are left; else for the lease that is under way, at most until
// ctx ends.
func (a *Allocator) Next(ctx context.Context) (ticket.ID, error) {
	for {
		id, wait, err := a.take()
		if wait == nil {
			return id, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: waiting for new ones: %w", ErrExhausted, context.Cause(ctx))
		}
	}
}

// Left counts the ids that can be had without a lease.
func (a *Allocator) Left() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now.left + a.next.left
}

// take returns an id, or an error, or what to wait for.
func (a *Allocator) take() (id ticket.ID, wait <-chan struct{}, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skip()
	if a.now.left == 0 {
		a.now, a.next = a.next, span{}
		a.skip()
	}
	if a.now.left == 0 {
		a.ask()
		if a.failure != nil {
			return 0, nil, fmt.Errorf("%w: %w", ErrExhausted, a.failure)
		}
		return 0, a.ended, nil
	}
	id = a.now.first
	a.now.first++
	a.now.left--
	if a.wanting() {
		a.ask()
	}
	return id, nil, nil
}

// wanting says that half of a block or more is gone and that no other is at hand. The caller holds mu.
func (a *Allocator) wanting() bool { return a.next.left == 0 && a.now.left <= a.block/2 }

func (a *Allocator) ask() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// refill leases a block whenever one is wanted.
func (a *Allocator) refill(ctx context.Context) {
	defer a.note(errors.New("the allocator was stopped"), span{})
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		for pause := firstPause; ; pause = min(2*pause, longestPause) {
			if a.leased(ctx) {
				break
			}
			timer := time.NewTimer(pause/2 + rand.N(pause)) // several daemons do not try in step
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
	}
}

// leased takes a block, unless none is wanted. False when that failed.
func (a *Allocator) leased(ctx context.Context) bool {
	a.mu.Lock()
	wanting := a.wanting()
	a.mu.Unlock()
	if !wanting {
		return true
	}
	ctx, cancel := context.WithTimeoutCause(ctx, leaseTimeout, errors.New("leasing ids took too long"))
	defer cancel()
	first, err := a.lease(ctx, a.block)
	a.note(err, span{first, a.block})
	return err == nil
}

// note records how a lease ended and wakes those who wait for it.
func (a *Allocator) note(err error, block span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
	if err == nil {
		a.next = block
	}
	close(a.ended)
	a.ended = make(chan struct{})
}
