package boot

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/watchdog"
)

// answerWithin is how long the daemon may leave its own socket unanswered.
const answerWithin = 30 * time.Second

// Watch has alive called three times within timeout while [Daemon.Run] is ready and no part of the daemon is stuck, for a
// supervisor that restarts it otherwise. It is called before Run.
func (d *Daemon) Watch(timeout time.Duration, alive func()) {
	parts := []watchdog.Part{{
		Name: "listener", Within: answerWithin, Moved: watchdog.Listener(d.server.Address(), d.log),
	}}
	for _, s := range d.sites {
		parts = append(parts, s.watched(&d.config.Redis)...)
	}
	d.watchdog = watchdog.New(parts, timeout, alive, d.log)
}

// watched are the loops of a site that have to get on. The time for a step is more than twice what their time-outs allow, as a
// step may try a broken connection first.
func (s *runningSite) watched(c *config.Redis) []watchdog.Part {
	calls := c.DialTimeout + c.WriteTimeout + c.ReadTimeout
	parts := []watchdog.Part{{
		Name: "flusher of " + s.name, Within: flushMaxPause + 3*(s.database.Patience()+calls),
		Moved: watchdog.Counter(func() int64 { return s.Flusher.Stats().Turns() + s.Statements() }),
	}}
	if outbox := s.backend.outbox; outbox != nil {
		tried := watchdog.Counter(func() int64 { return outbox.Status().Tries })
		parts = append(parts, watchdog.Part{
			Name: "journal of " + s.name, Within: flushMaxPause + 3*calls,
			Moved: func(ctx context.Context) bool { return tried(ctx) || outbox.Status().Entries == 0 },
		})
	}
	return parts
}
