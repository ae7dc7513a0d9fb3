package couriers

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/store"
)

// Keeping are the settings of a site's feed.
type Keeping struct {
	// On switches the feed on. Without On the feed is switched off, unless another host's couriers are at work.
	On bool
	// MaxEvents and MaxBytes bound what the store keeps.
	MaxEvents, MaxBytes int64
	// For is for how long the feed keeps events that all destinations have.
	For time.Duration
}

const (
	// trimEvery is how often the events that all destinations have are removed.
	trimEvery = 5 * time.Second
	// measureEvery is how many trims there are for each look at the feed's size.
	measureEvery = 2
	// leastEvents are kept, however large they are.
	leastEvents = 1000
)

// Keep sets the settings, which the store gets as soon as it answers.
func (c *Couriers) Keep(k Keeping) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keeping, c.has = k, nil
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// keep switches the feed, removes the events that all destinations have, and keeps the feed within its bounds.
func (c *Couriers) keep(ctx context.Context) {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := c.keepOnce(ctx, n); err != nil && ctx.Err() == nil {
			c.opts.Log.Debug().Err(err).Msg("the feed cannot be trimmed")
		}
		select {
		case <-ticker.C:
		case <-c.changed:
		case <-ctx.Done():
			return
		}
	}
}

func (c *Couriers) keepOnce(ctx context.Context, n int) error {
	c.mu.Lock()
	k, has := c.keeping, c.has
	c.mu.Unlock()
	want := store.FeedSwitch{On: k.On, MaxEvents: k.MaxEvents, MaxBytes: k.MaxBytes}
	switch {
	case !k.On && has != nil: // a site without a feed costs nothing
		return nil
	case !k.On:
		if needed, err := c.neededElsewhere(ctx); err != nil || needed {
			return err
		}
	case has != nil:
		want = *has
		if n%measureEvery == 0 {
			usage, err := c.opts.Feed.Usage(ctx)
			if err != nil {
				return err
			}
			if !usage.On { // the store was emptied
				has = nil
			}
			want.MaxEvents = bound(k, usage, want.MaxEvents)
			c.usage.Store(&usage)
		}
	}
	if has == nil || want != *has {
		if err := c.opts.Feed.Switch(ctx, want); err != nil {
			return err
		}
		c.settled(k, want)
	}
	if !k.On {
		return nil
	}
	return c.opts.Feed.Trim(ctx, k.For)
}

// settled notes what the store has of the settings.
func (c *Couriers) settled(k Keeping, has store.FeedSwitch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keeping == k {
		c.has = &has
	}
}

// neededElsewhere says whether this daemon leaves the feed's switch unchanged although its configuration needs no feed: the feed
// is off, or a courier or a client of another host reads the feed.
func (c *Couriers) neededElsewhere(ctx context.Context) (bool, error) {
	usage, err := c.opts.Feed.Usage(ctx)
	if err != nil {
		return false, err
	}
	needed := !usage.On
	if usage.On {
		all, err := c.opts.Feed.Destinations(ctx)
		if err != nil {
			return false, err
		}
		for _, d := range all {
			needed = needed || d.Owner != ""
		}
	}
	if needed {
		c.mu.Lock()
		k := c.keeping
		c.mu.Unlock()
		c.settled(k, store.FeedSwitch{})
	}
	return needed, nil
}

// bound is the number of events that fit into MaxBytes, by the size that the store reports of the present events. A bound near
// the present bound does not change.
func bound(k Keeping, usage store.FeedUsage, present int64) int64 {
	if usage.Events < leastEvents || usage.Bytes <= 0 {
		return present
	}
	const tenth = 10
	fits := min(k.MaxEvents, max(k.MaxBytes*usage.Events/usage.Bytes, leastEvents))
	if diff := fits - present; diff < present/tenth && diff > -present/tenth {
		return present
	}
	return fits
}
