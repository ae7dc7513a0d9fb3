package mysql

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// ticketd never alters a table that it did not make: the owner's own INSERTs, archives and whole-row saves must continue to
// work. A table beside it, the side table, holds the revision of each ticket and the mark of a deletion. One transaction writes
// the two tables, first the side table: the lock on the side row is the mutex of the ticket, and the comparison of the revisions
// in the side table is the guard.
//
// If the guard lets every row of a batch pass, which is the rule, the server's answer says so and no read is needed. Otherwise
// the transaction is undone, the side rows are read without a lock, the settled rows leave the batch, and the remaining rows are
// tried again. This is sound because a revision only grows and a deletion is never undone: a row that is settled at one look
// stays settled.
const (
	// sideSuffix makes the side table's name. Its columns are ticket_id, revision and deleted.
	sideSuffix         = "_ticketd"
	sideKeyColumn      = "ticket_id"
	sideRevisionColumn = "revision"

	// The names of the side table's columns in [source]; the other table's owner may use any name.
	sideRevision = "`_ticketd_revision`"
	sideDeleted  = "`_ticketd_deleted`"
)

// source is the table from which tickets are read, joined with its side table if the table has one.
func source(d *table.Definition) string {
	if d.Side == "" {
		return quote(d.Table)
	}
	return quote(d.Table) + " LEFT JOIN (SELECT ticket_id AS `_ticketd_id`,revision AS " + sideRevision + ",deleted AS " +
		sideDeleted +
		" FROM " + quote(d.Side) + ") AS `_ticketd` ON `_ticketd_id`=" + quote(d.Key)
}

// purpose is the purpose of a batch. Rows of a batch have one purpose.
type purpose int

const (
	change  purpose = iota // never writes into a deleted ticket
	create                 // never meets an existing ticket
	removal                // deletes
	unborn                 // deletes a ticket whose create is among the changes: the row must be missing
)

func (r *row) purpose() purpose {
	switch {
	case r.deletion && r.floor != 0:
		return unborn
	case r.deletion:
		return removal
	case r.floor != 0:
		return create
	default:
		return change
	}
}

// storeBeside writes the rows of a group and gives each row its outcome.
func (w *write) storeBeside(ctx context.Context, s *statements, head, tail string, rows []row) error {
	return w.byPurpose(ctx, rows, func(ctx context.Context, tx *sql.Tx, p purpose, rows []row) error {
		switch {
		case p == unborn:
			return w.unborn(ctx, tx, rows)
		case p == create:
			return w.insertBeside(ctx, tx, s, head, rows)
		case p == removal || !s.group.insertable:
			return w.updateBeside(ctx, tx, s, rows)
		default:
			return w.upsertBeside(ctx, tx, s, head, tail, rows)
		}
	})
}

// buryBeside removes rows; the side table keeps the marks.
func (w *write) buryBeside(ctx context.Context, rows []row) error {
	return w.byPurpose(ctx, rows, func(ctx context.Context, tx *sql.Tx, p purpose, rows []row) error {
		if p == unborn {
			return w.unborn(ctx, tx, rows)
		}
		list, ids := keys(pointers(rows))
		_, err := w.exec(ctx, tx, "DELETE FROM "+quote(w.definition.Table)+" WHERE "+quote(w.definition.Key)+" IN "+list, ids...)
		return err
	})
}

// dataWrite writes the rows' data in a transaction that has locked their side rows.
type dataWrite func(ctx context.Context, tx *sql.Tx, p purpose, rows []row) error

func (w *write) byPurpose(ctx context.Context, rows []row, data dataWrite) error {
	var parts [unborn + 1][]row
	for i := range rows {
		p := rows[i].purpose()
		parts[p] = append(parts[p], rows[i])
	}
	// A create of which the side table has an earlier part becomes a change, so creates go first.
	for _, p := range []purpose{create, unborn, change, removal} {
		begun, err := w.guarded(ctx, p, parts[p], data)
		if err != nil {
			return err
		}
		for i := range begun {
			parts[begun[i].purpose()] = append(parts[begun[i].purpose()], begun[i])
		}
	}
	return nil
}

// errKept undoes a transaction in which the guard kept a row from being written.
var errKept = errors.New("the side table is ahead of a row")

