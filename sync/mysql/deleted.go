package mysql

import (
	"context"
	"database/sql"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// deletedWindow is how many rows one look for deleted tickets goes through: no index helps there, and no statement may take as
// long as a table is large.
const deletedWindow = 50_000

// Deleted returns the deleted tickets among the next rows above after, in the order of their ids, and up to which id it has
// looked; more says that there are rows above that. Where the table has no deleted_at these are the tombstones, where it has a
// side table also those of that. Errors wrap [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (db *DB) Deleted(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error) {
	const operation = "read deleted tickets"
	d, err := db.known(ctx)
	if err != nil {
		return nil, 0, false, err
	}
	places := db.markings(d)
	window, marked := make([]string, len(places)), make([]string, len(places))
	var above, between []any
	for i, p := range places {
		window[i] = "(SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " > ? ORDER BY " + p.key + " LIMIT ?)"
		marked[i] = "SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " > ? AND " + p.key + " <= ?" + p.deleted
		above = append(above, int64(after), deletedWindow)
	}
	var last sql.NullInt64
	var n int
	err = db.pool.QueryRowContext(ctx, "SELECT MAX(id),COUNT(*) FROM (SELECT id FROM ("+strings.Join(window, " UNION ")+
		") AS ids ORDER BY id LIMIT ?) AS page", append(above, deletedWindow)...).Scan(&last, &n)
	if err != nil {
		return nil, 0, false, db.failure(operation, err)
	}
	if n == 0 {
		return nil, after, false, nil
	}
	for range places {
		between = append(between, int64(after), last.Int64)
	}
	rows, err := db.pool.QueryContext(ctx, strings.Join(marked, " UNION ")+" ORDER BY id", between...)
	if err != nil {
		return nil, 0, false, db.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, 0, false, db.failure(operation, err)
		}
		if id > 0 { // no ticket has another
			ids = append(ids, ticket.ID(id))
		}
	}
	return ids, ticket.ID(last.Int64), n == deletedWindow, db.failure(operation, rows.Err())
}

// marking says how deleted tickets are distinguished from others: a table, the column of the ticket's id, and a condition to
// append.
type marking struct{ table, key, deleted string }

// markings are the places that say which tickets were deleted.
func (db *DB) markings(d *table.Definition) []marking {
	var all []marking
	if d.DeletedAt != "" {
		i, _ := d.Position(d.DeletedAt)
		all = append(all, marking{quote(d.Table), quote(d.Key), " AND NOT " + present(&d.Columns[i])})
	}
	switch {
	case d.Side != "":
		all = append(all, marking{quote(d.Side), "ticket_id", " AND deleted=1"})
	case d.DeletedAt == "":
		all = append(all, marking{db.tombstones(), "ticket_id", ""})
	}
	return all
}
