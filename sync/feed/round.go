package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// trouble is a fault of the destination as a whole.
type trouble struct {
	down   bool      // no event of the last wave was confirmed
	paused bool      // the destination says that it takes no event
	until  time.Time // also where the destination takes events, and has asked for a pause
	pause  time.Duration
	probes int
}

func (t *trouble) is() bool { return t.down || t.paused }

// failing is a ticket whose event has failed and is still in the window.
type failing struct {
	since  time.Time
	passes int64 // how many events the destination had confirmed at the last failure
	until  time.Time
	pause  time.Duration
	// charged says that the event is to blame: the destination has confirmed other events between two of its failures.
	charged bool
	verdict Verdict
	tries   int
}

// wave returns the events to publish now, and the time until a failed ticket is tried again. Unless the publisher is ordered, no
// ticket is twice in a wave: so a failed event is repeated before any newer event of its ticket. While the destination is down,
// the wave is a single event, a different ticket's each time: the oldest event alone may be the fault.
func (c *Courier) wave(now time.Time) (wave []*item, wait time.Duration) {
	wait = c.opts.MaxPause
	ordered := c.publisher.Ordered()
	seen := map[ticket.ID]bool{}
	for _, it := range c.window.items {
		id := it.event.Ticket
		if seen[id] {
			continue
		}
		if f := c.failing[id]; f != nil && f.charged && now.Before(f.until) {
			seen[id] = true
			wait = min(wait, f.until.Sub(now))
			continue
		}
		seen[id] = !ordered || c.trouble.down
		if wave = append(wave, it); len(wave) == c.opts.Batch {
			break
		}
	}
	if c.trouble.down && len(wave) > 1 {
		wave = wave[c.trouble.probes%len(wave):][:1]
	}
	return wave, wait
}

// bring publishes a wave and draws the consequences of the verdicts.
func (c *Courier) bring(ctx context.Context, wave []*item) {
	events := make([]ticket.Event, len(wave))
	for i, it := range wave {
		events[i] = it.event
	}
	verdicts, confirmed := c.publish(ctx, events)
	if ctx.Err() != nil && confirmed == 0 {
		return
	}
	now := time.Now()
	done := map[*item]bool{}
	var stop *Verdict  // the destination takes no event
	var fault *Verdict // an event has failed, and is not to blame
	var after time.Duration
	var hold []ticket.ID
	first := map[ticket.ID]bool{}
	for i := range wave {
		v, id := &verdicts[i], wave[i].event.Ticket
		switch {
		case v.Decision == Confirmed:
			done[wave[i]] = true
			if !first[id] {
				delete(c.failing, id)
			}
			continue
		case v.Decision == Paused:
			stop = v
		case first[id]: // behind an event that has failed in this wave
		case v.Unsent:
			fault = cmp.Or(fault, v)
		case !c.charge(id, v, confirmed, now):
			fault = v
		case v.Decision == Refused || now.Sub(c.failing[id].since) >= c.opts.HoldAfter:
			hold = append(hold, id)
		}
		first[id] = true
		after = max(after, v.After)
	}
	c.window.resolve(done)
	c.conclude(stop, fault, confirmed, after, now)
	c.hold(ctx, hold)
}

// conclude notes what a wave says about the destination. stop is the verdict of a destination that takes no event, fault that of
// an event which is not to blame; nil without such an event.
func (c *Courier) conclude(stop, fault *Verdict, confirmed int, after time.Duration, now time.Time) {
	switch {
	case stop != nil:
		c.pause(stop, now)
	case fault != nil && confirmed == 0:
		c.down(fault, after, now)
	case confirmed > 0:
		c.recovered()
		if after > 0 { // it takes events, but not so many
			c.trouble.until = now.Add(after)
		}
	}
}

