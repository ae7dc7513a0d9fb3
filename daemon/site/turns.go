package site

import (
	"context"
	"sync"
)

// turns shares the runs of an action among callers. Each caller needs a run that begins after the call, because a run under way
// may have missed the caller's changes. The next run serves all callers that come meanwhile.
type turns struct {
	run func(context.Context) error

	mu   sync.Mutex
	busy bool
	next *turn // has not begun yet; nil if no caller waits
}

// turn is a run. A run without waiting callers is cancelled.
type turn struct {
	ctx     context.Context //nolint:containedctx // the life of the run, which outlives the first caller
	cancel  context.CancelFunc
	waiting int
	done    chan struct{}
	err     error // readable when done is closed
}

// await returns the result of a run that began after the call, or ctx's error if ctx ends first.
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

// join adds a caller to the next run.
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

// begin starts the next run, if a caller waits. The lock is held: later callers are too late for this run.
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
