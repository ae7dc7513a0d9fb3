package feed

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Options of a courier. A zero value takes its default.
type Options struct {
	// Name is the destination's.
	Name string
	// Batch is the most events of one call of the publisher; default 500.
	Batch int
	// Lease is for how long a courier owns its destination without renewing; default 10 s. Another daemon's courier takes over
	// after that time.
	Lease time.Duration
	// Poll is how often a courier that is not woken reads the feed; default 250 ms.
	Poll time.Duration
	// FirstPause and MaxPause bound the pauses between tries; default 1 s and 5 min.
	FirstPause, MaxPause time.Duration
	// GiveUp is for how long a refused event is tried before it becomes a dead letter; default 72 h.
	GiveUp time.Duration
	// HoldAfter is for how long an event that fails, while other events pass, stays in the way of the cursor; default 1 min.
	HoldAfter time.Duration
	// View selects the events for the destination and completes them; nil passes all events. On an error the courier reads the same
	// events again later.
	View func(context.Context, []ticket.Event) ([]ticket.Event, error)
	Log  zerolog.Logger
}

func (o *Options) complete() {
	const (
		batch     = 500
		lease     = 10 * time.Second
		poll      = 250 * time.Millisecond
		maxPause  = 5 * time.Minute
		giveUp    = 72 * time.Hour
		holdAfter = time.Minute
	)
	o.Batch, o.Lease, o.Poll = cmp.Or(o.Batch, batch), cmp.Or(o.Lease, lease), cmp.Or(o.Poll, poll)
	o.FirstPause, o.MaxPause = cmp.Or(o.FirstPause, time.Second), cmp.Or(o.MaxPause, maxPause)
	o.GiveUp, o.HoldAfter = cmp.Or(o.GiveUp, giveUp), cmp.Or(o.HoldAfter, holdAfter)
}

// Courier brings a site's events to one destination. Start and Stop are idempotent. Of all couriers of a destination, on all
// hosts, the owner of the lease works; the others wait.
type Courier struct {
	source    Source
	publisher Publisher
	opts      Options
	token     string // proves that a cursor is moved by the owner of the lease
	repeats   zerolog.Logger

	// The loop alone uses these.
	window  window
	idle    bool // another courier, or an operator's pause, owns the destination
	trouble trouble
	failing map[ticket.ID]*failing
	held    held
	passes  int64 // events that the destination has confirmed
	rows    *snapshot

	lease lease
	nudge chan struct{}
	calls chan func(context.Context)
	loop  lifecycle.Loop
	stats stats
}

// lease is the courier's right to the destination. The loop and the renewal during a publication share it.
type lease struct {
	mu     sync.Mutex
	owned  bool
	asked  time.Time // of the last renewal
	reread atomic.Bool
}

// New makes a courier. The publisher is closed by [Courier.Stop].
func New(source Source, publisher Publisher, opts Options) *Courier {
	opts.complete()
	c := &Courier{
		source: source, publisher: publisher, opts: opts, token: rand.Text(),
		failing: map[ticket.ID]*failing{}, nudge: make(chan struct{}, 1), calls: make(chan func(context.Context), 1),
	}
	const burst = 10
	c.repeats = logs.Limited(opts.Log, burst, time.Minute)
	c.stats.set(StateWaiting, "", time.Now())
	return c
}

// Start begins the loop, which ends with Stop or with ctx.
func (c *Courier) Start(ctx context.Context) { c.loop.Start(ctx, c.run) }

// Stop ends the loop, waits for the publication that is under way until ctx ends, and gives the lease back.
func (c *Courier) Stop(ctx context.Context) error {
	err := c.loop.Stop(ctx, "courier of "+c.opts.Name)
	if err != nil {
		return err
	}
	if c.lease.give() {
		err = c.source.Release(ctx, c.opts.Name, c.token)
	}
	return errors.Join(err, c.publisher.Close())
}

// Wake tells the courier that the feed has new events.
func (c *Courier) Wake() {
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

// Reread makes the courier compare its cursors with the store's: the store may be another process now, which knows less.
func (c *Courier) Reread() {
	c.lease.reread.Store(true)
	c.Wake()
}

func (c *Courier) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-c.calls:
			do(ctx)
			timer.Reset(0)
			continue
		case <-c.nudge:
			if (c.trouble.is() || c.idle) && !c.lease.reread.Load() { // new events do not shorten a pause
				continue
			}
		case <-timer.C:
		}
		timer.Reset(c.turn(ctx))
	}
}

