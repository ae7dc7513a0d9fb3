package flush

import (
	"sync/atomic"
	"time"
)

// planned is when the next round starts, shared between the loop, which sets it, and the writers, which may pull it nearer.
type planned struct {
	nanos atomic.Int64
}

func (p *planned) set(t time.Time) { p.nanos.Store(t.UnixNano()) }

func (p *planned) at() time.Time { return time.Unix(0, p.nanos.Load()) }

// pull moves the next round to t where that is sooner, and says whether it was.
func (p *planned) pull(t time.Time) bool {
	for {
		at := p.nanos.Load()
		if t.UnixNano() >= at {
			return false
		}
		if p.nanos.CompareAndSwap(at, t.UnixNano()) {
			return true
		}
	}
}
