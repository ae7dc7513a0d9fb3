package flush

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/health"
)

// SinkState is how the flusher finds the sink.
type SinkState string

// The states of a sink; doc.go describes the transitions.
const (
	SinkUnknown SinkState = "unknown" // no read and no write has shown a state yet
	SinkUp      SinkState = "up"
	SinkDown    SinkState = "down"
	SinkPaused  SinkState = "paused"
)

// Stats counts a flusher's work since New.
type Stats struct {
	rows, dead, failures, turns atomic.Int64
	health                      condition
	server                      *health.Server
}

// condition is the sink's state, with its start and its reason.
type condition struct {
	mu     sync.Mutex
	state  SinkState
	since  time.Time
	reason string
	// refused says that the sink rejected a write and has taken no write since: then a read that works is no proof.
	refused bool
	// said is the fault that the log has named last, empty while the log has none open; misses counts the failures in a row.
	said   SinkState
	misses int
}

// set changes the state. set always renews the reason.
func (h *condition) set(state SinkState, reason string, refused bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason, h.refused = reason, refused
	if h.state != state {
		h.state, h.since = state, now
	}
}

// forget notes that no rejected change is left: the next look decides.
func (h *condition) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = false
}

func (h *condition) refuses() bool {
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

// Turns is how often the loop has run. An idle flusher's count grows with each [Options.LongestPoll] at the latest; if the sink
// is unreachable, the count grows with each [Options.MaxPause] at the latest.
func (s *Stats) Turns() int64 { return s.turns.Load() }

// Sink returns the sink's state, with its start and its reason. A sink whose server is down is down, whatever the last write
// says.
func (s *Stats) Sink() (state SinkState, since time.Time, reason string) {
	if state, since, reason := s.server.State(); state == health.Down {
		return SinkDown, since, reason
	}
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.state, s.health.since, s.health.reason
}

// Stats returns the flusher's counters, which continue to count.
func (f *Flusher) Stats() *Stats { return &f.stats }

// note keeps the sink's state after a round and logs a change of the state once. A round without tickets proves no state.
func (f *Flusher) note(moved Moved, err error) {
	if err == nil && moved.Flushed+moved.Dead == 0 {
		if !f.locked.any(time.Now()) { // no refused change is left: another daemon has flushed the change
			f.stats.health.forget()
		}
		return
	}
	state, known := stateOf(err)
	if err != nil {
		f.stats.failures.Add(1)
	}
	if !known { // the store's own watch reports an error of the store
		f.opts.Log.Debug().Err(err).Msg("a flush round failed")
		return
	}
	f.found(state, err, err != nil)
}

// Looked takes the result of each look at the sink's table beside the flusher's writes: the result proves that the sink is up or
// not up. After a write that the sink rejected, only another write proves that the sink is up.
func (f *Flusher) Looked(err error) {
	state, known := stateOf(err)
	if !known || err == nil && f.stats.health.refuses() {
		return
	}
	f.found(state, err, f.stats.health.refuses())
}

// stateOf is the sink's state that a write or a look shows; known is false if the error shows no state.
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

// found keeps the sink's state, and logs a fault of this sink once, and its end.
func (f *Flusher) found(state SinkState, err error, refused bool) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	f.stats.health.set(state, reason, refused, time.Now())
	switch said, news := f.stats.health.news(state, f.opts.Server); {
	case !news:
	case state == SinkUp:
		f.opts.Log.Info().Str("was", string(said)).Msg("flushing to MySQL works again")
	case errors.Is(err, ErrSinkForeign):
		f.opts.Log.Error().Err(err).Msg("flushing is paused: the table that answers is not this site's table; " +
			"changes stay pending in the store")
	case state == SinkPaused:
		f.opts.Log.Error().Err(err).Msg("flushing is paused: the table is missing or has changed; run 'ticketd migrate'; " +
			"changes stay pending in the store")
	default:
		f.opts.Log.Error().Err(err).Msg("MySQL takes no changes; the changes stay pending in the store until MySQL recovers")
	}
}

// news tells whether the log must name a state that was found, and which fault the log has named last. The server's own line
// names an outage of the server. So a first failure waits for the second: a statement may have lost its connection in such an
// outage.
func (h *condition) news(state SinkState, server *health.Server) (said SinkState, news bool) {
	const enough = 2
	h.mu.Lock()
	defer h.mu.Unlock()
	said = h.said
	switch {
	case state == SinkUp:
		h.said, h.misses = "", 0
		return said, said != ""
	case state == said:
		return said, false
	case state == SinkDown && server != nil:
		if server.IsDown() {
			return said, false
		}
		if h.misses++; h.misses < enough {
			return said, false
		}
	}
	h.said = state
	return said, true
}

// any says whether a row is known to be locked.
func (l *locked) any(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.rows {
		if now.Before(p.until.Add(forgetLocked)) {
			return true
		}
		delete(l.rows, id)
	}
	return false
}