// publish publishes events, renews the lease meanwhile, and returns as many verdicts as there are events.
func (c *Courier) publish(ctx context.Context, events []ticket.Event) (verdicts []Verdict, confirmed int) {
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		c.renew(ctx, cancel)
	}()
	verdicts = c.publisher.Publish(ctx, events)
	cancel(nil)
	<-renewed
	if len(verdicts) != len(events) {
		err := fmt.Errorf("the publisher answered %d of %d events", len(verdicts), len(events))
		verdicts = make([]Verdict, len(events))
		for i := range verdicts {
			verdicts[i].Err = err
		}
	}
	for i := range verdicts {
		switch verdicts[i].Decision {
		case Confirmed:
			confirmed++
		case Refused:
			c.stats.refused.Add(1)
		case Later, Paused:
			c.stats.later.Add(1)
		}
		if verdicts[i].Decision != Confirmed && verdicts[i].Err == nil {
			verdicts[i].Err = errNoReason
		}
	}
	c.passes += int64(confirmed)
	c.stats.confirmed.Add(int64(confirmed))
	return verdicts, confirmed
}

var errNoReason = errors.New("the destination gave no reason")

// renew renews the lease until ctx ends, and ends ctx where another courier has taken over.
func (c *Courier) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	const thirds = 3
	ticker := time.NewTicker(c.opts.Lease / thirds)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_, err := c.source.Own(ctx, c.opts.Name, c.token, c.opts.Lease)
		switch {
		case err == nil:
			c.lease.take()
		case errors.Is(err, store.ErrNotOwner):
			c.lease.give()
			cancel(err)
			return
		}
	}
}

// charge notes the failure of a ticket's oldest event and says whether the event is to blame: the destination has confirmed other
// events in the same wave, or since the event's last failure.
func (c *Courier) charge(id ticket.ID, v *Verdict, confirmed int, now time.Time) bool {
	f := c.failing[id]
	if f == nil {
		f = &failing{since: now, passes: c.passes}
		c.failing[id] = f
	}
	f.charged = f.charged || confirmed > 0 || c.passes > f.passes
	f.passes, f.verdict, f.tries = c.passes, *v, f.tries+1
	if f.charged {
		f.pause = c.grown(f.pause)
		f.until = now.Add(max(f.pause, v.After))
	}
	return f.charged
}

// grown is the pause after another failure, with jitter.
func (c *Courier) grown(last time.Duration) time.Duration {
	grown := min(max(2*last, c.opts.FirstPause), c.opts.MaxPause)
	return grown/2 + jitter(grown/2)
}

func jitter(most time.Duration) time.Duration { return rand.N(most + 1) }

// down notes that the destination has confirmed no event. No event is to blame.
func (c *Courier) down(v *Verdict, after time.Duration, now time.Time) {
	t := &c.trouble
	if !t.down {
		t.probes = 0
		c.opts.Log.Warn().Err(v.Err).Msg("the destination takes no events: the courier tries one event after growing pauses")
	} else {
		t.probes++
	}
	t.down = true
	t.pause = c.grown(t.pause)
	t.until = now.Add(max(t.pause, after))
	c.stats.set(StateRetrying, v.Err.Error(), now)
}

// pause notes that the destination as a whole takes no event.
func (c *Courier) pause(v *Verdict, now time.Time) {
	t := &c.trouble
	if !t.paused {
		c.opts.Log.Error().Err(v.Err).Msg("the destination is paused: it takes no event until its fault is corrected")
	}
	t.paused = true
	t.pause = c.grown(t.pause)
	t.until = now.Add(max(t.pause, v.After))
	c.stats.set(StatePaused, v.Err.Error(), now)
}

// probe asks a paused destination whether it takes events again. If so, a single event follows: a server that answers may still
// refuse all events.
func (c *Courier) probe(ctx context.Context) bool {
	err := c.publisher.Probe(ctx)
	if err == nil {
		c.trouble.paused, c.trouble.down = false, true
		return true
	}
	c.pause(&Verdict{Decision: Paused, Err: err}, time.Now())
	return false
}

// recovered notes that the destination takes events.
func (c *Courier) recovered() {
	if c.trouble.is() || c.stats.state() != StateUp {
		c.opts.Log.Info().Msg("the destination takes events")
	}
	c.trouble = trouble{}
	c.stats.set(StateUp, "", time.Now())
}
