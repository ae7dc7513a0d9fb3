package feed

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/store"
)

// State is how a courier finds its destination.
type State string

// The states of a destination.
const (
	StateUp        State = "up"        // takes events
	StateRetrying  State = "retrying"  // confirmed no event at the last try
	StatePaused    State = "paused"    // takes no event until its fault is corrected
	StateStopped   State = "stopped"   // paused by an operator
	StateElsewhere State = "elsewhere" // served by another daemon's courier
	StateWaiting   State = "waiting"   // the store, or MySQL, does not answer; also before the first turn
)

// Status describes a destination.
type Status struct {
	State  State
	Reason string
	Since  time.Time
	// Behind counts the events that the destination has not confirmed, by the store's numbers; Oldest is when the oldest of these
	// events entered the feed, zero without such an event.
	Behind uint64
	Oldest time.Time
	// Confirmed, Refused and Later count the answers since the start.
	Confirmed, Refused, Later int64
	// Gaps counts the gaps, Lost the events that are missing there. Gap is when the last gap was found; zero without a gap since the
	// start, or since the last snapshot.
	Gaps, Lost int64
	Gap        time.Time
	// Letters counts the dead letters, Held the letters that are still tried.
	Letters, Held int64
	// Rows counts the rows that a snapshot under way has published; Snapshot says that there is one.
	Rows     int64
	Snapshot bool
}

type stats struct {
	mu     sync.Mutex
	now    State
	reason string
	since  time.Time
	oldest time.Time
	places []placing // nil while unknown

	confirmed, refused, later, gaps, lost, letters, held, rows atomic.Int64
	snapshot                                                   atomic.Bool
	gap                                                        atomic.Int64 // in ms since 1970; 0: none
}

// placing is how far the destination has come in a partition; base is the number of the last event before the oldest one that the
// feed had, where the destination has begun there.
type placing struct {
	at   store.Cursor
	base uint64
}

func (s *stats) set(state State, reason string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != state {
		s.now, s.since = state, at
	}
	s.reason = reason
}

func (s *stats) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// measure notes how far the destination has come.
func (c *Courier) measure() {
	var oldest time.Time
	if len(c.window.items) > 0 {
		oldest = c.window.items[0].event.Recorded
	}
	places := make([]placing, len(c.window.parts))
	for i := range c.window.parts {
		p := &c.window.parts[i]
		places[i] = placing{p.passed(), p.base}
	}
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	c.stats.oldest, c.stats.places = oldest, places
}

// Status describes the destination. ends are the cursors behind the newest events of the partitions; nil if they are not known.
func (c *Courier) Status(ends []store.Cursor) Status {
	s := &c.stats
	s.mu.Lock()
	status := Status{State: s.now, Reason: s.reason, Since: s.since, Oldest: s.oldest}
	for i := range min(len(ends), len(s.places)) {
		if !s.places[i].at.Reached(ends[i]) {
			status.Behind += ends[i].Number() - min(max(s.places[i].at.Number(), s.places[i].base), ends[i].Number())
		}
	}
	s.mu.Unlock()
	status.Confirmed, status.Refused, status.Later = s.confirmed.Load(), s.refused.Load(), s.later.Load()
	status.Gaps, status.Lost = s.gaps.Load(), s.lost.Load()
	if at := s.gap.Load(); at != 0 {
		status.Gap = time.UnixMilli(at)
	}
	status.Letters, status.Held = s.letters.Load(), s.held.Load()
	status.Rows, status.Snapshot = s.rows.Load(), s.snapshot.Load()
	return status
}

// Passed says whether the destination has everything up to the given cursors of the partitions.
func (c *Courier) Passed(ends []store.Cursor) bool {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	if len(c.stats.places) != len(ends) {
		return false
	}
	for i, end := range ends {
		if !c.stats.places[i].at.Reached(end) {
			return false
		}
	}
	return true
}
