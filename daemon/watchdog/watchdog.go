package watchdog

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

// looks is how often the parts are looked at in the time after which the supervisor gives up.
const looks = 3

// Part is a piece of the daemon that has to get on.
type Part struct {
	// Name is for the log.
	Name string
	// Within is how long it may take over one step.
	Within time.Duration
	// Moved says whether it has got on since it was last asked. It may take until ctx ends.
	Moved func(ctx context.Context) bool
}

// Watchdog looks at the parts and reports. Start and Stop are idempotent.
type Watchdog struct {
	parts []Part
	every time.Duration
	alive func()
	log   zerolog.Logger
	loop  lifecycle.Loop
}

// New makes a watchdog that calls alive three times within timeout, the supervisor's, while no part is stuck. It does nothing
// before Start.
func New(parts []Part, timeout time.Duration, alive func(), log zerolog.Logger) *Watchdog {
	return &Watchdog{parts: parts, every: timeout / looks, alive: alive, log: log}
}

// Start begins to look.
func (w *Watchdog) Start(ctx context.Context) { w.loop.Start(ctx, w.run) }

// Stop ends it; the supervisor must have been told that the daemon stops.
func (w *Watchdog) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "watchdog") }

func (w *Watchdog) run(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	moved, stuck := make([]time.Time, len(w.parts)), make([]bool, len(w.parts))
	for i := range moved {
		moved[i] = time.Now()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		fit := true
		for i := range w.parts {
			p := &w.parts[i]
			if w.moved(ctx, p) {
				moved[i] = time.Now()
			}
			still := time.Since(moved[i])
			if now := still > p.Within; now != stuck[i] {
				stuck[i] = now
				w.tell(p, still, now)
			}
			fit = fit && !stuck[i]
		}
		if fit && ctx.Err() == nil {
			w.alive()
		}
	}
}

// moved asks one part, for no longer than to the next look.
func (w *Watchdog) moved(ctx context.Context, p *Part) bool {
	ctx, cancel := context.WithTimeout(ctx, w.every)
	defer cancel()
	return p.Moved(ctx)
}

func (w *Watchdog) tell(p *Part, still time.Duration, stuck bool) {
	if stuck {
		w.log.Error().Str("part", p.Name).Dur("ms", still).
			Msg("a part of the daemon is stuck: the supervisor is no longer told that all is well, so that it restarts the daemon")
		return
	}
	w.log.Info().Str("part", p.Name).Msg("the part that was stuck goes on")
}

// Counter makes Moved of a number that changes whenever the part gets on.
func Counter(count func() int64) func(context.Context) bool {
	last := count()
	return func(context.Context) bool {
		now := count()
		moved := now != last
		last = now
		return moved
	}
}
