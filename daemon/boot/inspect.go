package boot

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/store/redis/link"
)

// inspectEvery is how often Redis is asked whether it is still fit: its policy can be changed while it runs.
const inspectEvery = 30 * time.Second

// tableTimeout bounds the look at one site's table: until it ends no site's keys are looked at again.
const tableTimeout = 5 * time.Second

// inspector knows what should be changed about Redis, each finding logged once when it appears, and notices when Redis
// is another process than before.
type inspector struct {
	client goredis.UniversalClient
	log    zerolog.Logger
	queues func() []*runningSite
	found  atomic.Pointer[[]string]
	soon   chan struct{} // asks for a look before the next is due
	loop   lifecycle.Loop
}

func newInspector(client goredis.UniversalClient, queues func() []*runningSite, log zerolog.Logger) *inspector {
	return &inspector{client: client, log: log, queues: queues, soon: make(chan struct{}, 1)}
}

// Start begins to look.
func (i *inspector) Start(ctx context.Context) {
	i.loop.Start(ctx, func(ctx context.Context) {
		ticker := time.NewTicker(inspectEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			case <-i.soon:
			}
			i.look(ctx)
		}
	})
}

// Stop ends it.
func (i *inspector) Stop(ctx context.Context) error { return i.loop.Stop(ctx, "Redis inspector") }

// look inspects Redis. While Redis is away, what was found before stands; that it is away is for the watch to say.
func (i *inspector) look(ctx context.Context) {
	found, err := link.Inspect(ctx, i.client)
	if err != nil {
		return
	}
	before := i.warnings()
	for _, warning := range found {
		if !slices.Contains(before, warning) {
			i.log.Warn().Msg(warning)
		}
	}
	i.found.Store(&found)
	var looks sync.WaitGroup // a site waits for the daemons of its other hosts, and for its MySQL
	for _, s := range i.queues() {
		looks.Go(func() { lookAt(ctx, s) })
	}
	looks.Wait()
}

// lookAt looks at one site's keys, and then at its table.
func lookAt(ctx context.Context, s *runningSite) {
	dropped, err := s.backend.look(ctx)
	if err != nil {
		s.log.Warn().Err(err).Msg("Redis cannot be looked at for this site; it is tried again")
	} else if dropped > 0 {
		s.log.Info().Int("dropped", dropped).
			Msg("Redis was restarted or failed over: clean copies are read from MySQL again")
	}
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	unread := s.Refresh(ctx)
	if unread != nil { // the flusher and the readers say so when it matters
		s.log.Debug().Err(unread).Msg("the table's definition cannot be read")
	}
	if err == nil && unread == nil {
		if err := s.otherKeys.look(ctx, s); err != nil { // the flusher says so when it matters
			s.log.Debug().Err(err).Msg("the keys cannot be named beside the table")
		}
	}
}

// lookSoon has Redis looked at without waiting for it.
func (i *inspector) lookSoon() {
	select {
	case i.soon <- struct{}{}:
	default:
	}
}

func (i *inspector) warnings() []string {
	if found := i.found.Load(); found != nil {
		return slices.Clone(*found)
	}
	return nil
}
