package flush

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Options of a flusher. Durations are above zero, Batch is 1 to 1,000.
type Options struct {
	// Batch is the most tickets of one round.
	Batch int
	// Lease hides claimed tickets from other flushers; longer than the slowest round.
	Lease time.Duration
	// Gap is the least time between the starts of two rounds, unless the first round was full. Gap keeps a stream of single due
	// tickets from becoming a stream of single-row statements.
	Gap time.Duration
	// Poll is how often the flusher asks the queue when no ticket is known to be due: so the claims of a crashed daemon come back.
	// While no ticket is due, Poll doubles up to LongestPoll: a daemon may have hundreds of idle sites.
	Poll, LongestPoll time.Duration
	// MaxPause bounds the pauses between tries while the sink is unreachable.
	MaxPause time.Duration
	// Patience is how long [Flusher.Flush] continues while the sink takes no ticket. The flusher cuts off a batch without an answer
	// after five times as long. Zero: as long as the caller waits.
	Patience time.Duration
	// Refresh reads the sink's table definition again when the sink is paused. Optional.
	Refresh func(context.Context) error
	// Server is the state of the sink's server, which logs the outages of the server itself. Optional.
	Server *health.Server
	Log    zerolog.Logger
}

// Queue is a [store.Queue] that can drop a change.
type Queue interface {
	store.Queue
	// Drop is that of [store.DeadLetters].
	Drop(ctx context.Context, ids []ticket.ID) (int, error)
}

// Flusher moves due tickets from a queue to a sink. Start and Stop are idempotent.
type Flusher struct {
	queue Queue
	sink  Sink
	opts  Options
	stats Stats

	locked  locked
	repeats zerolog.Logger // limited, for messages that may repeat for each ticket or each round

	planned planned
	nudge   chan struct{}
	again   chan struct{} // ends a pause
	loop    lifecycle.Loop

	hurry     chan struct{} // closed by Hurry
	hurryOnce sync.Once
}

// In each repeatPeriod the log names at most maxRepeats parked tickets: a table that rejects all tickets would fill the log.
const (
	maxRepeats   = 20
	repeatPeriod = 10 * time.Second
)

// New makes a flusher. Flush works before Start; the loop does not run.
func New(queue Queue, sink Sink, opts Options) *Flusher {
	f := &Flusher{queue: queue, sink: sink, opts: opts, nudge: make(chan struct{}, 1), again: make(chan struct{}, 1),
		hurry: make(chan struct{})}
	f.repeats = logs.Limited(opts.Log, maxRepeats, repeatPeriod)
	f.stats.health.set(SinkUnknown, "", false, time.Now())
	f.stats.server = opts.Server
	return f
}

// Start begins the loop, which ends with Stop or with ctx.
func (f *Flusher) Start(ctx context.Context) { f.loop.Start(ctx, f.run) }

// Stop ends the loop and waits for the round that is under way, until ctx ends.
func (f *Flusher) Stop(ctx context.Context) error { return f.loop.Stop(ctx, "flusher") }

// Wake tells the flusher that a change is due at that time.
func (f *Flusher) Wake(due time.Time) {
	if f.planned.pull(due) {
		select {
		case f.nudge <- struct{}{}:
		default:
		}
	}
}

// Retry ends the pause after a failed round: the sink's server answers again.
func (f *Flusher) Retry() {
	select {
	case f.again <- struct{}{}:
	default:
	}
}

// run runs rounds when a ticket is due, and at once after a full round. When the poll is due, run asks whether a ticket is.
func (f *Flusher) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	p := pace{poll: f.opts.Poll}
	for {
		f.stats.turns.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-f.nudge:
			p.poll = f.opts.Poll
			if p.pause == 0 { // while the sink is unreachable, new changes do not shorten the pause
				timer.Reset(max(time.Until(f.planned.at()), time.Until(p.last.Add(f.opts.Gap))))
			}
		case <-f.again:
			if p.pause > 0 {
				timer.Reset(0)
			}
		case <-timer.C:
			p.last = time.Now()
			f.planned.set(never) // a change from here on may be too late for this turn, and then plans the next
			t, err := f.turn(ctx, p.last)
			if ctx.Err() != nil {
				return
			}
			f.note(t.moved, err)
			next := f.next(ctx, &p, t, err)
			f.planned.pull(next)
			timer.Reset(time.Until(next)) // a change that was meanwhile planned has left a nudge
		}
	}
}

