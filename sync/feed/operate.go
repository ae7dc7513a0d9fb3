package feed

import (
	"context"
	"errors"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Rows returns up to limit rows of the site's tickets above after, by id, as snapshot events. No row means the end.
type Rows func(ctx context.Context, after ticket.ID, limit int) ([]ticket.Event, error)

// snapshot is a snapshot under way.
type snapshot struct {
	rows  Rows
	after ticket.ID
}

// rowsAtOnce is how many rows of a snapshot join the window at a time, between the events of the feed.
const rowsAtOnce = 200

// Snapshot begins to publish all of the site's tickets, between the events of the feed. A restart of the daemon ends the
// snapshot.
func (c *Courier) Snapshot(ctx context.Context, rows Rows) error {
	return c.call(ctx, func(context.Context) {
		c.rows = &snapshot{rows: rows}
		c.stats.rows.Store(0)
		c.stats.gap.Store(0)
		c.stats.snapshot.Store(true)
	})
}

// fillRows adds rows of the snapshot to the window.
func (c *Courier) fillRows(ctx context.Context) error {
	if c.rows == nil || len(c.window.items) >= c.opts.Batch {
		return nil
	}
	events, err := c.rows.rows(ctx, c.rows.after, rowsAtOnce)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		c.rows = nil
		c.stats.snapshot.Store(false)
		c.opts.Log.Info().Int64("rows", c.stats.rows.Load()).Msg("the snapshot is complete")
		return nil
	}
	after, rows := events[len(events)-1].Ticket, len(events)
	if events, err = c.view(ctx, events); err != nil {
		return err
	}
	c.rows.after = after
	c.stats.rows.Add(int64(rows))
	for i := range events {
		c.window.items = append(c.window.items, &item{event: events[i]})
	}
	return nil
}

// Test publishes a test event and returns the destination's answer. It works also while another daemon's courier serves the
// destination, or while the destination is paused.
func (c *Courier) Test(ctx context.Context, by string) error {
	now := time.Now()
	event := ticket.Event{
		Kind: ticket.EventTest, Number: uint64(now.UnixMicro()), At: now, Recorded: now, By: by,
		Note: "a test event: no ticket has changed",
	}
	answer := make(chan Verdict, 1)
	if err := c.call(ctx, func(work context.Context) {
		until, cancel := context.WithCancel(work)
		defer context.AfterFunc(ctx, cancel)()
		defer cancel()
		verdicts := c.publisher.Publish(until, []ticket.Event{event})
		if len(verdicts) != 1 {
			verdicts = []Verdict{{Err: errNoReason}}
		}
		answer <- verdicts[0]
	}); err != nil {
		return err
	}
	select {
	case v := <-answer:
		if v.Decision == Confirmed {
			return nil
		}
		return errors.Join(v.Err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Resume ends the pauses: the destination is tried at once, with an event, as an endpoint that has unsubscribed has no other way
// to take events again.
func (c *Courier) Resume(ctx context.Context) error {
	return c.call(ctx, func(context.Context) {
		if c.trouble.paused {
			c.trouble.paused, c.trouble.down = false, true
		}
		c.trouble.until = time.Time{}
		for _, f := range c.failing {
			f.until = time.Time{}
		}
		c.held.stale()
		for _, t := range c.held.tickets {
			t.until = time.Time{}
		}
		c.lease.reread.Store(true)
	})
}

// call runs f on the loop.
func (c *Courier) call(ctx context.Context, f func(context.Context)) error {
	select {
	case c.calls <- f:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
