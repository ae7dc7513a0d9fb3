package flush

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Flush brings the given tickets to the sink now, whatever their due time, or every dirty ticket where ids is nil. It
// returns when everything that was dirty at the call is in the sink: each ticket is read once after the call and
// written, so what is read has at least the changes of then, and writers that go on do not make it longer. It tries
// again while the sink is away, until ctx ends.
//
// progress, where it is not nil, is called after each batch with the number of tickets done and their total.
func (f *Flusher) Flush(ctx context.Context, ids []ticket.ID, progress func(done, total int)) (Moved, error) {
	return f.flush(ctx, ids, progress, f.persist)
}

// TryFlush is [Flusher.Flush] of every dirty ticket that gives up at once where the sink is away.
func (f *Flusher) TryFlush(ctx context.Context) error {
	_, err := f.flush(ctx, nil, nil, f.attempt)
	return err
}

// flush moves the tickets batch by batch.
func (f *Flusher) flush(
	ctx context.Context, ids []ticket.ID, progress func(done, total int),
	batch func(context.Context, []ticket.ID) (Moved, error),
) (Moved, error) {
	if ids == nil {
		var err error
		if ids, err = f.queue.DirtyIDs(ctx); err != nil {
			return Moved{}, err
		}
	}
	var sum Moved
	done := 0
	for part := range slices.Chunk(ids, f.opts.Batch) {
		moved, err := batch(ctx, part)
		sum.Flushed += moved.Flushed
		sum.Dead += moved.Dead
		if err != nil {
			return sum, fmt.Errorf("flush: %d of %d tickets done: %w", done, len(ids), err)
		}
		if done += len(part); progress != nil {
			progress(done, len(ids))
		}
	}
	return sum, nil
}

// persist moves one batch, trying again while the sink is away.
func (f *Flusher) persist(ctx context.Context, ids []ticket.ID) (Moved, error) {
	pause := time.Duration(0)
	for {
		moved, err := f.attempt(ctx, ids)
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

// attempt moves one batch, once.
func (f *Flusher) attempt(ctx context.Context, ids []ticket.ID) (Moved, error) {
	claims, err := f.queue.ClaimIDs(ctx, time.Now(), ids, f.opts.Lease)
	if err != nil {
		return Moved{}, err
	}
	moved, err := f.move(ctx, claims)
	if err == nil || ctx.Err() == nil { // what was cut off says nothing about the sink
		f.note(err)
	}
	return moved, err
}
