package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// packetSlack is the size of a statement besides its rows and the text around the rows: the protocol's header and the driver's
// own reckoning.
const packetSlack = 128

// querier is a pool or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// group writes the rows of one group.
func (w *write) group(ctx context.Context, g *group) error {
	s := newStatements(w.definition, g)
	head, tail := s.head(), s.tail()
	room := w.packet - len(head) - len(tail) - escapedSize(strings.Join(g.removal, `"?,"`)) - packetSlack
	try := func(ctx context.Context, rows []row) error { return w.store(ctx, s, head, tail, rows) }
	rowless := s.rowless(w.definition)
	for _, batch := range batches(sorted(g.rows), w.db.config.MaxRows, room) {
		if batch[0].size > room { // such a row is alone
			w.refuse(&batch[0], &flush.Refusal{
				Code: errPacketTooLarge,
				Reason: fmt.Sprintf("the ticket takes %d bytes and the server's max_allowed_packet is %d",
					batch[0].size, w.packet),
			})
			continue
		}
		if err := w.bring(ctx, batch, rowless, try); err != nil {
			return err
		}
	}
	vanished := w.vanished
	w.vanished = nil
	for i := range vanished {
		if err := w.bring(ctx, vanished[i:i+1], rowless, try); err != nil {
			return err
		}
	}
	return nil
}

// store writes the rows in one transaction and gives each row its outcome.
func (w *write) store(ctx context.Context, s *statements, head, tail string, rows []row) error {
	switch {
	case w.definition.Side != "":
		return w.storeBeside(ctx, s, head, tail, rows)
	case w.definition.DeletedAt == "":
		return w.upsertUnburied(ctx, s, head, tail, rows)
	case !s.group.insertable:
		return w.update(ctx, s, rows)
	}
	open, err := w.upsert(ctx, w.db.pool, s, head, tail, rows)
	if len(rows) == 1 && rows[0].deletion && judge(err) == data {
		// The table refuses the row that would be inserted, even if the row exists: a deletion needs no insert.
		return w.update(ctx, s, rows)
	}
	if err != nil {
		return err
	}
	return w.verify(ctx, s, open, len(rows) == 1)
}

// upsert runs one statement and returns the rows without a known outcome: no row if the guard let all rows be written, else all
// rows.
func (w *write) upsert(
	ctx context.Context, q querier, s *statements, head, tail string, rows []row,
) (open []*row, err error) {
	query, args := s.upsert(head, tail, rows)
	result, err := w.exec(ctx, q, query, args...)
	if err != nil {
		return nil, err
	}
	last, err := result.LastInsertId()
	if err != nil {
		return nil, err
	}
	if last == allWritten {
		for i := range rows {
			w.stored(&rows[i], rows[i].revision)
		}
		return nil, nil
	}
	return pointers(rows), nil
}

// update changes existing rows and inserts no row. Each row's revision in the WHERE clause needs a statement per row; the
// transaction needs one commit.
func (w *write) update(ctx context.Context, s *statements, rows []row) error {
	var open []*row
	err := w.db.transact(ctx, func(tx *sql.Tx) (err error) {
		open, err = w.updateEach(ctx, tx, s, pointers(rows))
		return err
	})
	if err != nil {
		return err
	}
	return w.verify(ctx, s, open, len(rows) == 1)
}

func (w *write) updateEach(ctx context.Context, q querier, s *statements, rows []*row) (open []*row, err error) {
	query := s.update()
	for _, r := range rows {
		result, err := w.exec(ctx, q, query, s.updateArgs(r)...)
		if err != nil {
			return nil, err
		}
		affected, err := result.RowsAffected()
		if err != nil {
			return nil, err
		}
		if affected == 0 {
			open = append(open, r)
			continue
		}
		w.stored(r, r.revision)
	}
	return open, nil
}

func (s *statements) updateArgs(r *row) []any {
	args := make([]any, 0, len(r.values)+4)
	args = append(args, r.values...)
	args = s.appendRemoval(args)
	return append(args, int64(r.revision), int64(r.id), int64(r.revision))
}

// verify reads the rows whose outcome is open. A missing row either was not insertable, or was deleted by hand at the same
// moment, or collided with another ticket's row in another unique index; only an attempt alone shows the reason. For a deleted
// ticket no write is left, and for a missing row no delete.
func (w *write) verify(ctx context.Context, s *statements, open []*row, alone bool) error {
	if len(open) == 0 {
		return nil
	}
	rows, err := w.readOpen(ctx, s, open)
	if err != nil {
		return err
	}
	for _, r := range open {
		held, there := rows[r.id]
		switch {
		case there:
			w.kept(s.group, r, held)
		case r.buried, r.deletion && (alone || !s.group.insertable):
			w.stored(r, r.revision)
		case !s.group.insertable:
			w.refuse(r, refusal(s.group.absent()))
		case !alone:
			w.vanished = append(w.vanished, *r)
		default:
			w.refuse(r, &flush.Refusal{
				Code:   errDuplicate,
				Reason: "not inserted: another ticket holds the same value in a unique index of the table",
			})
		}
	}
	return nil
}

// kept gives an outcome to a change that the guard kept from a row.
func (w *write) kept(g *group, r *row, held openRow) {
	switch {
	case held.odd != "":
		w.refuseOdd(r, held.odd)
	case held.Revision < r.floor:
		w.stranger(r, held.marked)
	case g.alive && held.marked:
		w.results[r.at] = flush.Result{Revision: max(held.Revision, r.revision), Ahead: true}
	default: // a revision below the change's own: a person has reset the row, so the change is flushed again
		w.stored(r, held.Revision)
	}
}

