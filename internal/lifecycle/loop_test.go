package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

func TestLoopStress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lifecycle.Loop
		var runs, running atomic.Int32
		f := func(ctx context.Context) {
			runs.Add(1)
			running.Add(1)
			<-ctx.Done()
			running.Add(-1)
		}
		l.Start(t.Context(), f)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { l.Start(t.Context(), f) })
			all.Go(func() {
				if err := l.Stop(t.Context(), "loop"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if runs.Load() != 1 || running.Load() != 0 {
			t.Errorf("ran %d times, %d still running; want once and none", runs.Load(), running.Load())
		}
	})
}

func TestStopBeforeStartKeepsItStopped(t *testing.T) {
	t.Parallel()
	var l lifecycle.Loop
	if err := l.Stop(t.Context(), "loop"); err != nil {
		t.Fatal(err)
	}
	l.Start(t.Context(), func(context.Context) { t.Error("started after Stop") })
	if err := l.Stop(t.Context(), "loop"); err != nil {
		t.Fatal(err)
	}
}

func TestStopGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	var l lifecycle.Loop
	release := make(chan struct{})
	l.Start(t.Context(), func(context.Context) { <-release })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Stop(ctx, "stubborn loop"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	close(release)
	if err := l.Stop(t.Context(), "stubborn loop"); err != nil {
		t.Fatal(err)
	}
}

func TestStartEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lifecycle.Loop
		var runs atomic.Int64
		l.StartEvery(t.Context(), time.Second, func(context.Context) {
			runs.Add(1)
			time.Sleep(3500 * time.Millisecond) // the runs begin at 1 s, 4.5 s and 8 s
		})
		time.Sleep(900 * time.Millisecond)
		if runs.Load() != 0 {
			t.Error("it ran before the first interval was over")
		}
		time.Sleep(9 * time.Second)
		if err := l.Stop(t.Context(), "loop"); err != nil {
			t.Fatal(err)
		}
		if n := runs.Load(); n != 3 {
			t.Errorf("it ran %d times in 9.9 s, want 3", n)
		}
	})
}
