package link

import (
	"testing"
	"time"
)

// A partition that comes and goes stays down longer each time, up to a bound; after a steady time it is back at once, as before.
func TestDamping(t *testing.T) {
	t.Parallel()
	var d damping
	now := time.Now()
	for turn, want := range []time.Duration{0, firstHold, 2 * firstHold, 4 * firstHold, lastHold, lastHold} {
		d.down(now)
		if want > 0 && d.up(now.Add(want-1)) {
			t.Errorf("turn %d: back before %v are over", turn, want)
		}
		now = now.Add(want)
		if !d.up(now) {
			t.Errorf("turn %d: not back after %v", turn, want)
		}
		now = now.Add(steadyFor - 1)
	}
	now = now.Add(1)
	if d.down(now); !d.up(now) {
		t.Error("an outage after a steady time is not over at once")
	}
}
