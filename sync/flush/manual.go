package flush

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Flush brings the given tickets to the sink now, whatever their due time, or every dirty ticket where ids is nil. It returns
// when everything that was dirty at the call is in the sink: each ticket is read once after the call and written, so what is
// read has at least the changes of then, and writers that go on do not make it longer. It tries again while the sink is away,
// until ctx ends.
//
// progress, where it is not nil, is called after each batch with the number of tickets done and their total.
func (f *Flusher) Flush(ctx context.Context, ids []ticket.ID, progress func(done, total int)) (Moved, error) {
	if ids == nil {
		var err error
		if ids, err = f.queue.DirtyIDs(ctx); err != nil {
			return Moved{}, err
		}
	}
	var sum Moved
	done := 0
	for batch := range slices.Chunk(ids, f.opts.Batch) {
		moved, err := f.flushBatch(ctx, batch)
		sum.Flushed += moved.Flushed
		sum.Dead += moved.Dead
		if err != nil {
			return sum, fmt.Errorf("flush: %d of %d tickets done: %w", done, len(ids), err)
		}
		if done += len(batch); progress != nil {
			progress(done, len(ids))
		}
	}
	return sum, nil
}

// flushBatch moves one batch, trying again while the sink is away.
func (f *Flusher) flushBatch(ctx context.Context, ids []ticket.ID) (Moved, error) {
	pause := time.Duration(0)
	for {
		claims, err := f.queue.ClaimIDs(ctx, time.Now(), ids, f.opts.Lease)
		if err != nil {
			return Moved{}, err
		}
		moved, err := f.move(ctx, claims)
		f.note(err)
		if err == nil || !errors.Is(err, ErrSinkDown) && !errors.Is(err, ErrSinkPaused) {
			return moved, err
		}
		pause = f.backOff(ctx, pause, err)
		select {
		case <-ctx.Done():
			return Moved{}, err
		case <-time.After(pause):
		}
	}
}