// guarded writes the rows, which have one purpose. It returns the creates of which the side table has an earlier part: such a
// create is now a change.
func (w *write) guarded(ctx context.Context, p purpose, rows []row, data dataWrite) (begun []row, err error) {
	for len(rows) > 0 {
		err := w.db.transact(ctx, func(tx *sql.Tx) error {
			if err := w.mark(ctx, tx, p, rows); err != nil {
				return err
			}
			return data(ctx, tx, p, rows)
		})
		if err == nil {
			for i := range rows {
				w.stored(&rows[i], rows[i].revision)
			}
			return begun, nil
		}
		if errors.Is(err, errTheirs) {
			if rows, err = w.passOverTheirs(ctx, rows); err != nil {
				return nil, err
			}
			continue
		}
		if !errors.Is(err, errKept) {
			return nil, err
		}
		held, err := w.heldBeside(ctx, rows)
		if err != nil {
			return nil, err
		}
		var open []row
		for i := range rows {
			switch left, arrived := w.settled(&rows[i], held[rows[i].id]); {
			case !left:
			case arrived:
				begun = append(begun, rows[i])
			default:
				open = append(open, rows[i])
			}
		}
		if len(open) == len(rows) { // the guard found a row ahead, but the read from another node shows no such row
			w.leave(open, errKept)
			return begun, nil
		}
		rows = open
	}
	return begun, nil
}

// mark writes the rows' revisions to the side table, or returns errKept. A change passes if its revision is higher and the
// ticket was not deleted; a create passes if the side table has no row.
func (w *write) mark(ctx context.Context, tx *sql.Tx, p purpose, rows []row) error {
	deleted, passes := "0", "VALUES(revision)>revision AND deleted=0"
	switch p {
	case create:
		passes = "FALSE"
	case removal:
		deleted, passes = "1", "VALUES(revision)>revision"
	case unborn:
		deleted, passes = "1", "FALSE"
	default:
	}
	var b strings.Builder
	args := make([]any, 0, 2*len(rows))
	b.WriteString("INSERT INTO " + quote(w.definition.Side) + " (ticket_id,revision,deleted) VALUES ")
	for i := range rows {
		if i == 0 {
			b.WriteString("(?,IF(LAST_INSERT_ID(" + allMark + ")=0,0,?)," + deleted + ")")
		} else {
			b.WriteString(",(?,?," + deleted + ")")
		}
		args = append(args, int64(rows[i].id), int64(rows[i].revision))
	}
	b.WriteString(" ON DUPLICATE KEY UPDATE ")
	if p == removal {
		b.WriteString("deleted=IF(" + passes + ",1,deleted),")
	}
	b.WriteString("revision=IF(" + passes + ",VALUES(revision),IF(LAST_INSERT_ID(" + someMark + ")=0,0,revision))")
	result, err := w.exec(ctx, tx, b.String(), args...)
	if err != nil {
		return err
	}
	last, err := result.LastInsertId()
	if err == nil && last != allWritten {
		err = errKept
	}
	return err
}

// beside is a row of the side table.
type beside struct {
	revision

	deleted bool
}

