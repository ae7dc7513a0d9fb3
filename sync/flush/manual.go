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

// Flush writes the given tickets to the sink now, whatever their due time, or every dirty ticket if ids is nil. Flush returns
// when every ticket that was dirty at the call is in the sink. Flush reads each ticket once after the call, so the ticket has at
// least the changes of the call, and later changes do not prolong the flush. While the sink is unreachable or rows are locked,
// Flush retries until [Options.Patience] is over, ctx ends or [Flusher.Hurry] is called; the error then wraps the sink's error.
//
// progress, if not nil, is called after each batch with the number of tickets done and the total.
func (f *Flusher) Flush(ctx context.Context, ids []ticket.ID, progress func(done, total int)) (Moved, error) {
	return f.persist(ctx, ids, progress, &insistence{hurry: f.hurry, patience: f.opts.Patience})
}

// Drain is [Flusher.Flush] of every dirty ticket that continues after [Flusher.Hurry], however long the sink takes no ticket.
func (f *Flusher) Drain(ctx context.Context) (Moved, error) {
	return f.persist(ctx, nil, nil, &insistence{})
}

// insistence is how long a flush retries.
type insistence struct {
	hurry    <-chan struct{} // nil: no hurry
	patience time.Duration   // zero: without end

	mu    sync.Mutex
	moved time.Time // when the sink last took a ticket, or the flush began
}

// hangs is after how many times its patience a flush cuts off a batch without an answer.
const hangs = 5

// got notes the time if the sink has taken tickets.
func (i *insistence) got(moved Moved) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.moved.IsZero() || moved.Flushed+moved.Dead > 0 {
		i.moved = time.Now()
	}
}

// left is how long the flush may continue while the sink takes no ticket; endless if the flush has no bound.
func (i *insistence) left() (left time.Duration, endless bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.patience - time.Since(i.moved), i.patience == 0
}

// TryFlush is [Flusher.Flush] of every dirty ticket without retries: TryFlush fails at once if the sink is unreachable. TryFlush
// tries locked rows once, and skips rows whose pause is not over, so that the caller does not wait for the same lock each time.
// The error is then a [LockedError], and all other tickets are in the sink.
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

// hurryGrace is how long a batch under way may still take after [Flusher.Hurry]: many times the usual duration, so that the
// daemon gives up only on a sink that hangs.
const hurryGrace = time.Second

// Hurry says that the daemon is about to stop: calls of Flush, present and future, no longer wait for a sink that takes no
// tickets. Hurry may be called again.
func (f *Flusher) Hurry() { f.hurryOnce.Do(func() { close(f.hurry) }) }

// tally is the progress of a flush.
type tally struct {
	done, total int
	report      func(done, total int)
}

func (t *tally) add(n int) {
	if t.done += n; t.report != nil {
		t.report(t.done, t.total)
	}
}

// persist moves the tickets and retries the tickets that the sink does not take now, until ctx ends or hurry is closed.
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
		ids = moved.Later // the other tickets need not wait for the locked tickets
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

// flush moves the tickets batch by batch, each ticket once. It claims and acks a batch while another batch is under way.
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
			stop() // the other batch must not retry for ever
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

// insist moves one batch, retrying while the sink is unreachable.
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

// wait waits before another try of a flush, or returns why the flush ends.
func (i *insistence) wait(ctx context.Context, pause time.Duration, why error) error {
	if left, endless := i.left(); !endless && left <= 0 {
		return why
	} else if !endless {
		pause = min(pause, left) // the last try is at the end of the patience
	}
	return wait(ctx, pause, i.hurry, why)
}

// wait waits before another try, or returns why the last try failed if the flush ends.
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

// hurried is an attempt that ends a while after hurry was closed, or when the sink hangs.
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

// attemptFree moves one batch, once, without the rows whose pause is not over.
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
	if err == nil || ctx.Err() == nil { // an interrupted attempt proves no state of the sink
		f.note(moved, err)
	}
	return moved, err
}
