package boot

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

const (
	// askIdle is after how long an idle MySQL server is asked: so the status stays true while no client reads or writes.
	askIdle = 5 * time.Second
	// askPatience bounds that question: a connection takes at most so long.
	askPatience = 5 * time.Second
	// longestOutage bounds the least outage of a MySQL server that comes and goes.
	longestOutage = 10 * time.Second
)

const (
	// lookAgainAfter is the least time between two looks at a table because of doubts.
	lookAgainAfter = time.Second
	// lookTableTimeout bounds a look at a table.
	lookTableTimeout = 5 * time.Second
	// lookIdle is how often the table and the keys of a site without requests are looked at: hundreds of such sites must cost their
	// servers nothing.
	lookIdle = 20 * time.Minute
)

// tableWatch reads the table's definition of a site: regularly while requests use the site, so that a new column is noticed, with
// the first request after a pause, and soon after a statement of the site failed, so that the status of MySQL is what whoever
// asks MySQL meets.
type tableWatch struct {
	doubts chan struct{}
	uses   chan struct{}
	used   atomic.Bool  // by a request since the last regular look
	looks  atomic.Int64 // so far
	loop   lifecycle.Loop
}

func newTableWatch() *tableWatch {
	return &tableWatch{doubts: make(chan struct{}, 1), uses: make(chan struct{}, 1)}
}

// use notes that a request uses the definition. Only the first use after a look costs more than a load.
func (w *tableWatch) use() {
	if w.used.Load() || w.used.Swap(true) {
		return
	}
	select {
	case w.uses <- struct{}{}:
	default:
	}
}

// doubt asks for a look.
func (w *tableWatch) doubt() {
	select {
	case w.doubts <- struct{}{}:
	default:
	}
}

// Start begins to look: every [inspectEvery] while the site is used, every [lookIdle] otherwise, at the first use after a pause,
// and after doubts. A look that fails is a doubt, as each failed statement is.
func (w *tableWatch) Start(ctx context.Context, look func(context.Context)) {
	w.loop.Start(ctx, func(ctx context.Context) {
		regular := time.NewTicker(inspectEvery)
		defer regular.Stop()
		gap := time.NewTimer(0)
		defer gap.Stop()
		last := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-regular.C:
				if !w.used.Swap(false) && time.Since(last) < lookIdle {
					continue
				}
			case <-w.uses:
				if time.Since(last) < inspectEvery { // the next regular look is soon enough
					continue
				}
			case <-w.doubts:
				select { // the pause since the last look
				case <-ctx.Done():
					return
				case <-gap.C:
				}
			}
			bounded, cancel := context.WithTimeout(ctx, lookTableTimeout)
			look(bounded)
			cancel()
			last = time.Now()
			w.looks.Add(1)
			gap.Reset(lookAgainAfter)
		}
	})
}

// Stop ends the watch.
func (w *tableWatch) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "watch of the table") }
