package couriers

import (
	"fmt"
	"time"

	"github.com/ticketd/ticketd/sync/feed"
)

const (
	// patience is for how long a destination may confirm no event before the status warns.
	patience = 5 * time.Minute
	// gapFor is for how long the status warns of a gap.
	gapFor = 24 * time.Hour
)

// Warnings are the faults of the destinations that an operator must act on.
func (c *Couriers) Warnings(now time.Time) []string {
	var found []string
	warnf := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, r := range c.sorted() {
		s := r.courier.Status(nil)
		switch {
		case s.State == feed.StatePaused:
			warnf("the destination %s takes no events: %s; its events wait in the feed, and the courier goes on once the fault is "+
				"corrected", r.Name, s.Reason)
		case s.State == feed.StateRetrying && now.Sub(s.Since) > patience:
			warnf("the destination %s has confirmed no event since %s: %s; its events wait in the feed", r.Name,
				s.Since.UTC().Format(time.RFC3339), s.Reason)
		}
		if s.Letters > 0 {
			warnf("the destination %s has refused %d events for good: 'ticketd feed dead list %s' says why", r.Name, s.Letters, r.Name)
		}
		if !s.Gap.IsZero() && now.Sub(s.Gap) < gapFor {
			warnf("the destination %s has missed events, found at %s: 'ticketd feed snapshot %s' sends all tickets", r.Name,
				s.Gap.UTC().Format(time.RFC3339), r.Name)
		}
	}
	c.mu.Lock()
	k := c.keeping
	c.mu.Unlock()
	const half = 2
	if u := c.usage.Load(); u != nil && k.On && k.For == 0 && (half*u.Events > k.MaxEvents || half*u.Bytes > k.MaxBytes) {
		warnf("%d events of %d bytes wait for the slowest destination, more than half of feed.max_events or feed.max_bytes: beyond "+
			"them the oldest go; 'ticketd feed' names the destination", u.Events, u.Bytes)
	}
	return found
}
