package watchdog_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/daemon/watchdog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The reports end when a part stands still beyond its time, and resume when the part progresses; other parts do not
// compensate. Without the check of Within the reports go on (tried by hand).
func TestAStuckPartEndsTheReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int64
		var stands atomic.Bool
		steps := func() int64 {
			if stands.Load() {
				return 0
			}
			return time.Now().Unix()
		}
		parts := []watchdog.Part{
			{Name: "busy", Within: time.Minute, Moved: func(context.Context) bool { return true }},
			{Name: "flusher", Within: time.Minute, Moved: watchdog.Counter(steps)},
		}
		w := watchdog.New(func() []watchdog.Part { return parts }, 30*time.Second, func() { reports.Add(1) }, zerolog.Nop())
		w.Start(t.Context())
		t.Cleanup(func() { _ = w.Stop(context.Background()) })
		in := func(d time.Duration) int64 {
			before := reports.Load()
			time.Sleep(d)
			return reports.Load() - before
		}
		if n := in(10 * time.Minute); n < 59 || n > 60 {
			t.Errorf("%d reports in ten minutes, want one every 10 s", n)
		}
		stands.Store(true)
		if n := in(time.Minute); n < 5 {
			t.Errorf("%d reports in a minute that a step may take, want them to go on", n)
		}
		time.Sleep(20 * time.Second)
		if n := in(10 * time.Minute); n != 0 {
			t.Errorf("%d reports although a part is stuck", n)
		}
		stands.Store(false)
		if n := in(time.Minute); n < 5 {
			t.Errorf("%d reports in a minute after it goes on", n)
		}
	})
}

// A hanging check is cut off before the next, and counts as no progress.
func TestAPartThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int64
		hangs := func(ctx context.Context) bool {
			<-ctx.Done()
			return false
		}
		parts := []watchdog.Part{{Name: "listener", Within: 15 * time.Second, Moved: hangs}}
		w := watchdog.New(func() []watchdog.Part { return parts }, 30*time.Second, func() { reports.Add(1) }, zerolog.Nop())
		w.Start(t.Context())
		time.Sleep(10 * time.Minute)
		if n := reports.Load(); n > 1 {
			t.Errorf("%d reports of a listener that does not answer", n)
		}
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
