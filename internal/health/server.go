package health

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

// State is what is known of a server.
type State string

// The states of a server; doc.go describes the transitions.
const (
	Unknown State = "unknown"
	Up      State = "up"
	Down    State = "down"
)

// ErrDown is the error of callers while the server is known to be down.
var ErrDown = errors.New("the server does not answer, as found a moment ago")

// Options of a server.
type Options struct {
	// Name names the kind of server to operators, e.g. MySQL; Address is the server's own.
	Name, Address string
	// Idle is after how long without an answer the prober asks a server that is up.
	Idle time.Duration
	// Patience bounds a question of the prober.
	Patience time.Duration
	// Longest bounds the least time of an outage of a server that comes and goes.
	Longest time.Duration
	Log     zerolog.Logger
}

// Asker asks a server something cheap; connect says that an open connection proves too little. An answer of the server, with
// whatever words, is no error.
type Asker func(ctx context.Context, connect bool) error

// The pauses between trials of a server that is down, and the least time between two questions because of a doubt.
const (
	firstTrial = 100 * time.Millisecond
	lastTrial  = time.Second
	leastGap   = 100 * time.Millisecond
)

// Server is the state of one server. All methods are safe for concurrent use, and a nil Server is never down. Start and Stop are
// idempotent.
type Server struct {
	opts Options
	wake chan struct{}
	loop lifecycle.Loop

	mu      sync.Mutex
	state   State
	since   time.Time
	reason  string
	heard   time.Time // when the server answered last
	tried   time.Time // when the last trial began
	trying  bool      // a trial is under way
	doubted bool
	damping Damping
	members []*member
}

// New returns a server in the state unknown.
func New(o Options) *Server {
	return &Server{
		opts: o, wake: make(chan struct{}, 1), state: Unknown, since: time.Now(), damping: Damping{Longest: o.Longest},
	}
}

// Join adds a caller of the server: ask asks on its behalf, and onUp runs, on the goroutine that found out, whenever the server
// has recovered. onUp must not block. leave ends the caller's part.
func (s *Server) Join(ask Asker, onUp func()) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &member{ask, onUp}
	s.members = append(slices.Clone(s.members), m)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.members = slices.DeleteFunc(slices.Clone(s.members), func(other *member) bool { return other == m })
	}
}

// member is a caller of the server.
type member struct {
	ask  Asker
	onUp func()
}

// State returns the server's state, since when it lasts, and why the server is down.
func (s *Server) State() (state State, since time.Time, reason string) {
	if s == nil {
		return Unknown, time.Time{}, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.since, s.reason
}

// IsDown tells whether the server is known to be down.
func (s *Server) IsDown() bool {
	state, _, _ := s.State()
	return state == Down
}

// Enter must be called before each connection to the server: the error, which wraps [ErrDown], forbids the connection. After a
// nil the caller must report the connection to [Server.Left].
func (s *Server) Enter() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Down {
		return nil
	}
	now := time.Now()
	if s.trying || s.damping.Held(now) || now.Sub(s.tried) < firstTrial {
		return &DownError{Reason: s.reason}
	}
	s.trying, s.tried = true, now
	return nil
}

// DownError is the error of a caller who was not let through. It wraps [ErrDown].
type DownError struct{ Reason string }

func (e *DownError) Error() string { return ErrDown.Error() + ": " + e.Reason }

// Unwrap lets [errors.Is] find [ErrDown].
func (e *DownError) Unwrap() error { return ErrDown }

// Left takes the outcome of a connection: nil also if the server answered with a refusal of this caller, an error if the server
// cannot be used by any caller. undecided says that the caller went away before the server could answer.
func (s *Server) Left(err error, undecided bool) {
	if s == nil {
		return
	}
	now := time.Now()
	s.mu.Lock()
	s.trying = false
	s.mu.Unlock()
	switch {
	case undecided:
		s.Doubt()
	case err != nil:
		s.lost(err, now)
	default:
		s.connected(now)
	}
}

