package flush

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// SinkState is how the flusher finds the sink.
type SinkState string

// The states of a sink; doc.go says what moves it between them.
const (
	SinkUp     SinkState = "up"
	SinkDown   SinkState = "down"
	SinkPaused SinkState = "paused"
)

// Stats counts what a flusher did since it was made.
type Stats struct {
	rows, dead, failures, turns atomic.Int64
	health                      health
}

// health is the sink's state, since when, and why.
type health struct {
	mu     sync.Mutex
	state  SinkState
	since  time.Time
	reason string
}

// set changes the state and says whether it is another one; the reason is renewed in any case.
func (h *health) set(state SinkState, reason string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason = reason
	if h.state == state {
		return false
	}
	h.state, h.since = state, now
	return true
}

// Rows is the number of tickets that the sink confirmed.
func (s *Stats) Rows() int64 { return s.rows.Load() }

// Dead is the number of tickets that were parked.
func (s *Stats) Dead() int64 { return s.dead.Load() }

// Failures is the number of rounds that failed.
func (s *Stats) Failures() int64 { return s.failures.Load() }

// Turns is how often the loop came round. An idle flusher's grows with each [Options.Poll], that of one whose sink is away with
// each [Options.MaxPause] at the latest.
func (s *Stats) Turns() int64 { return s.turns.Load() }

// Sink returns the sink's state, since when it is in it, and why.
func (s *Stats) Sink() (state SinkState, since time.Time, reason string) {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.state, s.health.since, s.health.reason
}

// Stats returns the flusher's counters, which go on counting.
func (f *Flusher) Stats() *Stats { return &f.stats }

// note keeps the sink's state after a round and logs when it changes, once.
func (f *Flusher) note(moved Moved, err error) {
	state, reason := SinkUp, ""
	switch {
	case err == nil:
		if moved.Flushed+moved.Dead == 0 && f.locked.any(time.Now()) { // nothing was tried that says more than the last time
			return
		}
	case errors.Is(err, ErrLocked):
		state, reason = SinkDown, err.Error()
	case errors.Is(err, ErrSinkPaused), errors.Is(err, ErrSinkForeign):
		state, reason = SinkPaused, err.Error()
	case errors.Is(err, ErrSinkDown):
		state, reason = SinkDown, err.Error()
	default: // The store's trouble is reported where the store is watched.
		f.stats.failures.Add(1)
		f.opts.Log.Debug().Err(err).Msg("a flush round failed")
		return
	}
	if err != nil {
		f.stats.failures.Add(1)
	}
	if !f.stats.health.set(state, reason, time.Now()) {
		return
	}
	switch {
	case state == SinkUp:
		f.opts.Log.Info().Msg("flushing to MySQL works again")
	case errors.Is(err, ErrSinkForeign):
		f.opts.Log.Error().Err(err).Msg("flushing is paused: what answers is not this site's table; changes wait in the store")
	case state == SinkPaused:
		f.opts.Log.Error().Err(err).Msg("flushing is paused: the table is missing or has changed; run 'ticketd migrate'; " +
			"changes wait in the store")
	default:
		f.opts.Log.Error().Err(err).Msg("MySQL does not take changes; they wait in the store until it is back")
	}
}