// pace is how fast the loop turns.
type pace struct {
	last  time.Time     // start of the last round
	pause time.Duration // above zero while the sink is unreachable
	poll  time.Duration // to the next question whether a ticket is due
}

// turn is what the loop found at a turn.
type turn struct {
	due   time.Time // of the next ticket; zero without a ticket
	isDue bool      // a ticket was due, so a round ran
	full  bool      // the round's claim was full
	moved Moved
}

// turn runs a round if a ticket is due.
func (f *Flusher) turn(ctx context.Context, now time.Time) (t turn, err error) {
	t.due, err = f.queue.NextDue(ctx)
	if t.isDue = err == nil && !t.due.IsZero() && !t.due.After(now); t.isDue {
		t.full, t.moved, err = f.round(ctx)
	}
	return t, err
}

// next returns when the next turn is, and changes the pace after a turn and its error.
func (f *Flusher) next(ctx context.Context, p *pace, t turn, err error) time.Time {
	now := time.Now()
	earliest := p.last.Add(f.opts.Gap)
	if err != nil && !errors.Is(err, ErrLocked) { // locked rows have a due time of their own
		p.pause = f.backOff(ctx, p.pause, err)
		return now.Add(p.pause)
	}
	p.pause = 0
	if t.isDue {
		p.poll = f.opts.Poll
		if t.full {
			return now
		}
		return earliest
	}
	next := p.last.Add(p.poll)
	if !t.due.IsZero() && t.due.Before(next) {
		next = t.due
		if next.Before(earliest) {
			next = earliest
		}
	}
	p.poll = max(min(2*p.poll, f.opts.LongestPoll), f.opts.Poll)
	return next
}

// round claims due tickets, once, and moves them. full says that the claim was full, so more tickets are likely to be due. The
// error wraps [ErrLocked] if locks kept the round from writing any ticket.
func (f *Flusher) round(ctx context.Context) (full bool, moved Moved, err error) {
	claims, err := f.queue.Claim(ctx, time.Now(), f.opts.Batch, f.opts.Lease)
	if err != nil {
		return false, Moved{}, err
	}
	fresh, again, early := f.locked.divide(time.Now(), claims)
	if len(early) > 0 { // a new change made the tickets due before the pause is over
		err = f.release(ctx, early)
	}
	if err == nil {
		moved, err = f.moveApart(ctx, fresh, again)
	}
	if err == nil && moved.Flushed+moved.Dead == 0 && len(fresh) > 0 {
		err = moved.lockedError()
	}
	return len(claims) >= f.opts.Batch, moved, err
}

// firstPause is the pause after the first failure; each further failure doubles the pause.
const firstPause = 100 * time.Millisecond

// backOff returns the pause before the next try, with jitter so that several daemons do not try in step.
func (f *Flusher) backOff(ctx context.Context, last time.Duration, err error) time.Duration {
	if errors.Is(err, ErrSinkPaused) && f.opts.Refresh != nil {
		if err := f.opts.Refresh(ctx); err != nil {
			f.repeats.Warn().Err(err).Msg("the table's definition cannot be read again")
		}
	}
	grown := min(max(2*last, firstPause), f.opts.MaxPause)
	return grown/2 + rand.N(grown/2+1)
}

// never is a time after all others.
var never = time.Unix(0, math.MaxInt64)

// planned is when the next round starts. The loop sets the time; writers may pull the time nearer.
type planned struct {
	nanos atomic.Int64
}

func (p *planned) set(t time.Time) { p.nanos.Store(t.UnixNano()) }

func (p *planned) at() time.Time { return time.Unix(0, p.nanos.Load()) }

// pull moves the next round to t if t is sooner, and says whether the round moved.
func (p *planned) pull(t time.Time) bool {
	for {
		at := p.nanos.Load()
		if t.UnixNano() >= at {
			return false
		}
		if p.nanos.CompareAndSwap(at, t.UnixNano()) {
			return true
		}
	}
}
