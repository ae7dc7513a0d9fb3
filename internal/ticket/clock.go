package ticket

import (
	"sync/atomic"
	"time"
)

// Clock proposes revisions: a hybrid logical clock, at least the wall clock in microseconds and above every revision that
// this daemon has seen (in its own changes, in claims, in rows of MySQL).
//
// Source: S. Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases", 2014; the
// logical part is folded into the microseconds, as a ticket has far less than one change per microsecond.
type Clock struct {
	now  func() time.Time
	last atomic.Int64
}

// NewClock makes a clock over now, which is [time.Now] outside tests.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Propose returns a revision above every revision proposed or observed before.
func (c *Clock) Propose() Revision {
	wall := c.now().UnixMicro()
	for {
		last := c.last.Load()
		next := max(wall, last+1)
		if c.last.CompareAndSwap(last, next) {
			return Revision(next)
		}
	}
}

// Observe raises the clock to at least r, so that the next proposal is above r. Observe ignores impossible revisions.
func (c *Clock) Observe(r Revision) {
	if r > MaxRevision {
		return
	}
	for {
		last := c.last.Load()
		if int64(r) <= last || c.last.CompareAndSwap(last, int64(r)) {
			return
		}
	}
}
