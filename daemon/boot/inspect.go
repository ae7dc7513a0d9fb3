package boot

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/store/redis"
)

// inspectEvery is how often Redis is asked whether it is still fit: its policy can be changed while it runs.
const inspectEvery = 30 * time.Second

// inspector knows what should be changed about Redis. Each finding is logged once when it appears.
type inspector struct {
	client goredis.UniversalClient
	log    zerolog.Logger
	found  atomic.Pointer[[]string]
	loop   lifecycle.Loop
}

func newInspector(client goredis.UniversalClient, log zerolog.Logger) *inspector {
	return &inspector{client: client, log: log}
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
				i.look(ctx)
			}
		}
	})
}

// Stop ends it.
func (i *inspector) Stop(ctx context.Context) error { return i.loop.Stop(ctx, "Redis inspector") }

// look inspects Redis. While Redis is away, what was found before stands; that it is away is for the watch to say.
func (i *inspector) look(ctx context.Context) {
	found, err := redis.Inspect(ctx, i.client)
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
}

func (i *inspector) warnings() []string {
	if found := i.found.Load(); found != nil {
		return slices.Clone(*found)
	}
	return nil
}
