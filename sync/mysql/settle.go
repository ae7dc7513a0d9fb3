package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ticketd/ticketd/sync/flush"
)

const (
	// maxConflicts bounds how often rows that others hold are tried in one call. With lock waits of five seconds the worst
	// case stays below half a minute.
	maxConflicts = 5
	// firstPause is the mean pause after a first conflict; each further one doubles it.
	firstPause = 10 * time.Millisecond
)

// attempt brings the rows to the database in one transaction, or none of them.
type attempt func(ctx context.Context, rows []row) error

// settle brings every row to an end: stored, refused, or left for later. It returns an error where the database as a
// whole does not take anything now.
func (w *write) settle(ctx context.Context, rows []row, conflicts int, try attempt) error {
	err := try(ctx, rows)
	switch judge(err) {
	case fine:
		return nil
	case data, tooLarge:
		if len(rows) == 1 {
			w.refuse(&rows[0], refusal(err))
			return nil
		}
	case conflict:
		if conflicts++; conflicts == maxConflicts {
			w.conflict = fmt.Errorf("mysql: rows of %d tickets stay locked: %w: %w", len(rows), flush.ErrSinkDown, err)
			return nil
		}
		if err := pause(ctx, firstPause<<(conflicts-1)); err != nil {
			return fmt.Errorf("mysql: wait for a lock: %w: %w", flush.ErrSinkDown, err)
		}
	default:
		return w.db.failure("write", err)
	}
	middle := len(rows) / 2
	if middle > 0 {
		if err := w.settle(ctx, rows[:middle], conflicts, try); err != nil {
			return err
		}
	}
	return w.settle(ctx, rows[middle:], conflicts, try)
}

// pause waits between half and one and a half of the mean, or until ctx ends: those that collided must not meet again.
func pause(ctx context.Context, mean time.Duration) error {
	timer := time.NewTimer(mean/2 + rand.N(mean))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
