package boot

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

// tableWatch reads the table's definition of a site without Redis from time to time: what status says of MySQL stays true while
// no client writes, and a column that was added is noticed. With Redis the inspector does it.
type tableWatch struct {
	loop lifecycle.Loop
}

// Start begins to read every [inspectEvery].
func (w *tableWatch) Start(ctx context.Context, refresh func(context.Context) error, log zerolog.Logger) {
	w.loop.StartEvery(ctx, inspectEvery, func(ctx context.Context) {
		if err := refresh(ctx); err != nil { // the flusher and the readers say so when it matters
			log.Debug().Err(err).Msg("the table's definition cannot be read")
		}
	})
}

// Stop ends it.
func (w *tableWatch) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "watch of the table") }
