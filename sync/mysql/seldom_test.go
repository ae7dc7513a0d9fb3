package mysql

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A stream of refused writes, two hundred at a time, causes one reading a second.
func TestSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s seldom
		runs := 0
		begin := time.Now()
		for time.Since(begin) < 10*time.Second {
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					s.do(t.Context(), func() {
						runs++
						time.Sleep(10 * time.Millisecond)
					})
				})
			}
			all.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		if runs < 9 || runs > 10 {
			t.Errorf("%d runs in 10 s", runs)
		}
	})
}

// A caller that waits for another caller's run gives up at its own deadline.
func TestSeldomEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s seldom
		go s.do(t.Context(), func() { time.Sleep(time.Minute) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		s.do(ctx, func() { t.Error("two runs at a time") })
		if took := time.Since(begin); took != time.Second {
			t.Errorf("waited for %v, want a second", took)
		}
		time.Sleep(time.Minute)
	})
}
