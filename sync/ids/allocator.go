// Package ids assigns ids to new tickets from blocks that are leased ahead (hi-lo), so that creates continue while MySQL is
// unreachable, until the leased ids are used up.
//
// # Ids that other programs use
//
// A leased block keeps other allocators away, but not SQL, an import or another plugin. So before the allocator returns an id,
// it asks which of the next ids have a row, and skips the taken ids ([Taken]); creates share a question and its answer, which
// counts for a moment only. The allocator also skips ids that requests name ([Allocator.Use]). If the question gets no answer,
// creates continue without an answer: the sink refuses a create that meets another ticket's row. That refusal also covers rows
// that are inserted after the answer.
//
// # States
//
// The allocator uses a block; when half of the block is gone, the allocator leases the next block in the background. Blocks are
// kept on disk for the next start and taken from the file in parts ([Allocator.Keep]); a killed daemon loses the unused ids of a
// part, which leaves gaps and does no other harm. After a failed lease the allocator retries with growing pauses. If no ids are
// left, [Allocator.Next] waits for the lease under way, and fails at once if the last lease failed.
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

// DefaultBlock is the default number of ids per lease.
const DefaultBlock = 1000

const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// leaseTimeout bounds one lease.
	leaseTimeout = 5 * time.Second
)

// ErrExhausted means that the leased ids are used up and that no lease works now. The reason is wrapped in the same error.
var ErrExhausted = errors.New("no ticket ids left")

// Lease takes n ids that no other caller ever gets and returns the first id.
type Lease func(ctx context.Context, n int) (ticket.ID, error)

// Taken returns which of the ids from first to last have a row, or had a row that was deleted.
type Taken func(ctx context.Context, first, last ticket.ID) ([]ticket.ID, error)

// Allocator assigns ids. It is safe for concurrent use. Start and Stop are idempotent.
type Allocator struct {
	lease Lease
	taken Taken
	block int
	loop  lifecycle.Loop
	wake  chan struct{} // asks the loop for a block
	// reserve keeps leased ids on disk; nil: the ids in memory are lost when the daemon ends.
	reserve *reserve
	// blocks are the blocks in memory as they were leased: [Allocator.Use] reads them without the lock.
	blocks atomic.Pointer[[2]span]

	mu        sync.Mutex
	now, next span
	// used are ids of both blocks that requests have named.
	used   map[ticket.ID]struct{}
	vetted vetted
	// failure is why the last lease failed; nil after a success, or before the first lease has ended.
	failure error
	// ended is closed and replaced when a lease has ended, with or without success.
	ended chan struct{}
}

// span is ids that are free: first to first+left-1.
type span struct {
	first ticket.ID
	left  int
}

func (s span) holds(id ticket.ID) bool { return id >= s.first && id-s.first < ticket.ID(s.left) }

// New makes an allocator that leases block ids at a time; zero stands for [DefaultBlock]. The first lease begins with Start.
func New(lease Lease, taken Taken, block int) *Allocator {
	if block <= 0 {
		block = DefaultBlock
	}
	return &Allocator{
		lease: lease, taken: taken, block: block, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		used: make(map[ticket.ID]struct{}),
	}
}

// Start begins leasing in the background until Stop, or until ctx ends.
func (a *Allocator) Start(ctx context.Context) {
	a.ask()
	if a.reserve != nil {
		a.reserve.Start(ctx)
	}
	a.loop.Start(ctx, a.refill)
}

// Stop ends leasing and waits for a lease under way, until ctx ends. Next still returns the remaining ids, unless they are kept
// on disk for the next start.
func (a *Allocator) Stop(ctx context.Context) error {
	err := a.loop.Stop(ctx, "id allocator")
	if a.reserve == nil || err != nil {
		return err
	}
	a.mu.Lock()
	now, next := a.now, a.next
	a.now, a.next = span{}, span{}
	a.mu.Unlock()
	return a.reserve.Stop(ctx, next, now)
}

// Next returns an id that no row has and no request has named, as far as the database answers within a moment. Next waits for
// that answer and, if no ids are left, for the lease under way, at most until ctx ends.
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
				return 0, fmt.Errorf("%w: waiting for new ids: %w", ErrExhausted, context.Cause(ctx))
			}
		default:
			blind = !a.answered(ctx, &step)
			if ctx.Err() != nil {
				return 0, fmt.Errorf("looking whether the next ticket id is free: %w", context.Cause(ctx))
			}
		}
	}
}

// Use notes that a request named an id: if the id is leased, no new ticket gets the id.
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

// Left counts the ids that need no further lease, including ids that may turn out to be taken.
func (a *Allocator) Left() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now.left + a.next.left - len(a.used)
}

// step is a result of [Allocator.Next] or the caller's next action; one field is set.
type step struct {
	id    ticket.ID
	lease <-chan struct{} // ends with the lease under way
	other <-chan struct{} // ends with the question that another caller asks
	ask   span            // the ids that this caller asks about
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

// wanting says that half of a block or more is gone and that no next block is in memory. The caller holds mu.
func (a *Allocator) wanting() bool { return a.next.left == 0 && a.now.left <= a.block/2 }

func (a *Allocator) ask() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// refill leases a block on demand.
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

// leased takes a block if a block is wanted. It returns false if the lease failed.
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

// note records the end of a lease and wakes the callers that wait for the lease.
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
	// window is how many ids a question is about.
	window = 64
	// freshness is how long an answer counts, from the beginning of its question: the next question sees a row that is inserted
	// later.
	freshness = 50 * time.Millisecond
	// vetTimeout bounds a question. A caller with less than twice that time left allows half of its time.
	vetTimeout = 100 * time.Millisecond
	// vetPause is the pause after a question without an answer: no create waits for a sick database more than once in that time.
	vetPause = time.Second
)

// vetted is the knowledge about the next ids. The allocator's lock guards vetted.
type vetted struct {
	about span
	taken map[ticket.ID]struct{}
	until time.Time // the answer counts before that
	// silent is the end of the pause after a question without an answer.
	silent time.Time
	// asking is closed at the end of the question under way; nil if no question is under way.
	asking chan struct{}
}

// look says whether a fresh answer knows the id, and whether the id is taken. A taken id stays taken.
func (v *vetted) look(id ticket.ID, now time.Time) (known, taken bool) {
	if !v.about.holds(id) {
		return false, false
	}
	_, taken = v.taken[id]
	return now.Before(v.until), taken
}

// question returns the step of a caller that needs an answer: to wait for the question under way, or to ask.
func (v *vetted) question(about span) step {
	if v.asking != nil {
		return step{other: v.asking}
	}
	v.asking = make(chan struct{})
	return step{ask: about}
}

// answered asks the step's question, or waits for the caller that asks. It returns false if this caller can wait no longer.
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
	default: // the caller left or was in a hurry, which proves no fault of the database
	}
	return err == nil
}
