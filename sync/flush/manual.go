package flush

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Flush brings the given tickets to the sink now, whatever their due time, or every dirty ticket where ids is nil. It
// returns when everything that was dirty at the call is in the sink: each ticket is read once after the call and
// written, so what is read has at least the changes of then, and writers that go on do not make it longer. It tries
// again while the sink is away, or rows are locked in it, until that takes longer than [Options.Patience], ctx ends or
// [Flusher.Hurry] is called; its error then wraps the sink's.
//
// progress, where it is not nil, is called after each batch with the number of tickets done and their total.
func (f *Flusher) Flush(ctx context.Context, ids []ticket.ID, progress func(done, total int)) (Moved, error) {
	return f.persist(ctx, ids, progress, &insistence{hurry: f.hurry, patience: f.opts.Patience})
}

// Drain is [Flusher.Flush] of every dirty ticket that goes on after [Flusher.Hurry], however long the sink takes nothing.
func (f *Flusher) Drain(ctx context.Context) (Moved, error) {
	return f.persist(ctx, nil, nil, &insistence{})
}

// insistence is how long a flush tries again.
type insistence struct {
	hurry    <-chan struct{} // nil: whatever happens
	patience time.Duration   // zero: without end

	mu    sync.Mutex
	moved time.Time // when the sink last took something, or the flush began
}

// hangs is after how many times its patience a flush cuts off a batch of which nothing is heard.
const hangs = 5

// got notes what the sink has taken.
func (i *insistence) got(moved Moved) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.moved.IsZero() || moved.Flushed+moved.Dead > 0 {
		i.moved = time.Now()
	}
}

// left is how long the flush may still go on while the sink takes nothing; endless where there is no bound.
func (i *insistence) left() (left time.Duration, endless bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.patience - time.Since(i.moved), i.patience == 0
}

// TryFlush is [Flusher.Flush] of every dirty ticket that gives up at once where the sink is away. Rows that are locked in it are
// tried once, and those that were locked just now are not: who asks does not wait for their lock each time. Its error is then a
// [LockedError], and all others are in the sink.
func (f *Flusher) TryFlush(ctx context.Context) error {
	ids, err := f.queue.DirtyIDs(ctx)
	if err != nil {
		return err
	}
	moved, err := f.flush(ctx, ids, &tally{total: len(ids)}, f.attemptFree)
	if err == nil {
		err = moved.lockedError()
	}
	return err
}

// ErrStopping ends flushes that wait for a sink while the daemon stops.
var ErrStopping = errors.New("the flush was ended because the daemon stops")

// hurryGrace is how long a batch that is on its way to the sink may still take after [Flusher.Hurry]: many times what one
// takes, so that only a sink that hangs is not waited for.
const hurryGrace = time.Second

// Hurry says that the daemon is about to stop: calls of Flush, those under way and those to come, do not wait any more for a sink
// that does not take what they bring. It may be called again.
func (f *Flusher) Hurry() { f.hurryOnce.Do(func() { close(f.hurry) }) }

// tally is how far a flush is.
type tally struct {
	done, total int
	report      func(done, total int)
}

func (t *tally) add(n int) {
	if t.done += n; t.report != nil {
		t.report(t.done, t.total)
	}
}

// persist moves the tickets, trying again what the sink does not take now, until ctx ends or hurry is closed.
func (f *Flusher) persist(
	ctx context.Context, ids []ticket.ID, progress func(done, total int), i *insistence,
) (moved Moved, err error) {
	if ids == nil {
		if ids, err = f.queue.DirtyIDs(ctx); err != nil {
			return Moved{}, err
		}
	}
	t := &tally{total: len(ids), report: progress}
	i.got(Moved{})
	batch := func(ctx context.Context, part []ticket.ID) (Moved, error) { return f.insist(ctx, part, i) }
	for pause := time.Duration(0); ; {
		more, err := f.flush(ctx, ids, t, batch)
		moved.Later = nil
		moved.add(more)
		if err != nil || len(moved.Later) == 0 {
			return moved, err
		}
		ids = moved.Later // the others need not wait for these
		why := moved.lockedError()
		pause = f.backOff(ctx, pause, why)
		if err := i.wait(ctx, pause, why); err != nil {
			return moved, t.failed(err)
		}
	}
}

func (t *tally) failed(err error) error {
	return fmt.Errorf("flush: %d of %d tickets done: %w", t.done, t.total, err)
}