// turn does one step and returns the pause before the next.
func (c *Courier) turn(ctx context.Context) time.Duration {
	if err := c.own(ctx); err != nil {
		return c.withoutStore(ctx, err)
	}
	c.idle = false
	if err := c.fill(ctx); err != nil {
		return c.withoutStore(ctx, err)
	}
	c.measure()
	now := time.Now()
	if wait := c.trouble.until.Sub(now); wait > 0 {
		return min(wait, c.lease.renewal(c.opts.Lease))
	}
	if c.trouble.paused && !c.probe(ctx) {
		return 0
	}
	if err := c.setAside(ctx); err != nil {
		return c.withoutStore(ctx, err)
	}
	busy, wait := c.tryDue(ctx, now)
	if err := c.advance(ctx); err != nil {
		return c.withoutStore(ctx, err)
	}
	c.measure()
	if busy {
		return 0
	}
	if len(c.window.items) == 0 && len(c.held.tickets) == 0 {
		c.stats.set(StateUp, "", now)
	}
	return min(wait, c.held.wait(now), c.opts.Poll, c.lease.renewal(c.opts.Lease))
}

// tryDue publishes a wave and the held events that are due, and says whether there were any. Otherwise wait is the time until an
// event of the window is due.
func (c *Courier) tryDue(ctx context.Context, now time.Time) (busy bool, wait time.Duration) {
	wave, wait := c.wave(now)
	busy = len(wave) > 0
	switch {
	case busy:
		c.bring(ctx, wave)
	case len(c.held.tickets) > 0:
		c.trouble.down = false // held events alone can show whether the destination takes events
	default:
	}
	if !c.trouble.is() && !now.Before(c.trouble.until) { // the wave may have met a destination that asks for a pause
		busy = c.tryHeld(ctx) || busy
	}
	return busy, wait
}

// withoutStore returns the pause after the store, or a part of the site that a view reads, has failed.
func (c *Courier) withoutStore(ctx context.Context, err error) time.Duration {
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, store.ErrNotOwner):
		return c.withoutLease(ctx)
	default:
		c.stats.set(StateWaiting, err.Error(), time.Now())
		c.opts.Log.Debug().Err(err).Msg("the courier cannot read the feed")
	}
	return c.opts.FirstPause/2 + jitter(c.opts.FirstPause)
}

// withoutLease returns the pause until the courier tries again to own the destination: as the owner's lease ends, in case the
// owner has died.
func (c *Courier) withoutLease(ctx context.Context) time.Duration {
	c.lease.give()
	c.idle = true
	now := time.Now()
	pause := c.opts.Lease/2 + jitter(c.opts.Lease/2)
	all, err := c.source.Destinations(ctx)
	of := all[c.opts.Name]
	switch {
	case err == nil && of.Owner == StoppedToken:
		c.stats.set(StateStopped, "paused by an operator; 'ticketd feed resume "+c.opts.Name+"' ends the pause", now)
	default:
		c.stats.set(StateElsewhere, "another daemon's courier serves the destination", now)
		if err == nil {
			const twentieths = 20 // of a lease, so that not all couriers try at once
			pause = min(pause, max(of.Until.Sub(now), 0)) + jitter(c.opts.Lease/twentieths)
		}
	}
	return pause
}

// own renews the lease where it is time, and begins again from the store's cursors where they are not this courier's.
func (c *Courier) own(ctx context.Context) error {
	reread := c.lease.reread.Swap(false)
	if !reread && c.lease.renewal(c.opts.Lease) > 0 {
		return nil
	}
	cursors, err := c.source.Own(ctx, c.opts.Name, c.token, c.opts.Lease)
	if err != nil {
		if reread && !errors.Is(err, store.ErrNotOwner) {
			c.lease.reread.Store(true)
		}
		return err
	}
	took := c.lease.take()
	if took {
		c.window.forget()
	}
	if c.window.follow(c.source.Partitions(), cursors) {
		if !took {
			c.opts.Log.Info().Msg("the store's cursors are not the courier's: the courier continues from the store's")
		}
		clear(c.failing)
		c.held.stale()
	}
	return c.loadHeld(ctx)
}

