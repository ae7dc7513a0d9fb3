// Package policy holds the sync strategies. A strategy is nothing but the function that computes a change's due time: when
// it must be on its way to MySQL at the latest.
package policy

import (
	"time"

	"github.com/ticketd/ticketd/store"
)

// Due returns when a change that is made now is due. A ticket that is dirty already keeps the earlier due time, so later
// changes coalesce and never postpone.
type Due func(now time.Time, m *store.Mutation) time.Time

// Event is due a linger after the first change, so that the changes of one page view or one agent's click become one row
// write.
func Event(linger time.Duration) Due {
	return func(now time.Time, _ *store.Mutation) time.Time { return now.Add(linger) }
}

// Interval is due at the next tick of the period. Ticks are counted from one moment for all, so that several daemons share them.
func Interval(period time.Duration) Due {
	return func(now time.Time, _ *store.Mutation) time.Time { return now.Truncate(period).Add(period) }
}

// OnClose is due at once when the ticket is deleted or its status field becomes one of those that close it, else maxAge after
// the first change: a ticket that never closes is flushed all the same.
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

// AtMost bounds a strategy: nothing is due later than maxAge after the change.
func AtMost(due Due, maxAge time.Duration) Due {
	return func(now time.Time, m *store.Mutation) time.Time {
		at, latest := due(now, m), now.Add(maxAge)
		if at.After(latest) {
			return latest
		}
		return at
	}
}
