package health

import (
	"testing"
	"time"
)

// A backend that comes and goes stays down longer each time, up to a bound; after a steady time it is back at once, as before.
func TestDamping(t *testing.T) {
	t.Parallel()
	const longest = 2 * time.Second
	d := Damping{Longest: longest}
	now := time.Now()
	for turn, want := range []time.Duration{0, FirstHold, 2 * FirstHold, 4 * FirstHold, longest, longest} {
		d.Down(now)
		if want > 0 && d.Up(now.Add(want-1)) {
			t.Errorf("turn %d: back before %v are over", turn, want)
		}
		now = now.Add(want)
		if !d.Up(now) {
			t.Errorf("turn %d: not back after %v", turn, want)
		}
		now = now.Add(SteadyFor - 1)
	}
	now = now.Add(1)
	if d.Down(now); !d.Up(now) {
		t.Error("an outage after a steady time is not over at once")
	}
}