// flush moves the tickets batch by batch, each once: one is claimed and acked while another is on its way to the sink.
func (f *Flusher) flush(
	ctx context.Context, ids []ticket.ID, t *tally, batch func(context.Context, []ticket.ID) (Moved, error),
) (sum Moved, err error) {
	type outcome struct {
		tickets int
		moved   Moved
		err     error
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	outcomes := make(chan outcome, atOnce)
	under := 0
	settle := func() {
		o := <-outcomes
		under--
		sum.add(o.moved)
		switch {
		case o.err == nil:
			t.add(o.tickets - len(o.moved.Later))
		case err == nil:
			err = o.err
			stop() // the other must not go on trying for ever
		}
	}
	for part := range slices.Chunk(ids, f.opts.Batch) {
		if under == atOnce {
			settle()
		}
		if err != nil {
			break
		}
		under++
		go func() {
			moved, err := batch(ctx, part)
			outcomes <- outcome{len(part), moved, err}
		}()
	}
	for under > 0 {
		settle()
	}
	if err != nil {
		return sum, t.failed(err)
	}
	return sum, nil
}

// atOnce is how many batches of a flush are under way at a time.
const atOnce = 2

// insist moves one batch, trying again while the sink is away.
func (f *Flusher) insist(ctx context.Context, ids []ticket.ID, i *insistence) (Moved, error) {
	pause := time.Duration(0)
	for {
		moved, err := f.hurried(ctx, ids, i)
		i.got(moved)
		if err == nil || !errors.Is(err, ErrSinkDown) && !errors.Is(err, ErrSinkPaused) {
			return moved, err
		}
		pause = f.backOff(ctx, pause, err)
		if err := i.wait(ctx, pause, err); err != nil {
			return Moved{}, err
		}
	}
}

// wait waits before another try of a flush, where there is to be one.
func (i *insistence) wait(ctx context.Context, pause time.Duration, why error) error {
	if left, endless := i.left(); !endless && left <= 0 {
		return why
	} else if !endless {
		pause = min(pause, left) // the last try is at the end of the patience
	}
	return wait(ctx, pause, i.hurry, why)
}

// wait waits before another try. Where there is to be none it returns why the last one failed.
func wait(ctx context.Context, pause time.Duration, hurry <-chan struct{}, why error) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return why
	case <-hurry:
		return fmt.Errorf("%w: %w", ErrStopping, why)
	case <-timer.C:
		return nil
	}
}

// hurried is an attempt that is cut off when hurry has been closed for a while, or when the sink hangs.
func (f *Flusher) hurried(ctx context.Context, ids []ticket.ID, i *insistence) (Moved, error) {
	if i.patience > 0 {
		patient, stop := context.WithTimeout(ctx, hangs*i.patience)
		defer stop()
		ctx = patient
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-i.hurry:
		}
		if wait(ctx, hurryGrace, nil, context.Canceled) == nil {
			cancel(ErrStopping)
		}
	}()
	moved, err := f.attempt(ctx, ids)
	if err != nil && errors.Is(context.Cause(ctx), ErrStopping) {
		err = fmt.Errorf("%w: %w", ErrStopping, err)
	}
	return moved, err
}

// attemptFree moves one batch, once, without the rows that were locked just now.
func (f *Flusher) attemptFree(ctx context.Context, ids []ticket.ID) (Moved, error) {
	claims, err := f.queue.ClaimIDs(ctx, time.Now(), ids, f.opts.Lease)
	if err != nil {
		return Moved{}, err
	}
	fresh, again, early := f.locked.divide(time.Now(), claims)
	if err := f.release(ctx, early); err != nil {
		return Moved{}, errors.Join(err, f.release(ctx, append(fresh, again...)))
	}
	moved, err := f.moveApart(ctx, fresh, again)
	if err == nil || ctx.Err() == nil {
		f.note(moved, err)
	}
	for i := range early {
		moved.Later, moved.reason = append(moved.Later, early[i].ID), errPausing
	}
	return moved, err
}

// attempt moves one batch, once.
func (f *Flusher) attempt(ctx context.Context, ids []ticket.ID) (Moved, error) {
	claims, err := f.queue.ClaimIDs(ctx, time.Now(), ids, f.opts.Lease)
	if err != nil {
		return Moved{}, err
	}
	fresh, again, early := f.locked.divide(time.Now(), claims)
	moved, err := f.moveApart(ctx, fresh, append(again, early...))
	if err == nil || ctx.Err() == nil { // what was cut off says nothing about the sink
		f.note(moved, err)
	}
	return moved, err
}
