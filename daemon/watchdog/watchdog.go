package watchdog

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

// looks is the number of checks of the parts within the supervisor's timeout.
const looks = 3

// Part is a part of the daemon that must progress.
type Part struct {
	// Name is for the log.
	Name string
	// Within is the longest time of a step.
	Within time.Duration
	// Moved returns whether the part has progressed since the last call. Moved may take until ctx ends.
	Moved func(ctx context.Context) bool
}

// Watchdog checks the parts and reports. Start and Stop are idempotent.
type Watchdog struct {
	parts func() []Part
	every time.Duration
	alive func()
	log   zerolog.Logger
	loop  lifecycle.Loop
}

// New returns a watchdog that calls alive three times within the supervisor's timeout while no part is stuck, from Start on. At
// each check parts returns the present parts.
func New(parts func() []Part, timeout time.Duration, alive func(), log zerolog.Logger) *Watchdog {
	return &Watchdog{parts: parts, every: timeout / looks, alive: alive, log: log}
}

// Start begins to check the parts.
func (w *Watchdog) Start(ctx context.Context) { w.loop.Start(ctx, w.run) }

// Stop ends the checks. The caller must have told the supervisor that the daemon stops.
func (w *Watchdog) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "watchdog") }

func (w *Watchdog) run(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	before := w.progress(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		fit := true
		before = w.progress(before)
		for i := range before {
			p := before[i]
			if w.moved(ctx, &p.Part) {
				p.last = time.Now()
			}
			still := time.Since(p.last)
			if now := still > p.Within; now != p.stuck {
				p.stuck = now
				w.tell(&p.Part, still, now)
			}
			fit = fit && !p.stuck
		}
		if fit && ctx.Err() == nil {
			w.alive()
		}
	}
}

// watched is a part and its progress.
type watched struct {
	Part

	last  time.Time // when the part progressed
	stuck bool
}

// progress returns the present parts with their progress so far. A new part has its whole time.
func (w *Watchdog) progress(before []*watched) []*watched {
	known := make(map[string]*watched, len(before))
	for _, p := range before {
		known[p.Name] = p
	}
	parts := w.parts()
	now := make([]*watched, len(parts))
	for i := range parts {
		now[i] = &watched{Part: parts[i], last: time.Now()}
		if had := known[parts[i].Name]; had != nil {
			now[i].last, now[i].stuck = had.last, had.stuck
		}
	}
	return now
}

// moved asks a part, until the next check at most.
func (w *Watchdog) moved(ctx context.Context, p *Part) bool {
	ctx, cancel := context.WithTimeout(ctx, w.every)
	defer cancel()
	return p.Moved(ctx)
}

func (w *Watchdog) tell(p *Part, still time.Duration, stuck bool) {
	if stuck {
		w.log.Error().Str("part", p.Name).Dur("still", still).
			Msg("a part of the daemon is stuck: the watchdog stops reporting, so the supervisor restarts the daemon")
		return
	}
	w.log.Info().Str("part", p.Name).Msg("the stuck part progresses again")
}

// Counter makes Moved of a number that changes with each progress of the part.
func Counter(count func() int64) func(context.Context) bool {
	last := count()
	return func(context.Context) bool {
		now := count()
		moved := now != last
		last = now
		return moved
	}
}
