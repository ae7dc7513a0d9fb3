// Package policy holds the sync strategies. A strategy is the function that computes a change's due time: the latest time for
// the flush to begin.
package policy

import (
	"time"

	"github.com/ticketd/ticketd/store"
)

// Due returns when a change of now is due. A dirty ticket keeps the earlier due time, so later changes coalesce and never
// postpone.
type Due func(now time.Time, m *store.Mutation) time.Time

// Event is due a linger after the first change, so that the changes of one page view or one agent's click become one row
// write.
func Event(linger time.Duration) Due {
	return func(now time.Time, _ *store.Mutation) time.Time { return now.Add(linger) }
}

// Interval is due at the next tick of the period. All daemons count ticks from the same moment and so share the ticks.
func Interval(period time.Duration) Due {
	return func(now time.Time, _ *store.Mutation) time.Time { return now.Truncate(period).Add(period) }
}

// OnClose is due at once when the ticket is deleted or its status field becomes a closing status, else maxAge after the first
// change: so a ticket that never closes is flushed too.
func OnClose(field string, statuses []string, maxAge time.Duration) Due {
	closes := make(map[string]bool, len(statuses))
	for _, status := range statuses {
		closes[status] = true
	}
	return func(now time.Time, m *store.Mutation) time.Time {
		if m.Kind == store.Delete {
			return now
		}
		if v, changed := m.Fields.Get(field); changed && closes[v.Text()] {
			return now
		}
		return now.Add(maxAge)
	}
}

// AtMost bounds a strategy: every change is due at most maxAge after the change.
func AtMost(due Due, maxAge time.Duration) Due {
	return func(now time.Time, m *store.Mutation) time.Time {
		at, latest := due(now, m), now.Add(maxAge)
		if at.After(latest) {
			return latest
		}
		return at
	}
}