// stranger gives an outcome to a create whose id belongs to another ticket, which does not change. A create that was deleted
// before it arrived leaves no work, and its tombstone stays only if the other ticket was deleted too.
func (w *write) stranger(r *row, deleted bool) {
	if r.deletion {
		w.results[r.at] = flush.Result{Revision: r.revision, Ahead: true, Void: !deleted}
		return
	}
	w.refuse(r, takenID())
}

// openRow is the table's row of a write whose outcome is open.
type openRow struct {
	revision

	marked bool // as deleted
}

func (w *write) readOpen(ctx context.Context, s *statements, open []*row) (map[ticket.ID]openRow, error) {
	marked := "0"
	if s.mark != nil {
		marked = "NOT " + present(s.mark)
	}
	list, args := keys(open)
	rows, err := w.db.pool.QueryContext(ctx,
		"SELECT "+s.key+","+s.revision+","+marked+" FROM "+s.table+" WHERE "+s.key+" IN "+list, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[ticket.ID]openRow, len(open))
	for rows.Next() {
		var id ticket.ID
		var r openRow
		if err := rows.Scan(&id, &r.revision, &r.marked); err != nil {
			return nil, err
		}
		found[id] = r
	}
	return found, rows.Err()
}

// exec runs a writing statement and counts the statement.
func (w *write) exec(ctx context.Context, q querier, query string, args ...any) (sql.Result, error) {
	w.statements.Add(1)
	return q.ExecContext(ctx, query, args...)
}

// readRevisions runs a query for ids and revisions, completed by the list of ids and the suffix.
func readRevisions(
	ctx context.Context, q querier, query, suffix string, of []*row,
) (map[ticket.ID]revision, error) {
	list, args := keys(of)
	rows, err := q.QueryContext(ctx, query+list+suffix, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	revisions := make(map[ticket.ID]revision, len(of))
	for rows.Next() {
		var id ticket.ID
		var r revision
		if err := rows.Scan(&id, &r); err != nil {
			return nil, err
		}
		revisions[id] = r
	}
	return revisions, rows.Err()
}

func pointers(rows []row) []*row {
	all := make([]*row, len(rows))
	for i := range rows {
		all[i] = &rows[i]
	}
	return all
}

// revision is the value of a revision column. Other programs can write into the table. A number that no revision can be would,
// once accepted, bound all later revisions from below: so the number counts as 0, like a row that ticketd has never written.
type revision struct {
	ticket.Revision

	odd string // the column's content if the content is no revision
}

// Scan implements [sql.Scanner].
func (r *revision) Scan(src any) error {
	var text string
	switch src := src.(type) {
	case []byte:
		text = string(src)
	case nil:
		text = "0"
	default:
		text = fmt.Sprint(src)
	}
	read, refused := ticket.ParseRevision(text)
	*r = revision{Revision: read}
	if refused != nil {
		r.odd = text
	}
	return nil
}

// refuseOdd refuses a change because the row's number is no revision.
func (w *write) refuseOdd(r *row, odd string) {
	table, key, column := w.definition.Table, w.definition.Key, w.definition.Revision
	if side := w.definition.Side; side != "" {
		table, key, column = side, "ticket_id", sideRevisionColumn
	}
	w.refuse(r, &flush.Refusal{Code: errOutOfRange, Reason: fmt.Sprintf("the row's revision is %.40s, which another program than "+
		"ticketd has written, as no revision is above %d: UPDATE %s SET %s = 0 WHERE %s = %d, then retry the dead letter",
		odd, int64(ticket.Ceiling), quote(table), quote(column), quote(key), int64(r.id))})
}

// upsertUnburied is the upsert for a table whose deletes remove rows. A ticket with a tombstone is updated if its row exists,
// and never inserted. The look-up also locks the places of missing tombstones, so that a concurrent delete waits for this
// commit; upsert and delete take the tombstones first and then the rows.
func (w *write) upsertUnburied(ctx context.Context, s *statements, head, tail string, rows []row) error {
	var open []*row
	err := w.db.transact(ctx, func(tx *sql.Tx) error {
		buried, err := readRevisions(ctx, tx,
			"SELECT ticket_id, revision FROM "+w.db.tombstones()+" WHERE ticket_id IN ", " LOCK IN SHARE MODE", pointers(rows))
		if err != nil {
			return err
		}
		alive, dead := make([]row, 0, len(rows)), []*row(nil)
		for i := range rows {
			grave, is := buried[rows[i].id]
			switch rows[i].buried = is; {
			case is && grave.Revision < rows[i].floor:
				w.stranger(&rows[i], true)
				continue
			case is:
				dead = append(dead, &rows[i])
				continue
			}
			alive = append(alive, rows[i])
		}
		switch {
		case len(alive) == 0:
		case s.group.insertable:
			open, err = w.upsert(ctx, tx, s, head, tail, alive)
		default:
			open, err = w.updateEach(ctx, tx, s, pointers(alive))
		}
		if err != nil {
			return err
		}
		more, err := w.updateEach(ctx, tx, s, dead)
		open = append(open, more...)
		return err
	})
	if err != nil {
		return err
	}
	return w.verify(ctx, s, open, len(rows) == 1)
}
