package site

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// All callers during a run share the next run.
func TestTurnsBeginAfterTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var begun []time.Time
		s := &turns{run: func(context.Context) error {
			mu.Lock()
			begun = append(begun, time.Now())
			mu.Unlock()
			time.Sleep(time.Second)
			return nil
		}}
		for range 10 {
			for range 5 {
				go func() {
					asked := time.Now()
					if err := s.await(t.Context()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, at := range begun {
						if !at.Before(asked) && time.Since(at) == time.Second {
							return
						}
					}
					t.Errorf("asked at %v, answered by none of the runs of %v", asked, begun)
				}()
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(begun) != 2 && len(begun) != 3 {
			t.Errorf("%d runs for 50 callers within a second", len(begun))
		}
	})
}

// A run ends with the last waiting caller, not with the first.
func TestTurnsEndWithTheirLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int64
		s := &turns{run: func(ctx context.Context) error {
			<-ctx.Done()
			ended.Add(1)
			return ctx.Err()
		}}
		ask := func(patience time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := s.await(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want the caller's deadline", err)
			}
		}
		go ask(time.Second) // the run under way
		synctest.Wait()
		go ask(500 * time.Millisecond) // these two wait for the next run
		go ask(3 * time.Second)
		time.Sleep(2 * time.Second)
		if synctest.Wait(); ended.Load() != 1 {
			t.Errorf("%d runs have ended after 2 s, want the first alone", ended.Load())
		}
		time.Sleep(2 * time.Second)
		if synctest.Wait(); ended.Load() != 2 || s.busy || s.next != nil {
			t.Errorf("%d runs have ended after 4 s, busy %v, next %v; want the two runs, and no further run", ended.Load(), s.busy, s.next)
		}
		go ask(time.Second) // runs go on afterwards
		time.Sleep(2 * time.Second)
		if synctest.Wait(); ended.Load() != 3 {
			t.Errorf("%d runs have ended, want 3", ended.Load())
		}
	})
}