// fill reads events until the window is full or the feed is at its end.
func (c *Courier) fill(ctx context.Context) error {
	for p := range c.window.parts {
		part := &c.window.parts[p]
		for !part.away && c.hasRoom() {
			at := part.read
			read, err := c.source.Events(ctx, p, at, c.opts.Batch)
			if err != nil && len(c.window.parts) > 1 && ctx.Err() == nil {
				part.away = true // until the next renewal; the other partitions' events go on
				break
			}
			if err != nil {
				return err
			}
			if read.Next == at {
				break
			}
			if again, err := c.jumps(ctx, at, &read); again || err != nil {
				return err
			}
			c.countGaps(read.Events)
			if err := c.forgetErased(ctx, read.Events); err != nil {
				return err
			}
			events, err := c.view(ctx, read.Events)
			if err != nil {
				return err
			}
			c.window.add(p, &read, events)
		}
	}
	return c.fillRows(ctx)
}

// hasRoom says whether the window takes another page.
func (c *Courier) hasRoom() bool {
	n := len(c.window.items)
	return n < c.opts.Batch || len(c.failing) > 0 && n < windowBatches*c.opts.Batch
}

// windowBatches bounds the window while some tickets wait for their next try: other tickets pass meanwhile.
const windowBatches = 4

func (c *Courier) view(ctx context.Context, events []ticket.Event) ([]ticket.Event, error) {
	if c.opts.View == nil || len(events) == 0 {
		return events, nil
	}
	return c.opts.View(ctx, events)
}

// jumps handles a page whose first number does not follow the cursor's: the store may have gone back in time, with its cursors.
// again says that the courier begins again from the store's cursors. Otherwise the missing events were erased.
func (c *Courier) jumps(ctx context.Context, at store.Cursor, read *store.FeedPage) (again bool, err error) {
	if at == "" || len(read.Events) == 0 || !read.Events[0].Ticket.Valid() || read.Events[0].Number == at.Number()+1 {
		return false, nil
	}
	cursors, err := c.source.Own(ctx, c.opts.Name, c.token, c.opts.Lease)
	if err != nil || !c.window.follow(len(c.window.parts), cursors) {
		return false, err
	}
	clear(c.failing)
	return true, nil
}

// countGaps reports the events that the destination will not get.
func (c *Courier) countGaps(events []ticket.Event) {
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case ticket.EventGap:
			c.stats.gaps.Add(1)
			c.stats.gap.Store(time.Now().UnixMilli())
			c.stats.lost.Add(int64(e.Lost)) //nolint:gosec // a count of events
			c.repeats.Error().Int("partition", e.Partition).Uint64("first", e.First).Uint64("last", e.Last).
				Msg("the destination was behind for longer than the feed keeps events: it has missed events; " +
					"run 'ticketd feed snapshot " + c.opts.Name + "'")
		case ticket.EventReset:
			c.stats.gaps.Add(1)
			c.stats.gap.Store(time.Now().UnixMilli())
			c.repeats.Error().Str("why", e.Note).Msg("the destination may have missed events; " +
				"run 'ticketd feed snapshot " + c.opts.Name + "'")
		default:
		}
	}
}

// advance moves the store's cursors behind the events that are resolved.
func (c *Courier) advance(ctx context.Context) error {
	for p := range c.window.parts {
		upTo := c.window.parts[p].passed()
		if upTo == c.window.parts[p].stored || c.window.parts[p].away {
			continue
		}
		err := c.source.Advance(ctx, c.opts.Name, c.token, p, upTo)
		switch {
		case err == nil:
		case errors.Is(err, store.ErrNotOwner), len(c.window.parts) == 1:
			return err
		default:
			c.window.parts[p].away = true
			continue
		}
		c.window.advanced(p, upTo)
	}
	return nil
}

// take notes a renewal and says whether the courier did not own the destination before.
func (l *lease) take() (took bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	took = !l.owned
	l.owned, l.asked = true, time.Now()
	return took
}

// give notes that the courier does not own the destination any more, and says whether it did.
func (l *lease) give() (had bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had = l.owned
	l.owned = false
	return had
}

// renewal is the time until the next renewal; zero if the courier does not own the destination.
func (l *lease) renewal(of time.Duration) time.Duration {
	const thirds = 3
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.owned {
		return 0
	}
	return max(time.Until(l.asked.Add(of/thirds)), 0)
}
