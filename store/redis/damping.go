package redis

import (
	"errors"
	"net"
	"time"
)

const (
	// steadyFor is how long a partition must have answered before its next outage counts as one of its own.
	steadyFor = 5 * time.Second
	// The times for which a partition stays down at least that goes away again before that.
	firstHold = 250 * time.Millisecond
	lastHold  = 2 * time.Second
)

// damping keeps a partition down that comes and goes: each turn runs all that an outage and a recovery run, and while a partition
// is down its changes are safe in the journal.
type damping struct {
	back time.Time     // when the partition answered again last
	hold time.Duration // how long its present outage lasts at least; 0 where it follows a steady time
	till time.Time     // when that is over
}

// down notes that the partition goes away.
func (d *damping) down(now time.Time) {
	switch {
	case d.back.IsZero() || now.Sub(d.back) >= steadyFor:
		d.hold = 0
	default:
		d.hold = min(max(2*d.hold, firstHold), lastHold)
	}
	d.till = now.Add(d.hold)
}

// up tells whether the partition, which answers, may count as back.
func (d *damping) up(now time.Time) bool {
	if now.Before(d.till) {
		return false
	}
	d.back = now
	return true
}

// refusedDial tells whether an error is that of a connection which could not be made. go-redis answers with the last such error
// for up to a second more, without trying.
func refusedDial(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}
