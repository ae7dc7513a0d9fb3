// Package lifecycle is the Start/Stop contract that every long-lived component keeps.
package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Loop runs one background function. Start and Stop may be called any number of times, from any goroutine; only the first
// Start starts it, and a Loop that was stopped does not start again. The zero value is ready.
type Loop struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// Start runs f on a goroutine of its own, with a context that ends with Stop and with ctx.
func (l *Loop) Start(ctx context.Context, f func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done != nil {
		return
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		f(ctx)
	}()
}

// StartEvery runs f as Start does, again and again: first after one interval, and never twice at a time. Intervals that end while
// f runs make one run right after it. After Stop, f does not run again.
func (l *Loop) StartEvery(ctx context.Context, interval time.Duration, f func(context.Context)) {
	l.Start(ctx, func(ctx context.Context) {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if ctx.Err() == nil { // both may have been ready
				f(ctx)
			}
		}
	})
}

// Stop ends f's context and waits until f has returned, or until ctx ends: the error then names what did not end.
func (l *Loop) Stop(ctx context.Context, name string) error {
	l.mu.Lock()
	if l.done == nil { // Never started: from now on it never will.
		l.done = make(chan struct{})
		close(l.done)
		l.cancel = func() {}
	}
	cancel, done := l.cancel, l.done
	l.mu.Unlock()
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping the %s: still busy: %w", name, context.Cause(ctx))
	}
}
