package mysql

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// A missing table or column, a missing right, a crashed table: the server says the same where the tickets table is concerned,
// which is an outage, and where a trigger of it meets that for one row, which must not hold up the others. What tells them
// apart is evidence: the table's definition, the same statement without a row, and what becomes of other rows.

// doubted is a row that the server alone refuses with what may be an outage's answer.
type doubted struct {
	row row
	err error
}

// outage returns the error of an outage, which wraps [flush.ErrSinkDown] or [flush.ErrSinkPaused], where err is one's: the
// table is another than the definition says, or the server does not take the statements without a row either. These open the
// tables and need the rights as the attempt does, and change nothing. nil means that err is about a row.
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
	sequence := "UPDATE " + w.db.sequence() + " SET next = next WHERE id = 1"
	for _, query := range append([]string{sequence}, w.rowless...) {
		if _, refused := w.db.pool.ExecContext(ctx, query); refused != nil {
			return fmt.Errorf("%w (%w)", w.db.failure("write", err), w.db.failure("write without a row", refused))
		}
	}
	return nil
}

// settleAnswer settles rows about which the server has said what may be an outage's answer, or is to be halved: ended is
// false then. One value may cause what the server says, and must not hold up all the others; but a server that takes no write
// at all must not turn its backlog into dead letters.
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

// settleAlone ends a row about which the server has said what may be an outage's answer, after [write.outage] has found none.
// The outage may have ended in between, so the row is tried once more.
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

// settleDoubted refuses the doubted rows of a batch of which other rows were stored. Without such a row the answer may be an
// outage that no statement without a row shows: a trigger that fails for each row, as its table is gone. So of rows that come
// without any other only one is refused, until another row is stored.
func (w *write) settleDoubted() error {
	if len(w.doubted) == 0 {
		return nil
	}
	if !w.passed && (len(w.doubted) > 1 || w.lone.Swap(true)) {
		return fmt.Errorf("mysql: write: %w: no ticket is taken, though the table is as it was; look at its triggers: %w",
			flush.ErrSinkDown, w.doubted[0].err)
	}
	for i := range w.doubted {
		w.refuse(&w.doubted[i].row, refusal(w.doubted[i].err))
	}
	return nil
}

// rowless are the statements of the group without a row.
func (s *statements) rowless(d *table.Definition) []string {
	var sets []string
	names := append([]string{s.key}, s.columns...)
	if s.group.extra {
		names = append(names, s.extra)
	}
	if d.Side == "" {
		names = append(names, s.revision)
	}
	for _, name := range names[1:] {
		sets = append(sets, name+"="+name)
	}
	var all []string
	if len(sets) > 0 {
		all = append(all, "UPDATE "+s.table+" SET "+strings.Join(sets, ",")+" WHERE FALSE")
	}
	if s.group.insertable {
		if s.born != "" {
			names = append(names, s.born)
		}
		all = append(all, "INSERT INTO "+s.table+" ("+strings.Join(names, ",")+") SELECT NULL"+
			strings.Repeat(",NULL", len(names)-1)+" FROM DUAL WHERE FALSE")
	}
	return append(all, besides(d)...)
}

// rowlessDelete are the statements of a deletion without a row.
func rowlessDelete(d *table.Definition) []string {
	return append([]string{"DELETE FROM " + quote(d.Table) + " WHERE FALSE"}, besides(d)...)
}

// besides are writes without a row to the tables beside the tickets table.
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
