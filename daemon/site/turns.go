package site

import (
	"context"
	"sync"
)

// turns shares the runs of one action among callers each of whom needs a run that begins after he asked: one that is
// under way may have passed by what he knows to be there. However many ask meanwhile, one run after it serves them all.
type turns struct {
	run func(context.Context) error

	mu   sync.Mutex
	busy bool
	next *turn // has not begun yet; nil where nobody waits for it
}

// turn is one run. It is cut off when nobody waits for it any more.
type turn struct {
	ctx     context.Context //nolint:containedctx // the life of the run, which outlives the caller who began it
	cancel  context.CancelFunc
	waiting int
	done    chan struct{}
	err     error // readable when done is closed
}

// await returns what a run returned that began after the call, or ctx's error where that ends first.
func (s *turns) await(ctx context.Context) error {
	t := s.join(ctx)
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		s.leave(t)
		return ctx.Err()
	}
}

// join becomes one of those who wait for the next run.
func (s *turns) join(ctx context.Context) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.next
	if t == nil {
		t = &turn{done: make(chan struct{})}
		t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.next = t
	}
	t.waiting++
	if !s.busy {
		s.begin()
	}
	return t
}

// begin starts the next run, if anybody waits for one. The caller holds the lock: who comes after it is too late for
// this run.
func (s *turns) begin() {
	t := s.next
	s.next, s.busy = nil, t != nil
	if t == nil {
		return
	}
	go func() {
		t.err = s.run(t.ctx)
		t.cancel()
		close(t.done)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.begin()
	}()
}

func (s *turns) leave(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.waiting--; t.waiting > 0 {
		return
	}
	t.cancel()
	if s.next == t {
		s.next = nil
	}
}
