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
	SinkUnknown SinkState = "unknown" // neither a read nor a write has shown it yet
	SinkUp      SinkState = "up"
	SinkDown    SinkState = "down"
	SinkPaused  SinkState = "paused"
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
	// refused says that a write was refused since one was taken: a read that works is no proof then.
	refused bool
}

// set changes the state, and says which it was and whether it is another one; the reason is renewed in any case.
func (h *health) set(state SinkState, reason string, refused bool, now time.Time) (before SinkState, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason, h.refused = reason, refused
	if before = h.state; before == state {
		return before, false
	}
	h.state, h.since = state, now
	return before, true
}

// forget says that there is nothing left that was refused: the next look decides.
func (h *health) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = false
}

func (h *health) refuses() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
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

// note keeps the sink's state after a round and logs when it changes, once. A round that had nothing to bring proves nothing.
func (f *Flusher) note(moved Moved, err error) {
	if err == nil && moved.Flushed+moved.Dead == 0 {
		if !f.locked.any(time.Now()) { // what was refused is gone: another daemon has brought it
			f.stats.health.forget()
		}
		return
	}
	state, known := stateOf(err)
	if err != nil {
		f.stats.failures.Add(1)
	}
	if !known { // The store's trouble is reported where the store is watched.
		f.opts.Log.Debug().Err(err).Msg("a flush round failed")
		return
	}
	f.found(state, err, err != nil)
}

// Looked is told of each look at the sink's table beside the flusher's writes: what it found proves that the sink is up, or that
// it is not. After a write that the sink refused only another write proves that it is up.
func (f *Flusher) Looked(err error) {
	state, known := stateOf(err)
	if !known || err == nil && f.stats.health.refuses() {
		return
	}
	f.found(state, err, f.stats.health.refuses())
}

// stateOf is the state of the sink that a write or a look shows; known is false where it shows none.
func stateOf(err error) (state SinkState, known bool) {
	switch {
	case err == nil:
		return SinkUp, true
	case errors.Is(err, ErrSinkPaused), errors.Is(err, ErrSinkForeign):
		return SinkPaused, true
	case errors.Is(err, ErrLocked), errors.Is(err, ErrSinkDown):
		return SinkDown, true
	default:
		return "", false
	}
}

// found keeps the sink's state and logs it where it is another than before.
func (f *Flusher) found(state SinkState, err error, refused bool) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	before, changed := f.stats.health.set(state, reason, refused, time.Now())
	if !changed || before == SinkUnknown && state == SinkUp {
		return
	}
	switch {
	case state == SinkUp:
		f.opts.Log.Info().Msg("flushing to MySQL works again")
	case errors.Is(err, ErrSinkForeign):
		f.opts.Log.Error().Err(err).Msg("flushing is paused: what answers is not this site's table; changes stay pending in the store")
	case state == SinkPaused:
		f.opts.Log.Error().Err(err).Msg("flushing is paused: the table is missing or has changed; run 'ticketd migrate'; " +
			"changes stay pending in the store")
	default:
		f.opts.Log.Error().Err(err).Msg("MySQL does not take changes; they stay pending in the store until it is back")
	}
}
