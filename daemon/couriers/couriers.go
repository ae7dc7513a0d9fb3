// Package couriers runs the couriers of a site: one for each destination of the site's feed, the history included. It wakes them
// when the feed has new events, follows a changed configuration, and operates them for an operator.
package couriers

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
)

// Destination is a configured destination.
type Destination struct {
	Name, Kind string
	// Settings are the destination's settings as text: where they differ, the courier is made anew.
	Settings string
	// Open makes the publisher. A publisher with Start and Stop is started and stopped with its courier.
	Open func() (feed.Publisher, error)
	// View selects and completes the events for the destination. Optional.
	View func(context.Context, []ticket.Event) ([]ticket.Event, error)
	// GiveUp is for how long refused events are tried, and for how long the cursor stays after the destination left the
	// configuration.
	GiveUp time.Duration
}

// Options of the couriers of a site.
type Options struct {
	// Feed is the site's.
	Feed store.Feed
	// Rows returns the site's tickets for a snapshot.
	Rows feed.Rows
	Log  zerolog.Logger
}

// Couriers are the couriers of a site. Start and Stop are idempotent.
type Couriers struct {
	opts Options

	mu      sync.Mutex
	work    context.Context //nolint:containedctx // of the background work; nil before Start and after Stop
	running map[string]*running
	gone    map[string]time.Time // since when the upkeep finds no courier of a name that the configuration does not have
	keeping Keeping
	has     *store.FeedSwitch // what the store has of keeping; nil: not known
	changed chan struct{}     // of keeping
	usage   atomic.Pointer[store.FeedUsage]
	arrived chan struct{} // a destination

	waker  lifecycle.Loop
	keeper lifecycle.Loop
	upkeep lifecycle.Loop
}

// running is a destination with its courier.
type running struct {
	Destination
	courier   *feed.Courier
	publisher feed.Publisher
}

// loop is a publisher with work of its own.
type loop interface {
	Start(ctx context.Context)
	Stop(ctx context.Context) error
}

// New makes the couriers of a site, without a destination.
func New(opts Options) *Couriers {
	return &Couriers{opts: opts, running: map[string]*running{}, gone: map[string]time.Time{},
		changed: make(chan struct{}, 1), arrived: make(chan struct{}, 1)}
}

// Start starts the couriers.
func (c *Couriers) Start(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work != nil {
		return
	}
	c.work = ctx
	for _, r := range c.running {
		r.start(ctx)
	}
	c.keeper.Start(ctx, c.keep)
	c.waker.Start(ctx, c.wake)
	c.upkeep.StartEvery(ctx, upkeepEvery, c.forgetGone)
}

func (r *running) start(ctx context.Context) {
	if own, has := r.publisher.(loop); has {
		own.Start(ctx)
	}
	r.courier.Start(ctx)
}

func (r *running) stop(ctx context.Context) error {
	err := r.courier.Stop(ctx)
	if own, has := r.publisher.(loop); has {
		err = errors.Join(err, own.Stop(ctx))
	}
	return err
}

// Stop stops the couriers and waits for publications under way until ctx ends.
func (c *Couriers) Stop(ctx context.Context) error {
	err := errors.Join(c.waker.Stop(ctx, "feed"), c.upkeep.Stop(ctx, "destinations"),
		c.keeper.Stop(ctx, "feed's bounds"))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.work = nil
	return errors.Join(err, stopAll(ctx, slices.Collect(maps.Values(c.running))))
}

