package mysql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// revision is what a column of revisions holds. Others can write into the table, and a number that no revision can be, once
// believed, would be the least of all later ones: so it counts as 0, as that of a row which ticketd has never written.
type revision struct {
	ticket.Revision

	odd string // what the column holds instead of a revision
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

// refuseOdd ends a change that a row's number keeps out, which is no revision.
func (w *write) refuseOdd(r *row, odd string) {
	table, key, column := w.definition.Table, w.definition.Key, w.definition.Revision
	if side := w.definition.Side; side != "" {
		table, key, column = side, "ticket_id", sideRevisionColumn
	}
	w.refuse(r, &flush.Refusal{Code: errOutOfRange, Reason: fmt.Sprintf("the row's revision is %.40s, which something else than "+
		"ticketd has written, as none can be above %d: UPDATE %s SET %s = 0 WHERE %s = %d, then retry the dead letter",
		odd, int64(ticket.Ceiling), quote(table), quote(column), quote(key), int64(r.id))})
}

// maxOdd bounds the ids that are kept for a warning.
const maxOdd = 16

// oddRows are the tickets that were last read with a number that is no revision.
type oddRows struct {
	some atomic.Bool
	mu   sync.Mutex
	rows map[ticket.ID]string
}

func (o *oddRows) saw(id ticket.ID, r *revision) {
	if r.odd == "" && !o.some.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.odd == "" {
		delete(o.rows, id)
	} else if len(o.rows) < maxOdd {
		if o.rows == nil {
			o.rows = map[ticket.ID]string{}
		}
		o.rows[id] = r.odd
	}
	o.some.Store(len(o.rows) > 0)
}

// OddRevisions says which rows were last read with a number that is no revision; empty where none was.
func (db *DB) OddRevisions() string {
	if !db.odd.some.Load() {
		return ""
	}
	db.odd.mu.Lock()
	defer db.odd.mu.Unlock()
	found := make([]string, 0, len(db.odd.rows))
	for _, id := range slices.Sorted(maps.Keys(db.odd.rows)) {
		found = append(found, fmt.Sprintf("ticket %d: %.40s", int64(id), db.odd.rows[id]))
	}
	return "rows of " + db.config.Table + " have a revision that something else than ticketd has written, as none can be above " +
		ticket.Ceiling.String() + " (" + strings.Join(found, ", ") + "): it counts as 0, and changes of these tickets become dead " +
		"letters, whose reason says how to set it right"
}

// FindOddRevision looks through the whole table for rows with a revision that is none, and returns how many there are and the
// first.
func (db *DB) FindOddRevision(ctx context.Context) (n int64, first ticket.ID, err error) {
	d, err := db.known(ctx)
	if err != nil {
		return 0, 0, err
	}
	of, key, column := d.Table, d.Key, d.Revision
	if d.Side != "" {
		of, key, column = d.Side, "ticket_id", sideRevisionColumn
	}
	err = db.pool.QueryRowContext(ctx, "SELECT COUNT(*),COALESCE(MIN("+quote(key)+"),0) FROM "+quote(of)+" WHERE "+quote(column)+
		" NOT BETWEEN 0 AND ? AND "+isTicket(key), int64(ticket.Ceiling)).Scan(&n, &first)
	return n, first, db.failure("look for odd revisions", err)
}
