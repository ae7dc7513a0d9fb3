package skew

import (
	"testing"
	"time"
)

// The wall clock moves by that many seconds, both ways; the time measured between two times does not change.
func TestShifted(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int64{0, 1, 3600, -1, -86400} {
		now := time.Now()
		got := shifted(now, seconds)
		if moved := got.UnixMicro() - now.UnixMicro(); moved != seconds*1e6 {
			t.Errorf("the wall clock moved by %d µs, want %d s", moved, seconds)
		}
		if apart := got.Sub(now); apart != 0 {
			t.Errorf("%d s: the monotonic clock moved by %v", seconds, apart)
		}
	}
}
