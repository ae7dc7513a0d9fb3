package daemon

import (
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// Options bound what one daemon does for its clients. A zero field gets the default.
type Options struct {
	// Admit says why a peer may not even connect, which costs the others nothing; nil admits everybody.
	Admit func(peer Peer) *protocol.Error
	// IdleTimeout closes a connection on which no request begins for that long. Default 60 s.
	IdleTimeout time.Duration
	// FrameTimeout bounds the time from a frame's first byte to its last. Default [protocol.FrameTimeout].
	FrameTimeout time.Duration
	// WriteTimeout bounds the time to write one reply. Default [protocol.WriteTimeout].
	WriteTimeout time.Duration
	// DrainGrace is how long a stopping daemon waits for requests of clients that are connected. Default 250 ms.
	DrainGrace time.Duration
	// HangUpCheck is how often a request that takes longer than that looks whether its client is still there. Default 1 s.
	HangUpCheck time.Duration
	// LargeFrames bounds the bytes of all frames over 64 KiB that are read or worked on at a time, over all connections, and
	// again those of all such replies that are being sent: many clients with frames near the limit, or many that ask for such
	// replies and do not read them, would take gigabytes otherwise. Default 64 MiB.
	LargeFrames int64
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.IdleTimeout, time.Minute)
	set(&o.FrameTimeout, protocol.FrameTimeout)
	set(&o.WriteTimeout, protocol.WriteTimeout)
	set(&o.DrainGrace, 250*time.Millisecond)
	set(&o.HangUpCheck, time.Second)
	if o.LargeFrames == 0 {
		o.LargeFrames = 64 << 20
	}
	return o
}

// budget is a number of bytes that may be taken at a time.
type budget struct {
	limit int64
	taken atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.taken.Add(n) <= b.limit {
		return true
	}
	b.taken.Add(-n)
	return false
}

// force takes what may go beyond the limit.
func (b *budget) force(n int64) { b.taken.Add(n) }

func (b *budget) give(n int64) { b.taken.Add(-n) }