func (w *write) heldBeside(ctx context.Context, of []row) (map[ticket.ID]beside, error) {
	list, args := keys(pointers(of))
	rows, err := w.db.pool.QueryContext(ctx,
		"SELECT ticket_id,revision,deleted FROM "+quote(w.definition.Side)+" WHERE ticket_id IN "+list, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	held := make(map[ticket.ID]beside, len(of))
	for rows.Next() {
		var id ticket.ID
		var b beside
		if err := rows.Scan(&id, &b.revision, &b.deleted); err != nil {
			return nil, err
		}
		held[id] = b
	}
	return held, rows.Err()
}

// settled gives a row its result if the side table decides the result. Otherwise left is true; arrived says that the side table
// has an earlier part of the create's ticket, so that the row is now a change.
func (w *write) settled(r *row, held beside) (left, arrived bool) {
	switch {
	case held.odd != "":
		w.refuseOdd(r, held.odd)
	case held.Revision == 0:
		return true, false
	case held.Revision < r.floor:
		w.stranger(r, held.deleted)
	case held.deleted && !r.deletion: // no write is left
		w.stored(r, max(held.Revision, r.revision))
	case held.Revision >= r.revision:
		w.stored(r, held.Revision)
	default:
		arrived = r.floor != 0
		r.floor = 0
		return true, arrived
	}
	return false, false
}

// takenID is the refusal of a create whose id belongs to another ticket.
func takenID() *flush.Refusal {
	return &flush.Refusal{
		Code: errDuplicate,
		Reason: "the id belongs to another ticket, which the table got by other means and which was not changed: create the ticket " +
			"again with the fields of this dead letter, which gives it another id, then drop the dead letter",
	}
}

// taken is takenID in the form of a server's error, for the halving of a batch.
func taken() error { return &driver.MySQLError{Number: errDuplicate, Message: takenID().Reason} }

// absent returns an error if the table has any of the rows.
func (w *write) absent(ctx context.Context, tx *sql.Tx, rows []row) error {
	there, err := w.present(ctx, tx, w.definition, pointers(rows))
	if err == nil && len(there) > 0 {
		err = taken()
	}
	return err
}

// errTheirs undoes a transaction in which the deletion of a ticket whose create never arrived has met a row.
var errTheirs = errors.New("the row is another ticket's")

// unborn returns errTheirs if the table has any of the rows.
func (w *write) unborn(ctx context.Context, tx *sql.Tx, rows []row) error {
	there, err := w.present(ctx, tx, w.definition, pointers(rows))
	if err == nil && len(there) > 0 {
		err = errTheirs
	}
	return err
}

// passOverTheirs gives an outcome to deletions whose ids belong to other tickets, and returns the remaining rows.
func (w *write) passOverTheirs(ctx context.Context, rows []row) ([]row, error) {
	there, err := w.present(ctx, w.db.pool, w.definition, pointers(rows))
	if err != nil {
		return nil, err
	}
	rest := make([]row, 0, len(rows))
	for i := range rows {
		if _, is := there[rows[i].id]; is {
			w.stranger(&rows[i], false)
		} else {
			rest = append(rest, rows[i])
		}
	}
	return rest, nil
}

// insertBeside inserts the rows of new tickets and never changes an existing row.
func (w *write) insertBeside(ctx context.Context, tx *sql.Tx, s *statements, head string, rows []row) error {
	query, args := s.insertBeside(head, "", rows)
	_, err := w.exec(ctx, tx, query, args[:len(args)-len(s.group.removal)]...)
	if refused, ok := errors.AsType[*driver.MySQLError](err); !ok || refused.Number != errDuplicate || len(rows) > 1 {
		return err
	}
	// For a single row, a look shows whether the row collides by its id or in another unique index.
	if mine := w.absent(ctx, tx, rows); mine != nil {
		return mine
	}
	return err
}

// upsertBeside inserts rows and updates existing rows, unless their owner has marked the rows as deleted.
func (w *write) upsertBeside(ctx context.Context, tx *sql.Tx, s *statements, head, tail string, rows []row) error {
	query, args := s.insertBeside(head, tail, rows)
	result, err := w.exec(ctx, tx, query, args...)
	if err != nil {
		return err
	}
	last, err := result.LastInsertId()
	if err != nil || last == allWritten {
		return err
	}
	there, err := w.present(ctx, tx, w.definition, pointers(rows))
	if err == nil && len(there) < len(rows) {
		err = &driver.MySQLError{
			Number: errDuplicate, Message: "not inserted: another ticket holds the same value in a unique index of the table",
		}
	}
	return err
}

// updateBeside changes existing rows and inserts no row. If the row is missing, a deletion is done and a change is refused.
func (w *write) updateBeside(ctx context.Context, tx *sql.Tx, s *statements, rows []row) error {
	var unsure []*row
	for i := range rows {
		r := &rows[i]
		if query, args := s.updateBeside(r); query != "" {
			result, err := w.exec(ctx, tx, query, args...)
			if err != nil {
				return err
			}
			affected, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if affected > 0 {
				continue
			}
		}
		if !r.deletion { // the row had the same values, or does not exist
			unsure = append(unsure, r)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	there, err := w.present(ctx, tx, w.definition, unsure)
	if err == nil && len(there) < len(unsure) {
		err = s.group.absent()
	}
	return err
}

// present returns which of the rows are in the table.
func (w *write) present(ctx context.Context, q querier, d *table.Definition, of []*row) (map[ticket.ID]revision, error) {
	key := quote(d.Key)
	return readRevisions(ctx, q, "SELECT "+key+",0 FROM "+quote(d.Table)+" WHERE "+key+" IN ", "", of)
}
