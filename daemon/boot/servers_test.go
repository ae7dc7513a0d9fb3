package boot

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A table in use is looked at every half minute, an idle table seldom, and each at the first use after a pause and soon after a
// statement failed; a storm of failed statements costs one look a second.
func TestTheTableIsLookedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		watch, looks := newTableWatch(), atomic.Int32{}
		watch.Start(t.Context(), func(context.Context) { looks.Add(1) })
		in := func(what string, d time.Duration, want int32) {
			looks.Store(0)
			time.Sleep(d)
			synctest.Wait()
			if n := looks.Load(); n != want {
				t.Errorf("%s: %d looks in %v, want %d", what, n, d, want)
			}
		}
		in("idle", 3*lookIdle, 3)
		time.Sleep(time.Minute)
		watch.use()
		in("the first use after a pause", time.Millisecond, 1)
		watch.use()
		in("a second use", time.Millisecond, 0)
		in("since then", inspectEvery, 1)
		in("idle again", lookIdle-time.Second, 0)
		watch.doubt()
		in("a failed statement", time.Millisecond, 1)
		storm := time.NewTicker(time.Millisecond)
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-storm.C:
					watch.doubt()
				case <-done:
					return
				}
			}
		}()
		in("a storm", 10*lookAgainAfter, 10)
		storm.Stop()
		close(done)
		if err := watch.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
