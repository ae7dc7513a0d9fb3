package health

import "time"

// SteadyFor is how long a backend must have answered before its next outage counts as a new outage.
const SteadyFor = 5 * time.Second

// FirstHold is the first of the growing least times for which a backend stays down that goes away again earlier.
const FirstHold = 250 * time.Millisecond

// Damping keeps a backend down that comes and goes: each turn costs a whole outage and a whole recovery. The zero value is a
// backend that was never down. A Damping is not safe for concurrent use.
type Damping struct {
	// Longest bounds the least time of an outage.
	Longest time.Duration

	back time.Time     // when the backend answered again last
	hold time.Duration // how long the present outage lasts at least; 0 after a steady time
	till time.Time     // the end of hold
}

// Down notes that the backend goes away.
func (d *Damping) Down(now time.Time) {
	switch {
	case d.back.IsZero() || now.Sub(d.back) >= SteadyFor:
		d.hold = 0
	default:
		d.hold = min(max(2*d.hold, FirstHold), d.Longest)
	}
	d.till = now.Add(d.hold)
}

// Up tells whether the backend, which answers, may count as back.
func (d *Damping) Up(now time.Time) bool {
	if d.Held(now) {
		return false
	}
	d.back = now
	return true
}

// Held tells whether the backend stays down for a while, whatever it answers.
func (d *Damping) Held(now time.Time) bool { return now.Before(d.till) }
