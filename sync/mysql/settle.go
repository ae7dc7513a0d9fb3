package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

const (
	// maxConflicts bounds how often rows are tried in one call that meet deadlocks.
	maxConflicts = 5
	// maxWaits bounds how often a batch of rows waits for locks until these time out: enough to find one locked row in a thousand
	// by halving. Beyond it each part that is left is tried once. With lock waits of a second the worst case stays below half
	// a minute.
	maxWaits = 12
	// firstPause is the mean pause after a first conflict; each further one doubles it.
	firstPause = 10 * time.Millisecond
)

// attempt brings the rows to the database in one transaction, or none of them.
type attempt func(ctx context.Context, rows []row) error

// bring settles a batch of rows. rowless are the attempt's statements without a row, see [write.outage].
func (w *write) bring(ctx context.Context, rows []row, rowless []string, try attempt) error {
	w.waits, w.rowless, w.doubted, w.looked, w.passed = 0, rowless, nil, false, false
	if err := w.settle(ctx, rows, 0, try); err != nil {
		return err
	}
	return w.settleDoubted()
}

// settle brings every row to an end: stored, refused, or left for later. It returns an error where the database as a
// whole does not take anything now.
func (w *write) settle(ctx context.Context, rows []row, conflicts int, try attempt) error {
	err := try(ctx, rows)
	switch judge(err) {
	case fine:
		w.pass(rows)
		return nil
	case data, tooLarge:
		if len(rows) == 1 {
			w.refuse(&rows[0], refusal(err))
			return nil
		}
	case conflict:
		if conflicts++; w.hopeless(rows, conflicts, err) {
			w.leave(rows, err)
			return nil
		}
		if timedOut(err) { // that was pause enough
			if free := w.leaveLocked(ctx, rows, err); len(free) < len(rows) {
				return w.settleFree(ctx, free, conflicts, try)
			}
			break
		}
		if err := pause(ctx, firstPause<<(conflicts-1)); err != nil {
			return fmt.Errorf("mysql: wait for a lock: %w: %w", flush.ErrSinkDown, err)
		}
	default:
		if ended, err := w.settleAnswer(ctx, rows, err, try); ended || err != nil {
			return err
		}
	}
	middle := len(rows) / 2
	if middle > 0 {
		if err := w.settle(ctx, rows[:middle], conflicts, try); err != nil {
			return err
		}
	}
	return w.settle(ctx, rows[middle:], conflicts, try)
}

// hopeless says that rows that others hold are not to be tried again in this call. A row that is alone has waited for its lock as
// long as is reasonable; several are halved, so that those that are free do not wait with those that are not.
func (w *write) hopeless(rows []row, conflicts int, err error) bool {
	if !timedOut(err) {
		return conflicts >= maxConflicts
	}
	w.waits++
	return len(rows) == 1 || w.waits >= maxWaits
}

// settleFree settles the rows that are not locked, where there are any.
func (w *write) settleFree(ctx context.Context, free []row, conflicts int, try attempt) error {
	if len(free) == 0 {
		return nil
	}
	return w.settle(ctx, free, conflicts, try)
}

// leaveLocked leaves for later those of the rows that others hold, and returns the others. To find them by halving takes a lock
// wait for each half, which is longer than a request may take. All rows are returned where that cannot be told.
func (w *write) leaveLocked(ctx context.Context, rows []row, why error) (free []row) {
	if w.locate == nil {
		return rows
	}
	held, err := w.locate(ctx, rows)
	if err != nil || len(held) == 0 {
		return rows
	}
	for i := range rows {
		if held[rows[i].id] {
			w.leave(rows[i:i+1], why)
		} else {
			free = append(free, rows[i])
		}
	}
	return free
}

// held asks which of the rows of tickets others hold locked: those that are there and that a locking read passes over (SKIP
// LOCKED, as of MariaDB 10.6 and MySQL 8). Its own locks end with the statement. Rows that are not there are not asked for, as
// their gaps would be locked.
func (w *write) held(ctx context.Context, rows []row) (map[ticket.ID]bool, error) {
	key := quote(w.db.config.Key)
	query := "SELECT " + key + ",0 FROM " + quote(w.db.config.Table) + " WHERE " + key + " IN "
	there, err := readRevisions(ctx, w.db.pool, query, "", pointers(rows))
	if err != nil || len(there) == 0 {
		return nil, err
	}
	asked := make([]row, 0, len(there))
	for i := range rows {
		if _, is := there[rows[i].id]; is {
			asked = append(asked, rows[i])
		}
	}
	free, err := readRevisions(ctx, w.db.pool, query, " FOR UPDATE SKIP LOCKED", pointers(asked))
	if err != nil {
		return nil, err
	}
	held := make(map[ticket.ID]bool)
	for i := range asked {
		if _, is := free[asked[i].id]; !is {
			held[asked[i].id] = true
		}
	}
	return held, nil
}

// pass notes that rows were stored.
func (w *write) pass(rows []row) {
	w.passed, w.taken = true, true
	w.lone.Store(false)
	w.misfits.remove(rows)
}

// leave records that the rows are to be tried again later, as others hold them.
func (w *write) leave(rows []row, why error) {
	w.later(rows, fmt.Errorf("mysql: the row stays locked: %w", why))
}

func (w *write) later(rows []row, why error) {
	for i := range rows {
		w.results[rows[i].at] = flush.Result{Later: why}
	}
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
