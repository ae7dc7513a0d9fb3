// Package ids hands out ids for new tickets from blocks that are leased ahead (hi-lo), so that creates go on while
// MySQL is away, for as long as the leased ids last.
//
// # Ids that others use
//
// A leased block keeps other allocators away, not SQL, an import or another plugin. So before an id is given, the
// allocator asks which of the next ids have a row, and skips them ([Taken]); creates share one question and its answer,
// which counts for a moment only. Ids that requests name are skipped as well ([Allocator.Use]). Where the question gets no
// answer, creates go on without one: the sink refuses a create that meets another ticket's row. That refusal also covers
// a row that is inserted after the answer.
//
// # States
//
// A block is in use and, once half of it is gone, the next one is leased in the background. Blocks are kept on disk for
// the next start and taken from there in parts ([Allocator.Keep]); the ids of a part that was not used up when a daemon was
// killed are lost, which leaves gaps and nothing else. Where a lease fails it is tried again with growing
// pauses. When no ids are left, [Allocator.Next] waits for a lease that is under way, and fails at once where the
// last one failed.
package ids

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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

// Taken returns which of the ids from first to last have a row, or had one that was deleted.
type Taken func(ctx context.Context, first, last ticket.ID) ([]ticket.ID, error)

// Allocator hands out ids. It may be used by any number of goroutines. Start and Stop are idempotent.
type Allocator struct {
	lease Lease
	taken Taken
	block int
	loop  lifecycle.Loop
	wake  chan struct{} // asks the loop for a block
	// reserve keeps leased ids on disk; nil: those in hand are lost when the daemon ends.
	reserve *reserve
	// blocks are those in hand as they were leased, for [Allocator.Use] to look at without the lock.
	blocks atomic.Pointer[[2]span]

	mu        sync.Mutex
	now, next span
	// used are ids of both blocks that requests have named.
	used   map[ticket.ID]struct{}
	vetted vetted
	// failure is why the last lease failed; nil when it did not, or none has ended yet.
	failure error
	// ended is closed and replaced when a lease has ended, well or not.
	ended chan struct{}
}

// span is ids that are free: first to first+left-1.
type span struct {
	first ticket.ID
	left  int
}

func (s span) holds(id ticket.ID) bool { return id >= s.first && id-s.first < ticket.ID(s.left) }

// New makes an allocator that leases block ids at a time; zero stands for [DefaultBlock]. It leases nothing before
// Start.
func New(lease Lease, taken Taken, block int) *Allocator {
	if block <= 0 {
		block = DefaultBlock
	}
	return &Allocator{
		lease: lease, taken: taken, block: block, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		used: make(map[ticket.ID]struct{}),
	}
}

// Start begins leasing in the background. It ends with Stop, or with ctx.
func (a *Allocator) Start(ctx context.Context) {
	a.ask()
	if a.reserve != nil {
		a.reserve.Start(ctx)
	}
	a.loop.Start(ctx, a.refill)
}

// Stop ends leasing and waits for a lease that is under way, until ctx ends. The ids that are left can still be had, unless they
// are kept on disk for the next start.
func (a *Allocator) Stop(ctx context.Context) error {
	err := a.loop.Stop(ctx, "id allocator")
	if a.reserve == nil || err != nil {
		return err
	}
	a.mu.Lock()
	now, next := a.now, a.next
	a.now, a.next = span{}, span{}
	a.mu.Unlock()
	return a.reserve.stop(ctx, next, now)
}

// Next returns an id that no row has and no request has named, as far as the database answers within a moment. It waits
// for that answer; where no ids are left, for the lease that is under way, at most until ctx ends.
func (a *Allocator) Next(ctx context.Context) (ticket.ID, error) {
	for blind := false; ; {
		step, err := a.take(blind)
		switch {
		case err != nil:
			return 0, err
		case step.id != 0:
			return step.id, nil
		case step.lease != nil:
			select {
			case <-step.lease:
			case <-ctx.Done():
				return 0, fmt.Errorf("%w: waiting for new ones: %w", ErrExhausted, context.Cause(ctx))
			}
		default:
			blind = !a.answered(ctx, &step)
			if ctx.Err() != nil {
				return 0, fmt.Errorf("looking whether the next ticket id is free: %w", context.Cause(ctx))
			}
		}
	}
}

// Use notes that a request named an id: where it is leased, it is not given to a new ticket any more.
func (a *Allocator) Use(id ticket.ID) {
	blocks := a.blocks.Load()
	if blocks == nil || !blocks[0].holds(id) && !blocks[1].holds(id) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now.holds(id) || a.next.holds(id) {
		a.used[id] = struct{}{}
	}
}