// stopAll stops couriers in parallel: a destination that hangs must not use up the others' time.
func stopAll(ctx context.Context, all []*running) error {
	errs := make([]error, len(all))
	var stopping sync.WaitGroup
	for i, r := range all {
		stopping.Go(func() { errs[i] = r.stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// Apply makes the destinations those of a configuration: new ones come, others go or change. A destination whose settings are the
// same is not interrupted. A cursor stays under the destination's name.
func (c *Couriers) Apply(ctx context.Context, destinations []Destination) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := map[string]Destination{}
	for _, d := range destinations {
		want[d.Name] = d
	}
	var gone []*running
	for name, r := range c.running {
		if d, stays := want[name]; !stays || d.Settings != r.Settings || d.Kind != r.Kind {
			gone = append(gone, r)
			delete(c.running, name)
		}
	}
	err := stopAll(ctx, gone)
	for name, d := range want {
		if c.running[name] != nil {
			continue
		}
		r := c.make(d)
		c.running[name] = r
		if c.work != nil {
			r.start(c.work) //nolint:contextcheck // the courier outlives the reload
		}
	}
	if len(c.running) > 0 {
		select {
		case c.arrived <- struct{}{}:
		default:
		}
	}
	return err
}

func (c *Couriers) make(d Destination) *running {
	log := c.opts.Log.With().Str("destination", d.Name).Logger()
	publisher, err := d.Open()
	if err != nil {
		log.Error().Err(err).Msg("the destination cannot be opened: its events wait in the feed")
		publisher = broken{err}
	}
	courier := feed.New(c.opts.Feed, publisher, feed.Options{Name: d.Name, View: d.View, GiveUp: d.GiveUp, Log: log})
	return &running{Destination: d, courier: courier, publisher: publisher}
}

// broken is the publisher of a destination that cannot be opened.
type broken struct{ err error }

func (b broken) Publish(_ context.Context, events []ticket.Event) []feed.Verdict {
	verdicts := make([]feed.Verdict, len(events))
	for i := range verdicts {
		verdicts[i] = feed.Verdict{Decision: feed.Paused, Err: b.err}
	}
	return verdicts
}

func (broken) Ordered() bool                 { return true }
func (b broken) Probe(context.Context) error { return b.err }
func (broken) Close() error                  { return nil }

const (
	// wakeGap is the least time between two wake-ups: events of that time are published together.
	wakeGap = 20 * time.Millisecond
	// wakePause is the pause after the store has failed to answer.
	wakePause = time.Second
	// upkeepEvery is how often the names of destinations are compared with the configuration.
	upkeepEvery = 10 * time.Minute
)

// wake wakes the couriers whenever the feed has new events, also of other hosts.
func (c *Couriers) wake(ctx context.Context) {
	for ctx.Err() == nil {
		if !c.any() {
			select {
			case <-c.arrived:
			case <-ctx.Done():
				return
			}
		}
		pause := wakeGap
		ends, err := c.ends(ctx)
		if err == nil {
			err = c.opts.Feed.Wait(ctx, ends)
		}
		if err != nil {
			pause = wakePause
		}
		c.each(func(r *running) { r.courier.Wake() })
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// any says whether there is a destination.
func (c *Couriers) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running) > 0
}

// Reread makes all couriers compare their cursors with the store's: the store may be another process now.
func (c *Couriers) Reread() { c.each(func(r *running) { r.courier.Reread() }) }

func (c *Couriers) each(f func(*running)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.running {
		f(r)
	}
}

// ends returns the cursors behind the newest events.
func (c *Couriers) ends(ctx context.Context) ([]store.Cursor, error) {
	ends := make([]store.Cursor, c.opts.Feed.Partitions())
	for p := range ends {
		var err error
		if ends[p], err = c.opts.Feed.End(ctx, p); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// named returns a destination; nil if the configuration has none of this name.
func (c *Couriers) named(name string) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[name]
}

// sorted returns the destinations by name.
func (c *Couriers) sorted() []*running {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.running), func(a, b *running) int { return cmp.Compare(a.Name, b.Name) })
}

// goneFor is for how long the cursor of a destination stays after its last courier. The destination's own give_up is gone with
// the destination.
const goneFor = 72 * time.Hour

// forgetGone removes the cursors of destinations that the configuration does not have any more, so that the feed keeps no events
// for them. A client that reads the feed under a name of its own loses its place in the same way.
func (c *Couriers) forgetGone(ctx context.Context) {
	all, err := c.opts.Feed.Destinations(ctx)
	if err != nil {
		return
	}
	now := time.Now()
	for name, d := range all {
		since, known := c.gone[name]
		switch {
		case c.named(name) != nil, d.Owner != "":
			delete(c.gone, name)
		case !known:
			c.gone[name] = now
		case now.Sub(since) >= goneFor:
			if err := c.opts.Feed.Forget(ctx, name); err == nil {
				delete(c.gone, name)
				c.opts.Log.Warn().Str("destination", name).Time("since", since).
					Msg("no daemon serves this destination any more: its cursor and its letters are removed")
			}
		}
	}
}