// Answered notes that a statement was answered: a server that is up needs no question for a while.
func (s *Server) Answered() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
}

// Doubt makes the prober connect at once: a statement got no answer, which may concern that statement alone.
func (s *Server) Doubt() {
	if s == nil {
		return
	}
	s.mu.Lock()
	wanted := !s.doubted && s.state != Down // a server that is down is asked anyway
	s.doubted = s.doubted || wanted
	s.mu.Unlock()
	if wanted {
		s.nudge()
	}
}

func (s *Server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Server) lost(err error, now time.Time) {
	s.mu.Lock()
	before := s.state
	s.reason = err.Error()
	if before != Down {
		s.state, s.since = Down, now
		s.damping.Down(now)
	}
	sites := len(s.members)
	s.mu.Unlock()
	if before != Down {
		s.opts.Log.Error().Err(err).Str("server", s.opts.Address).Int("sites", sites).
			Msg(s.opts.Name + " does not answer: changes stay pending until it does")
		s.nudge()
	}
}

func (s *Server) connected(now time.Time) {
	s.mu.Lock()
	s.heard = now
	before, since := s.state, s.since
	if before == Up || before == Down && !s.damping.Up(now) {
		s.mu.Unlock()
		return
	}
	s.state, s.since, s.reason = Up, now, ""
	tell := s.members
	s.mu.Unlock()
	if before != Down {
		return
	}
	s.opts.Log.Info().Str("server", s.opts.Address).Stringer("away", now.Sub(since).Round(time.Millisecond)).
		Msg(s.opts.Name + " answers again")
	for _, m := range tell {
		m.onUp()
	}
}

// Start begins to ask.
func (s *Server) Start(ctx context.Context) { s.loop.Start(ctx, s.probe) }

// Stop ends the prober and waits for it, until ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	return s.loop.Stop(ctx, "prober of "+s.opts.Name+" at "+s.opts.Address)
}

// probe asks the server when it is idle, in doubt, or down.
func (s *Server) probe(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := firstTrial
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			pause = firstTrial
			timer.Reset(leastGap)
			continue
		case <-timer.C:
		}
		connect, due := s.due(time.Now())
		if due {
			s.ask(ctx, connect)
		}
		if !s.IsDown() {
			pause = firstTrial
			timer.Reset(s.untilIdle(time.Now()))
			continue
		}
		timer.Reset(pause)
		pause = min(2*pause, lastTrial)
	}
}

// due tells whether the prober must ask, and whether only a new connection counts.
func (s *Server) due(now time.Time) (connect, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connect = s.doubted || s.state != Up
	s.doubted = false
	if s.state == Down {
		if s.trying || s.damping.Held(now) {
			return true, false
		}
		s.trying, s.tried = true, now
	}
	return connect, connect || now.Sub(s.heard) >= s.opts.Idle
}

// untilIdle is how long the server may stay without a question.
func (s *Server) untilIdle(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doubted {
		return leastGap
	}
	return min(max(s.opts.Idle-now.Sub(s.heard), leastGap), s.opts.Idle)
}

// ask asks the server on behalf of one of its callers, for a connection of another caller each time.
func (s *Server) ask(ctx context.Context, connect bool) {
	s.mu.Lock()
	if len(s.members) == 0 {
		s.trying = false
		s.mu.Unlock()
		return
	}
	asker := s.members[0].ask
	if connect {
		s.members = append(slices.Clone(s.members[1:]), s.members[0])
	}
	s.mu.Unlock()
	asked, cancel := context.WithTimeout(ctx, s.opts.Patience)
	defer cancel()
	err := asker(asked, connect)
	if ctx.Err() != nil { // the daemon stops
		return
	}
	if !connect && err != nil { // an open connection may have been closed: only a new connection decides
		s.Doubt()
		return
	}
	s.Left(err, false)
}