// Left counts the ids that can be had without a lease, those included that turn out to be taken.
func (a *Allocator) Left() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now.left + a.next.left - len(a.used)
}

// step is what a caller of [Allocator.Next] has or does next; one of its fields is set.
type step struct {
	id    ticket.ID
	lease <-chan struct{} // ends with the lease that is under way
	other <-chan struct{} // ends with the question that another caller asks
	ask   span            // which ids this caller asks about
}

// take returns the next step; a blind one asks no question.
func (a *Allocator) take(blind bool) (step, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for {
		if a.now.left == 0 {
			a.now, a.next = a.next, span{}
			a.blocks.Store(&[2]span{a.now})
		}
		if a.now.left == 0 {
			a.ask()
			if a.failure != nil {
				return step{}, fmt.Errorf("%w: %w", ErrExhausted, a.failure)
			}
			return step{lease: a.ended}, nil
		}
		id := a.now.first
		if _, used := a.used[id]; used {
			delete(a.used, id)
			a.advance()
			continue
		}
		known, taken := a.vetted.look(id, now)
		switch {
		case taken:
			a.advance()
		case known || blind || now.Before(a.vetted.silent):
			a.advance()
			return step{id: id}, nil
		default:
			return a.vetted.question(span{id, min(a.now.left, window)}), nil
		}
	}
}

// advance passes the first id of the block. The caller holds mu.
func (a *Allocator) advance() {
	a.now.first++
	a.now.left--
	if a.wanting() {
		a.ask()
	}
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
	block := span{left: a.block}
	var err error
	if a.reserve != nil {
		block, err = a.reserve.take(ctx, a.block)
	} else {
		block.first, err = a.lease(ctx, a.block)
	}
	a.note(err, block)
	return err == nil
}

// note records how a lease ended and wakes those who wait for it.
func (a *Allocator) note(err error, block span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
	if err == nil {
		a.next = block
		a.blocks.Store(&[2]span{a.now, a.next})
	}
	close(a.ended)
	a.ended = make(chan struct{})
}

const (
	// window is how many ids one question is about.
	window = 64
	// freshness is how long an answer counts, from when its question began: a row that is inserted later is seen by the
	// next question.
	freshness = 50 * time.Millisecond
	// vetTimeout bounds one question. A caller with less than twice that time left gives half of it.
	vetTimeout = 100 * time.Millisecond
	// vetPause is for how long no question is asked after one that got no answer: no create waits for a sick database
	// more than once in that time.
	vetPause = time.Second
)

// vetted is what is known of the ids that come next. The allocator's lock guards it.
type vetted struct {
	about span
	taken map[ticket.ID]struct{}
	until time.Time // the answer counts before that
	// silent is until when no question is asked, as the last one got no answer.
	silent time.Time
	// asking is closed when the question that is under way has ended; nil if none is.
	asking chan struct{}
}

// look says whether an answer that counts knows the id, and what it says. That an id is taken counts for ever.
func (v *vetted) look(id ticket.ID, now time.Time) (known, taken bool) {
	if !v.about.holds(id) {
		return false, false
	}
	_, taken = v.taken[id]
	return now.Before(v.until), taken
}

// question returns the step of a caller that needs an answer: to wait for the question that is under way, or to ask.
func (v *vetted) question(about span) step {
	if v.asking != nil {
		return step{other: v.asking}
	}
	v.asking = make(chan struct{})
	return step{ask: about}
}

// answered asks the step's question, or waits for the caller that does. False where this caller can wait no longer.
func (a *Allocator) answered(ctx context.Context, s *step) bool {
	patience := vetTimeout
	if deadline, bounded := ctx.Deadline(); bounded {
		patience = min(patience, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.other != nil {
		select {
		case <-s.other:
			return true
		case <-ctx.Done():
			return false
		}
	}
	began := time.Now()
	taken, err := a.taken(ctx, s.ask.first, s.ask.first+ticket.ID(s.ask.left)-1)
	a.mu.Lock()
	defer a.mu.Unlock()
	v := &a.vetted
	close(v.asking)
	v.asking = nil
	switch {
	case err == nil:
		v.about, v.until = s.ask, began.Add(freshness)
		v.taken = make(map[ticket.ID]struct{}, len(taken))
		for _, id := range taken {
			v.taken[id] = struct{}{}
		}
	case ctx.Err() == nil || patience == vetTimeout && time.Since(began) >= patience:
		v.silent = time.Now().Add(vetPause)
	default: // This caller went away or was in a hurry, which says nothing of the database.
	}
	return err == nil
}
