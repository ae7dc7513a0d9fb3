// Package logs writes the log in the form that its reader needs, and limits repeated log events.
package logs

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Limited returns a logger that writes burst events in each period, over all levels and messages. The field "suppressed" of
// the next written event counts the events left out.
func Limited(log zerolog.Logger, burst int, period time.Duration) zerolog.Logger {
	return limited(log, &limit{burst: burst, period: period, now: time.Now})
}

func limited(log zerolog.Logger, l *limit) zerolog.Logger { return log.Sample(l).Hook(l) }

// limit counts the events of a logger.
type limit struct {
	burst  int
	period time.Duration
	now    func() time.Time

	mu         sync.Mutex
	until      time.Time
	left       int
	suppressed int64
}

// Sample implements [zerolog.Sampler].
func (l *limit) Sample(zerolog.Level) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); !now.Before(l.until) {
		l.until, l.left = now.Add(l.period), l.burst
	}
	if l.left == 0 {
		l.suppressed++
		return false
	}
	l.left--
	return true
}

// Run implements [zerolog.Hook].
func (l *limit) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.suppressed > 0 {
		e.Int64("suppressed", l.suppressed)
		l.suppressed = 0
	}
}
