// Package lifecycle is the Start/Stop contract that every long-lived component keeps.
package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Loop runs a background function. Start and Stop may be called any number of times, from any goroutine; only the first Start
// starts the function, and a stopped Loop does not start again. The zero value is ready.
type Loop struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// Start runs f on a new goroutine, with a context that ends with Stop and with ctx.
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

// StartEvery runs f repeatedly on a new goroutine: first after an interval, and never twice at a time. Intervals that end
// while f runs cause a single run right afterwards. After Stop, f does not run again.
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
			if ctx.Err() == nil { // both channels may have been ready
				f(ctx)
			}
		}
	})
}

// Stop ends f's context and waits until f has returned or ctx ends: the error then names the loop that did not end.
func (l *Loop) Stop(ctx context.Context, name string) error {
	l.mu.Lock()
	if l.done == nil { // Never started, and after this Stop never will.
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
