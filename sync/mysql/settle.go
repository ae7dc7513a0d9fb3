package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

const (
	// maxConflicts bounds the tries, in one call, of rows that meet deadlocks.
	maxConflicts = 5
	// maxWaits bounds how often a batch waits for locks until a time-out: enough to find a single locked row in a thousand by
	// halving. Then each remaining part is tried once. With lock waits of a second the worst case stays below half a minute.
	maxWaits = 12
	// firstPause is the mean pause after a first conflict; each further conflict doubles the pause.
	firstPause = 10 * time.Millisecond
)

// attempt writes the rows to the database in one transaction, or no row.
type attempt func(ctx context.Context, rows []row) error

// bring settles a batch of rows. rowless are the attempt's statements without a row, see [write.outage].
func (w *write) bring(ctx context.Context, rows []row, rowless []string, try attempt) error {
	w.waits, w.rowless, w.doubted, w.looked, w.passed = 0, rowless, nil, false, false
	if err := w.settle(ctx, rows, 0, try); err != nil {
		return err
	}
	return w.settleDoubted()
}

// settle gives every row an outcome: stored, refused, or left for later. It returns an error if the database as a whole takes no
// write now.
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
		w.conflicts.Add(1)
		if conflicts++; w.hopeless(rows, conflicts, err) {
			w.leave(rows, err)
			return nil
		}
		if timedOut(err) { // the lock wait was pause enough
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

// hopeless says that rows that other clients hold are not tried again in this call. A single row has waited long enough for its
// lock; several rows are halved, so that free rows do not wait with locked rows.
func (w *write) hopeless(rows []row, conflicts int, err error) bool {
	if !timedOut(err) {
		return conflicts >= maxConflicts
	}
	w.waits++
	return len(rows) == 1 || w.waits >= maxWaits
}

// settleFree settles the rows that are not locked.
func (w *write) settleFree(ctx context.Context, free []row, conflicts int, try attempt) error {
	if len(free) == 0 {
		return nil
	}
	return w.settle(ctx, free, conflicts, try)
}

// leaveLocked leaves for later the rows that other clients hold, and returns the other rows. To find locked rows by halving
// takes a lock wait for each half, which is longer than a request may take. If the locks are not known, leaveLocked returns all
// rows.
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

// held returns which rows of the tickets table other clients hold locked: the existing rows that a locking read skips (SKIP
// LOCKED, from MariaDB 10.6 and MySQL 8). The read's own locks end with the statement. The read leaves out missing rows, whose
// gaps it would lock.
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

// leave records that the rows are to be tried again later, as other clients hold the rows.
func (w *write) leave(rows []row, why error) {
	w.later(rows, fmt.Errorf("mysql: the row stays locked: %w", why))
}

func (w *write) later(rows []row, why error) {
	for i := range rows {
		w.results[rows[i].at] = flush.Result{Later: why}
	}
}

// pause waits between half and one and a half of the mean, or until ctx ends, so that clients that collided do not meet again.
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

// The server gives the same answer for a missing table or column, a missing right or a crashed table in two cases: the tickets
// table is concerned, which is an outage, or a trigger's statement fails so for a row, which must not hold up the other rows.
// Evidence tells the cases apart: the table's definition, the same statement without a row, and the outcome of other rows.

// doubted is a row that the server alone refuses with an answer that may be an outage's.
type doubted struct {
	row row
	err error
}

// outage returns the error of an outage, which wraps [flush.ErrSinkDown] or [flush.ErrSinkPaused], if err is an outage's: the
// table differs from the definition, or the server refuses the statements without a row too. These statements open the tables
// and need the same rights as the attempt, and change no data. nil means that err is about a row.
func (w *write) outage(ctx context.Context, err error) error {
	if judge(err) == changed && !w.looked {
		now, gone := w.db.LoadDefinition(ctx)
		if gone != nil {
			return gone
		}
		if !reflect.DeepEqual(now, w.definition) {
			return w.db.failure("write", err)
		}
		w.looked = true
	}
	queries := w.rowless
	if w.db.config.Layout == nil {
		queries = append([]string{"UPDATE " + w.db.sequence() + " SET next = next WHERE id = 1"}, queries...)
	}
	for _, query := range queries {
		if _, refused := w.db.pool.ExecContext(ctx, query); refused != nil {
			return fmt.Errorf("%w (%w)", w.db.failure("write", err), w.db.failure("write without a row", refused))
		}
	}
	return nil
}

// settleAnswer settles rows after an answer that may be an outage's; ended is false if the rows are to be halved. A single value
// may cause the answer, and must not hold up all other rows; but a server that takes no write at all must not turn its backlog
// into dead letters.
func (w *write) settleAnswer(ctx context.Context, rows []row, answer error, try attempt) (ended bool, err error) {
	if !answered(answer) {
		return true, w.db.failure("write", answer)
	}
	if err := w.outage(ctx, answer); err != nil {
		return true, err
	}
	switch {
	case len(rows) == 1:
		return true, w.settleAlone(ctx, rows, try)
	case len(w.unfit) >= maxUnfit:
		w.unfit = append(w.unfit, unfit{rows, answer})
		return true, nil
	}
	return false, nil
}

// settleAlone settles a row after an answer that may be an outage's, when [write.outage] has found no outage. The outage may
// have ended in between, so settleAlone tries the row once more.
func (w *write) settleAlone(ctx context.Context, rows []row, try attempt) error {
	err := try(ctx, rows)
	switch judge(err) {
	case fine:
		w.pass(rows)
	case data, tooLarge, unknown:
		w.refuse(&rows[0], refusal(err))
	case conflict:
		w.leave(rows, err)
	case changed, doubtful:
		w.doubted = append(w.doubted, doubted{rows[0], err})
	default:
		if !answered(err) {
			return w.db.failure("write", err)
		}
		w.unfit = append(w.unfit, unfit{rows, err})
	}
	return nil
}

// settleDoubted refuses the doubted rows of a batch of which other rows were stored. Without a stored row the answer may be an
// outage that no statement without a row shows: a trigger that fails for each row, as its table is missing. So of rows that come
// alone the sink refuses only one, until another row is stored.
func (w *write) settleDoubted() error {
	if len(w.doubted) == 0 {
		return nil
	}
	if !w.passed && (len(w.doubted) > 1 || w.lone.Swap(true)) {
		return fmt.Errorf("mysql: write: %w: the server takes no ticket, though the table is unchanged; check its triggers: %w",
			flush.ErrSinkDown, w.doubted[0].err)
	}
	for i := range w.doubted {
		w.refuse(&w.doubted[i].row, refusal(w.doubted[i].err))
	}
	return nil
}

// besides returns writes without a row to the tables beside the tickets table.
func besides(d *table.Definition) []string {
	switch {
	case d.Side != "":
		return []string{"INSERT INTO " + quote(d.Side) + " (ticket_id,revision,deleted) SELECT NULL,NULL,NULL FROM DUAL WHERE FALSE"}
	case d.DeletedAt == "":
		return []string{"INSERT INTO " + quote(d.Table+tombstonesSuffix) +
			" (ticket_id,revision) SELECT NULL,NULL FROM DUAL WHERE FALSE"}
	default:
		return nil
	}
}

// For a full table, disk or memory, or a killed statement, the answer is about the server; but a trigger of the tickets table
// may also meet the error for a row, when the trigger writes into another table. Such a row is no dead letter, as the row is not
// at fault. The sink retries the row alone, without end, provided that the server takes other rows.

const (
	// maxUnfit bounds how many such rows a call finds by halving; after that the remaining parts wait as a whole.
	maxUnfit = 12
	// maxMisfits bounds the number of remembered tickets.
	maxMisfits = 10_000
)

// unfit is rows that the server does not take, with an answer that is about the server or about the rows.
type unfit struct {
	rows []row
	err  error
}

// misfits remembers the tickets that the server did not take while it took other tickets: when such a ticket comes alone, the
// same answer is about the ticket. The zero value is ready.
type misfits struct {
	mu  sync.Mutex
	ids map[ticket.ID]bool
}

func (m *misfits) add(rows []row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil || len(m.ids) >= maxMisfits {
		m.ids = make(map[ticket.ID]bool)
	}
	for i := range rows {
		m.ids[rows[i].id] = true
	}
}

func (m *misfits) remove(rows []row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		delete(m.ids, rows[i].id)
	}
}

func (m *misfits) has(rows []row) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		if !m.ids[rows[i].id] {
			return false
		}
	}
	return true
}

// settleUnfit leaves for later the rows that the server does not take while it takes other rows, now or earlier; otherwise it
// returns an outage.
func (w *write) settleUnfit() error {
	for i := range w.unfit {
		u := &w.unfit[i]
		if !w.taken && !w.misfits.has(u.rows) {
			return w.db.failure("write", u.err)
		}
	}
	for i := range w.unfit {
		u := &w.unfit[i]
		w.misfits.add(u.rows)
		w.later(u.rows, fmt.Errorf("mysql: the server takes other rows, but not this row: %w", u.err))
	}
	return nil
}
